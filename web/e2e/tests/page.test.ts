// The page itself: usable by everybody, by keyboard alone, and on a phone.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type AppPerson, joinApp, openApp } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { fits, headerIsApart, passesAxe, PHONE } from '../harness/looks.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 90_000 };

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

  it('has room for the longest names of channel and people, from 320 to 1280 pixels', TIMEOUT, async () => {
    const channel = 'w'.repeat(128);
    const other = await joinApp(browser, { url: server.url, name: 'W'.repeat(64), channel });
    const person = await joinApp(browser, { url: server.url, name: 'Ann Brown', channel });
    for (const [width, height] of [
      [320, 640],
      [600, 800],
      [768, 1024],
      [1280, 720],
    ] as const) {
      for (const colorScheme of ['light', 'dark'] as const) {
        await person.page.emulateMedia({ colorScheme });
        await person.page.setViewportSize({ width, height });
        await headerIsApart(person.page, `long-${width}-${colorScheme}`);
        await fits(person.page, `long-${width}-${colorScheme}`);
      }
    }
    for (const one of [person, other]) await one.close();
  });

  it('keeps its toolbar as high as it is, whatever the tools say', TIMEOUT, async () => {
    const person = await joinApp(browser, { url: server.url, name: 'Ann Brown', channel: 'height' });
    for (const [width, height] of [
      [320, 640],
      [768, 1024],
      [1280, 720],
    ] as const) {
      await person.page.setViewportSize({ width, height });
      const high = () => person.page.getByRole('group', { name: 'Call controls' }).evaluate((bar) => bar.getBoundingClientRect().height);
      const before = await high();
      for (const [label, after] of [
        ['Camera', 'Stop camera'],
        ['Mute', 'Unmute'],
        ['Deafen', 'Undeafen'],
      ] as const) {
        await person.press(label);
        await person.button(after).waitFor();
      }
      assert.equal(await high(), before, `${width}`);
      assert.ok(before <= (width < 544 ? 60 : 90), `${before} pixels of ${width}`);
      for (const label of ['Stop camera', 'Unmute', 'Undeafen']) await person.press(label);
      await person.button('Camera').waitFor();
    }
    await person.close();
  });

  it('shows by its icons how things are: crossed out is off', TIMEOUT, async () => {
    const person = await joinApp(browser, { url: server.url, name: 'Ann Brown', channel: 'icons' });
    const icon = (testid: string) => person.page.getByTestId(testid).locator('svg').first().getAttribute('class');
    for (const [testid, icons] of [
      ['mute', ['mic', 'mic-off']],
      ['deafen', ['headphones', 'headphone-off']],
      ['camera', ['video-off', 'video']],
    ] as const) {
      for (const wanted of icons) {
        const has = new RegExp(`lucide-${wanted}( |$)`);
        await until(`${testid} is ${wanted}`, async () => has.test((await icon(testid)) ?? ''));
        await person.page.getByTestId(testid).click();
      }
    }
    assert.match((await icon('screen')) ?? '', /lucide-monitor-off( |$)/);
    await person.close();
  });

  it('fits a phone of 360 pixels: nothing scrolls sideways, and every button can be hit', TIMEOUT, async () => {
    const people: AppPerson[] = [];
    for (const name of ['Maximiliane von Hohenlohe-Langenburg', 'Bob']) {
      people.push(await joinApp(browser, { url: server.url, name, channel: 'phone' }));
    }
    const person = await openApp(browser, server.url, PHONE);
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
