// Microphones that are denied, missing or unplugged, a second device, and a network that goes away: what one sees, and how one goes on.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type AppPerson, joinApp, openApp } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { passesAxe } from '../harness/looks.js';
import { hears } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 90_000 };

describe('devices and networks', () => {
  let server: Server;
  let browser: Browser;
  let bob: AppPerson;

  before(async () => {
    server = await Server.start({ name: 'devices' });
    browser = await startChromium();
    bob = await joinApp(browser, { url: server.url, name: 'Bob', channel: 'devices' });
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('a microphone that was denied is asked for again by its button', TIMEOUT, async () => {
    const ann = await openApp(browser, server.url);
    await refuseMicrophone(ann.page, 'NotAllowedError');
    await ann.fillIn({ name: 'Ann', channel: 'devices' });
    await ann.press('Join');
    await ann.isIn();
    await ann.reads(/The browser did not allow the microphone.*press “Turn on microphone”/);
    await ann.says('Ann', 'listening only');
    await passesAxe(ann.page, 'devices-denied');
    // A label of two lines moves nothing.
    const high = (page: Page) => page.getByRole('group', { name: 'Call controls' }).evaluate((bar) => bar.getBoundingClientRect().height);
    assert.equal(await high(ann.page), await high(bob.page));
    await ann.press('Turn on microphone');
    await ann.button('Turn on microphone').waitFor();
    await refuseMicrophone(ann.page, undefined);
    await ann.press('Turn on microphone');
    await ann.button('Mute').waitFor();
    await hears(bob.page);
    assert.deepEqual(ann.errors, []);
    await ann.close();
  });

  it('a microphone that is unplugged is said, and goes on when there is one again', TIMEOUT, async () => {
    const cleo = await joinApp(browser, { url: server.url, name: 'Cleo', channel: 'devices' });
    await hears(bob.page);
    await refuseMicrophone(cleo.page, 'NotFoundError');
    await cleo.page.evaluate(() => window.probe.unplug());
    await cleo.reads(/No microphone was found/);
    await cleo.says('Cleo', 'listening only');
    await cleo.button('Turn on microphone').waitFor();
    await refuseMicrophone(cleo.page, undefined);
    await cleo.page.evaluate(() => navigator.mediaDevices.dispatchEvent(new Event('devicechange')));
    await cleo.reads(/Your microphone went away; another is on now/);
    await cleo.button('Mute').waitFor();
    await hears(bob.page);
    assert.deepEqual(cleo.errors, []);
    await cleo.close();
  });

  it('a call is gone on with on another device, and back; never on both', TIMEOUT, async () => {
    const url = `${server.url}/?user=eve`;
    const phone = await joinApp(browser, { url, name: 'Eve', channel: 'devices' });
    await until('Bob sees her', async () => (await bob.tile('Eve').count()) === 1);
    const desk = await openApp(browser, url);
    await desk.fillIn({ name: 'Eve', channel: 'devices' });
    await desk.press('Join');
    await desk.reads(/You are in this channel already/);
    await phone.isIn();
    for (const [to, from] of [
      [desk, phone],
      [phone, desk],
    ] as const) {
      await to.press('Continue here');
      await to.isIn();
      await from.reads(/You went on in another window or on another device/);
      await hears(bob.page);
      assert.equal(await bob.tile('Eve').count(), 1);
      // Whoever was put out waits for the person.
      await from.button('Continue here').waitFor();
      await to.isIn();
    }
    await passesAxe(desk.page, 'devices-moved');
    assert.deepEqual([...phone.errors, ...desk.errors], []);
    for (const person of [phone, desk]) await person.close();
  });

  it('who has no network sees at once that nobody hears them, and goes on when it is back', TIMEOUT, async () => {
    // A page of `localhost` is on the same machine as its server: socket.io does not ask the network there.
    const url = server.url.replace('localhost', '127.0.0.1');
    const dan = await joinApp(browser, { url, name: 'Dan', channel: 'devices' });
    await hears(bob.page);
    await dan.page.context().setOffline(true);
    await dan.page.getByTestId('cut-off').waitFor({ timeout: 3_000 });
    await dan.reads(/^Connecting…$/);
    await dan.says('Dan', 'not heard by anybody');
    await passesAxe(dan.page, 'devices-cut-off');
    await dan.page.context().setOffline(false);
    await dan.isIn();
    await dan.page.getByTestId('cut-off').waitFor({ state: 'detached' });
    await until('Bob sees him', async () => (await bob.tile('Dan').count()) === 1);
    await hears(bob.page);
    assert.deepEqual(dan.errors, []);
    await dan.close();
  });
});

/** From now on the browser refuses the microphone with this error, or gives it again. */
async function refuseMicrophone(page: Page, error: string | undefined): Promise<void> {
  await page.evaluate((error) => {
    const { mediaDevices } = navigator;
    const kept = window as unknown as { getUserMedia?: MediaDevices['getUserMedia'] };
    const real = (kept.getUserMedia ??= mediaDevices.getUserMedia.bind(mediaDevices));
    mediaDevices.getUserMedia = (wanted) => (error === undefined ? real(wanted) : Promise.reject(new DOMException('refused', error)));
  }, error);
}
