// The page itself: usable by everybody, by keyboard alone, and on a phone.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before, describe, it } from 'node:test';
import type { AxeResults, RunOptions } from 'axe-core';
import type { Browser, Page } from 'playwright-core';
import { type AppPerson, joinApp, openApp } from '../harness/app.js';
import { screenshot, startChromium } from '../harness/chromium.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 90_000 };
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PHONE = { width: 360, height: 740 };

describe('the page', () => {
  let server: Server;
  let browser: Browser;

  before(async () => {
    server = await Server.start({ name: 'page' });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  for (const colorScheme of ['light', 'dark'] as const) {
    it(`passes axe in every view, ${colorScheme}`, TIMEOUT, async () => {
      const other = await joinApp(browser, { url: server.url, name: 'Bea Green', channel: `axe-${colorScheme}` });
      const person = await openApp(browser, server.url, { colorScheme, reducedMotion: 'reduce' });
      await passesAxe(person.page, `join-${colorScheme}`);
      await person.press('Join');
      await passesAxe(person.page, `join-missing-${colorScheme}`);
      await person.fillIn({ name: 'Ann Brown', channel: `axe-${colorScheme}`, pro: false });
      await person.press('Join');
      await person.isIn();
      await person.shows('Bea Green');
      await passesAxe(person.page, `call-${colorScheme}`);
      await person.press('Camera');
      await person.page
        .getByText(/This is a Pro feature/)
        .first()
        .waitFor();
      await passesAxe(person.page, `upgrade-${colorScheme}`);
      await person.close();
      await other.close();
    });
  }

  it('joins, mutes and leaves by keyboard alone', TIMEOUT, async () => {
    const person = await openApp(browser, server.url);
    const { page } = person;
    await tabTo(page, 'Your name');
    await page.keyboard.type('Kay Board');
    await tabTo(page, 'Channel');
    await page.keyboard.press('Control+A');
    await page.keyboard.type('keys');
    await page.keyboard.press('Enter');
    await person.isIn();
    await tabTo(page, 'Mute');
    await page.keyboard.press('Enter');
    await person.button('Unmute').waitFor();
    await page.keyboard.press('Space');
    await person.button('Mute').waitFor();
    await tabTo(page, 'Leave');
    await page.keyboard.press('Enter');
    await person.button('Join').waitFor();
    await person.close();
  });

  it('fits a phone of 360 pixels: nothing scrolls sideways, and every button can be hit', TIMEOUT, async () => {
    const people: AppPerson[] = [];
    for (const name of ['Maximiliane von Hohenlohe-Langenburg', 'Bob']) {
      people.push(await joinApp(browser, { url: server.url, name, channel: 'phone' }));
    }
    const person = await openApp(browser, server.url, { viewport: PHONE, hasTouch: true, isMobile: true });
    await fits(person.page, 'phone-join');
    await person.fillIn({ name: 'Pho Ne', channel: 'phone' });
    await person.press('Join');
    await person.isIn();
    await person.shows('Bob');
    await fits(person.page, 'phone-call');
    await person.press('Camera');
    await person.button('Stop camera').waitFor();
    await fits(person.page, 'phone-camera');
    for (const one of [person, ...people]) await one.close();
  });
});

/** No violation of WCAG 2.2 A or AA, nor of axe's best practices. */
async function passesAxe(page: Page, name: string): Promise<void> {
  await screenshot(page, name);
  await page.evaluate(AXE);
  const results = await page.evaluate(async () => {
    const axe = (window as unknown as { axe: { run(options: RunOptions): Promise<AxeResults> } }).axe;
    return await axe.run({ resultTypes: ['violations'] });
  });
  const violations = results.violations.map((rule) => `${rule.id}: ${rule.help}: ${rule.nodes.map((node) => node.html).join(' | ')}`);
  assert.deepEqual(violations, [], name);
}

/** Presses Tab until the element of this name has the focus. */
async function tabTo(page: Page, name: string): Promise<void> {
  const pressed: string[] = [];
  for (let presses = 0; presses < 40; presses++) {
    const focused = await page.evaluate(() => {
      const element = document.activeElement as HTMLElement & { labels?: NodeListOf<HTMLLabelElement> };
      return (element.getAttribute('aria-label') ?? element.labels?.[0]?.textContent ?? element.textContent ?? '').trim();
    });
    if (focused === name || focused.startsWith(`${name} (`)) return;
    pressed.push(focused.slice(0, 40));
    await page.keyboard.press('Tab');
  }
  assert.fail(`Tab never reaches ${name}; it went over ${pressed.join(', ')}`);
}

async function fits(page: Page, name: string): Promise<void> {
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
