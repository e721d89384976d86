// How a page looks, and whether everybody can use it: screenshots, axe, and a phone's screen.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Page } from 'playwright-core';
import { screenshot } from './chromium.js';
import { until } from './until.js';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** A small phone's screen. */
export const PHONE = { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true };

/** No violation of WCAG 2.2 A or AA, nor of axe's best practices. */
export async function passesAxe(page: Page, name: string): Promise<void> {
  await screenshot(page, name);
  await page.evaluate(AXE);
  const results = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } }).axe;
    return await axe.run({ resultTypes: ['violations'] });
  });
  const violations = results.violations.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' | ')}`);
  assert.deepEqual(violations, [], name);
}

/** Nothing scrolls sideways, and every button can be hit. */
export async function fits(page: Page, name: string): Promise<void> {
  await until(`${name} has been laid out`, () => page.evaluate(() => document.body.getBoundingClientRect().height > 0));
  await screenshot(page, name);
  const { scroll, client, small } = await page.evaluate(() => ({
    scroll: document.documentElement.scrollWidth,
    client: document.documentElement.clientWidth,
    // WCAG 2.2, 2.5.8: a target has at least 24 by 24 pixels.
    small: [...document.querySelectorAll('button')]
      .map((button) => ({ name: button.getAttribute('aria-label') ?? button.textContent, box: button.getBoundingClientRect() }))
      .filter(({ box }) => box.width > 0 && (box.width < 24 || box.height < 24 || box.right > innerWidth + 0.5 || box.left < -0.5))
      .map((button) => button.name),
  }));
  assert.ok(scroll <= client, `${name} is ${scroll} pixels wide on a screen of ${client}`);
  assert.deepEqual(small, [], `${name}: buttons that are too small or outside`);
}

/** What stands in the header of a call stands side by side: nothing covers anything, and all of it is on the page. */
export async function headerIsApart(page: Page, name: string): Promise<void> {
  await screenshot(page, name);
  const covered = await page.evaluate(() => {
    const parts = [...document.querySelectorAll('main > header h1, main > header .count, main > header button')]
      .map((part) => ({
        name: part.getAttribute('aria-label') ?? part.textContent?.trim().slice(0, 20) ?? '',
        box: part.getBoundingClientRect(),
      }))
      .filter(({ box }) => box.width > 0);
    const apart = (a: DOMRect, b: DOMRect): boolean =>
      a.right <= b.left + 0.5 || b.right <= a.left + 0.5 || a.bottom <= b.top + 0.5 || b.bottom <= a.top + 0.5;
    const pairs = parts.flatMap((a, i) => parts.slice(i + 1).map((b) => [a, b] as const));
    return [
      ...pairs.filter(([a, b]) => !apart(a.box, b.box)).map(([a, b]) => `${a.name} and ${b.name}`),
      ...parts.filter(({ box }) => box.left < -0.5 || box.right > innerWidth + 0.5).map((part) => `${part.name} is outside`),
      ...(document.querySelector('main > header h1')?.getBoundingClientRect().width === 0 ? ['there is no title'] : []),
    ];
  });
  assert.deepEqual(covered, [], name);
}
