// Firefox and Chromium in one room, by the web app: each hears and sees the other.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { type AppPerson, joinApp } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { Firefox, FirefoxPerson } from '../harness/firefox.js';
import { hears, inbound, sees } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 180_000 };

describe('Firefox and Chromium', () => {
  let server: Server;
  let chromium: Browser;
  let firefox: Firefox;
  let alice: AppPerson;
  let fiona: FirefoxPerson;
  const channel = 'Both';

  before(async () => {
    server = await Server.start({ name: 'firefox' });
    chromium = await startChromium();
    firefox = await Firefox.start();
    alice = await joinApp(chromium, { url: server.url, name: 'Alice', channel });
    fiona = new FirefoxPerson(await firefox.newPage());
    await fiona.join(server.url, 'Fiona', channel);
  }, TIMEOUT);

  after(async () => {
    await firefox?.close();
    await chromium?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('hear each other', TIMEOUT, async () => {
    await alice.shows('Fiona');
    await hears(alice.page);
    await hears(fiona.page);
    // Statistics name the codec some time after the first packets.
    for (const page of [alice.page, fiona.page]) {
      await until('the sound is Opus', async () => (await inbound(page)).some((stream) => stream.codec === 'audio/opus'));
    }
  });

  it('see each other in VP8', TIMEOUT, async () => {
    await alice.press('Camera');
    await fiona.press('Camera');
    for (const page of [alice.page, fiona.page]) assert.equal((await sees(page)).codec, 'video/VP8');
  });

  it('part: Chromium shows that Firefox left', TIMEOUT, async () => {
    await fiona.press('Leave');
    await alice.showsNoMore('Fiona', 10_000);
    assert.deepEqual(alice.errors, []);
  });
});
