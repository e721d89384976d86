// Firefox and Chromium in one room, by the web app: each hears and sees the other.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import type { Page } from 'puppeteer-core';
import { type AppPerson, joinApp } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { Firefox } from '../harness/firefox.js';
import { hears, inbound, sees } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 180_000 };

describe('Firefox and Chromium', () => {
  let server: Server;
  let chromium: Browser;
  let firefox: Firefox;
  let alice: AppPerson;
  let fiona: Page;
  const channel = 'Both';

  before(async () => {
    server = await Server.start({ name: 'firefox' });
    chromium = await startChromium();
    firefox = await Firefox.start();
    alice = await joinApp(chromium, { url: server.url, name: 'Alice', channel });
    fiona = await firefox.newPage();
    await fiona.goto(server.url);
    await fill('Your name', 'Fiona');
    await fill('Channel', channel);
    await press('Join');
  }, TIMEOUT);

  after(async () => {
    await firefox?.close();
    await chromium?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  /** Types into the field of Firefox's page that has this label. */
  async function fill(label: string, text: string): Promise<void> {
    const id = await until(`Firefox shows the field ${label}`, () =>
      fiona.evaluate((label) => [...document.querySelectorAll('label')].find((one) => one.textContent?.trim() === label)?.htmlFor, label),
    );
    await fiona.locator(`#${id}`).fill(text);
  }

  /** Presses a button of Firefox's page by the beginning of its name. */
  async function press(label: string): Promise<void> {
    await until(`Firefox shows the button ${label}`, () =>
      fiona.evaluate((label) => {
        const fits = (button: HTMLElement): boolean => {
          const name = (button.getAttribute('aria-label') ?? button.textContent ?? '').trim();
          return name === label || name.startsWith(`${label} (`);
        };
        const button = [...document.querySelectorAll('button')].find((button) => fits(button) && !button.disabled);
        button?.click();
        return button !== undefined;
      }, label),
    );
  }

  it('hear each other', TIMEOUT, async () => {
    await alice.shows('Fiona');
    await hears(alice.page);
    await hears(fiona);
    // Statistics name the codec some time after the first packets.
    for (const page of [alice.page, fiona]) {
      await until('the sound is Opus', async () => (await inbound(page)).some((stream) => stream.codec === 'audio/opus'));
    }
  });

  it('see each other in VP8', TIMEOUT, async () => {
    await alice.press('Camera');
    await press('Camera');
    for (const page of [alice.page, fiona]) assert.equal((await sees(page)).codec, 'video/VP8');
  });

  it('part: Chromium shows that Firefox left', TIMEOUT, async () => {
    await press('Leave');
    await alice.showsNoMore('Fiona', 10_000);
    assert.deepEqual(alice.errors, []);
  });
});
