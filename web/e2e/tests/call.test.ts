// Two people and the web app, in real browsers: what the product is for.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { type AppPerson, joinApp, openApp } from '../harness/app.js';
import { screenshot, startChromium } from '../harness/chromium.js';
import { energyRises, fallsSilent, hears, inbound, outbound, sees, standsStill } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { PATIENCE_MS, until, within } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };

/** The part of the counters of connections that is looked at here. */
interface Connections {
  outcomes: { outcome: string; reached: string; count: number }[];
  routes: { local: string; remote: string; protocol: string; count: number }[];
}

/** What the log says of stays that have ended. */
function stays(server: Server): string[] {
  return server
    .logged()
    .split('\n')
    .filter((line) => line.includes('a stay has ended'));
}

describe('a call in the web app', () => {
  let server: Server;
  let browser: Browser;
  let alice: AppPerson;
  let bob: AppPerson;
  let bobsEar: string;
  const channel = 'Salon';

  before(async () => {
    server = await Server.start({ name: 'call', api: true });
    browser = await startChromium();
    alice = await joinApp(browser, { url: server.url, name: 'Alice', channel });
    bob = await joinApp(browser, { url: server.url, name: 'Bob', channel });
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    await server?.holdsNothing();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('shows each to the other, and lets them hear each other', TIMEOUT, async () => {
    await Promise.all([alice.shows('Bob'), bob.shows('Alice')]);
    await hears(alice.page);
    bobsEar = await hears(bob.page);
    await Promise.all([alice.says('Bob', 'speaking'), bob.says('Alice', 'speaking')]);
  });

  it('sends speech as mono Opus with error correction', TIMEOUT, async () => {
    const [sent] = (await outbound(alice.page)).filter((stream) => stream.kind === 'audio');
    assert.equal(sent?.codec, 'audio/opus');
    const fmtp = await alice.page.evaluate(() => window.probe.fmtp('audio/opus'));
    for (const parameter of ['useinbandfec=1', 'usedtx=1']) assert.ok(fmtp.includes(parameter), fmtp);
    assert.ok(!/(^|;)stereo=1/.test(fmtp), fmtp);
  });

  it('silences a muted microphone, and says so to the others', TIMEOUT, async () => {
    await alice.press('Mute');
    await bob.says('Alice', 'muted');
    await fallsSilent(bob.page, bobsEar);
    await alice.press('Unmute');
    await bob.says('Alice', 'muted', false);
    await energyRises(bob.page, bobsEar);
  });

  it('silences everybody for one who is deafened, and says so to the others', TIMEOUT, async () => {
    await bob.press('Deafen');
    await alice.says('Bob', 'deafened');
    await fallsSilent(bob.page, bobsEar);
    await bob.press('Undeafen');
    await alice.says('Bob', 'deafened', false);
    await energyRises(bob.page, bobsEar);
  });

  it('shows cameras, both ways', TIMEOUT, async () => {
    await alice.press('Camera');
    await bob.press('Camera');
    for (const person of [alice, bob]) {
      const seen = await sees(person.page);
      assert.equal(seen.codec, 'video/VP8');
      await until('the picture is on the page', () =>
        person.page.evaluate(() => [...document.querySelectorAll('video')].some((video) => video.videoWidth > 0 && !video.paused)),
      );
    }
    await screenshot(alice.page, 'call-cameras');
    await bob.press('Stop camera');
  });

  it('shows a shared screen', TIMEOUT, async () => {
    const before = new Set((await inbound(bob.page)).filter((stream) => stream.kind === 'video').map((stream) => stream.track));
    await alice.press('Share screen');
    const seen = await sees(bob.page, (stream) => !before.has(stream.track));
    await bob.page.getByText('Screen of Alice').first().waitFor();
    await screenshot(bob.page, 'call-screen');
    await alice.press('Stop sharing');
    await standsStill(bob.page, seen.track);
    await bob.page.getByText('Screen of Alice').first().waitFor({ state: 'detached' });
  });

  it('comes back after a reload in the middle of the call', TIMEOUT, async () => {
    await alice.page.reload();
    // By herself.
    await alice.isIn();
    await alice.shows('Bob');
    await bob.shows('Alice');
    await hears(alice.page);
    await hears(bob.page);
  });

  it('tells the others at once when a tab crashes', TIMEOUT, async () => {
    const carol = await joinApp(browser, { url: server.url, name: 'Carol', channel });
    await bob.shows('Carol');
    // Chromium answers this address by killing the page's process.
    await carol.page.goto('chrome://crash').catch(() => undefined);
    await bob.showsNoMore('Carol', 5_000);
    await carol.close();
  });

  it('tells the others at once when a window is closed', TIMEOUT, async () => {
    const dave = await joinApp(browser, { url: server.url, name: 'Dave', channel });
    await bob.shows('Dave');
    await dave.close();
    await bob.showsNoMore('Dave', 5_000);
  });

  it('lets one leave: the others see it, and nothing arrives any more', TIMEOUT, async () => {
    await alice.press('Leave');
    await bob.showsNoMore('Alice', 5_000);
    await until('every connection of Alice is closed', async () => (await inbound(alice.page)).length === 0);
    await alice.button('Join').waitFor();
  });

  it('leaves a line in the log that says by what it went, and is counted', TIMEOUT, async () => {
    const stay = await until('the stay is told', () => stays(server).find((line) => line.includes('reason="left"')));
    for (const way of ['send', 'recv']) assert.match(stay, new RegExp(`${way} connected host to host by udp in \\d+ ms`));
    assert.match(stay, /dialect="socketio" .* candidates=host\/udp \d+.* failed=0 lost=0 ice_restarts=0/);
    assert.doesNotMatch(stay, /\d+\.\d+\.\d+\.\d+|Alice/);
    const { routes } = await server.api<Connections>('GET', '/connections');
    const direct = routes.filter(({ local, remote, protocol }) => local === 'host' && remote === 'host' && protocol === 'udp');
    assert.ok(direct.reduce((sum, { count }) => sum + count, 0) >= 4, JSON.stringify(routes));
  });

  it('says how far it came where nobody can reach the media', TIMEOUT, async (test) => {
    const media = 'listen_ip = ["127.0.0.1"]\nannounced_ip = ["127.0.0.2"]';
    const unreachable = await Server.start({ name: 'call-unreachable', media, api: true });
    test.after(() => unreachable.stop());
    const carol = await openApp(browser, unreachable.url);
    const failed = new Promise<void>((resolve) => {
      carol.page.on('websocket', (socket) =>
        socket.on('framesent', ({ payload }) => {
          const text = String(payload);
          if (text.includes('voice:rtc:reportConnection') && text.includes('"outcome":"failed"')) resolve();
        }),
      );
    });
    await carol.page.reload();
    await carol.fillIn({ name: 'Carol', channel });
    await carol.press('Join');
    await within('a report of the failure', PATIENCE_MS, failed);
    await carol.close();
    const stay = await until('the stay is told', () => stays(unreachable)[0]);
    assert.match(stay, /send failed, checked; client: ICE \w+, DTLS \w+, checks sent; server: no check came/);
    const { outcomes } = await unreachable.api<Connections>('GET', '/connections');
    const [row] = outcomes.filter(({ outcome }) => outcome === 'failed');
    assert.deepEqual([row?.reached, row?.count], ['checked', 1], JSON.stringify(outcomes));
  });

  it('takes two windows of one browser for two people', TIMEOUT, async () => {
    const left = await joinApp(browser, { url: server.url, name: 'Left', channel: 'windows' });
    const right = await left.secondWindow(server.url);
    await right.fillIn({ name: 'Right', channel: 'windows' });
    await right.press('Join');
    await right.isIn();
    await Promise.all([left.shows('Right'), right.shows('Left')]);
    for (const person of [left, right]) await hears(person.page);
    await left.close();
  });

  it('raises no uncaught error in either page', () => {
    assert.deepEqual([...alice.errors, ...bob.errors], []);
  });
});
