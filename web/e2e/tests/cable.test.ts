// A cable that is out for some seconds is no goodbye: nobody sees anybody leave, and sound and pictures go on.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { io, type Socket } from 'socket.io-client';
import { joinApp, type AppPerson } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { Firefox, FirefoxPerson } from '../harness/firefox.js';
import { type Evaluates, inbound } from '../harness/measure.js';
import { NetworkNamespace } from '../harness/netns.js';
import { Server } from '../harness/server.js';
import { pause, until } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };
const CHANNEL = 'cable';

/** From the moment the cable is back: a check of ICE, and a key frame; 4 s as measured on a busy machine. */
const BACK_MS = 10_000;

/** Packets, or pictures, that are more than what was under way when the cable went. */
const GOES_ON = 10;

describe('a cable that is out', () => {
  let cable: NetworkNamespace;
  let server: Server;
  let [near, far]: [Browser | undefined, Browser | undefined] = [undefined, undefined];
  let firefox: Firefox;
  let alice: AppPerson;
  let dan: AppPerson;
  let fiona: FirefoxPerson;
  /** Somebody who only listens to what is told of the others. */
  let watcher: Socket;
  const told: string[] = [];

  before(async () => {
    cable = NetworkNamespace.create();
    // Made after the cable, so that its address on it is among those it offers by default.
    server = await Server.start({ name: 'cable', listen: '0.0.0.0' });
    const url = `http://${cable.hostAddress}:${server.port}`;
    near = await startChromium();
    far = await startChromium({ namespace: cable, secureOrigin: url });
    firefox = await Firefox.start({ namespace: cable });
    alice = await joinApp(near, { url: server.url, name: 'Alice', channel: CHANNEL });
    dan = await joinApp(far, { url, name: 'Dan', channel: CHANNEL });
    fiona = new FirefoxPerson(await firefox.newPage());
    await fiona.join(url, 'Fiona', CHANNEL);
    for (const person of [alice, dan, fiona]) await person.press('Camera');
    watcher = io(server.url, { transports: ['websocket'], auth: { token: await server.guestToken('watcher') }, forceNew: true });
    await new Promise<void>((resolve, reject) => watcher.once('connect', resolve).once('connect_error', reject));
    await watcher.timeout(12_000).emitWithAck('voice:join', { channelId: CHANNEL });
    await until('each hears and sees both others', async () => {
      const counts = (await Promise.all(pages().map(arrived))).map((tracks) => [...tracks.values()]);
      if (counts.some((tracks) => tracks.length !== 4)) throw new Error(`arrived: ${JSON.stringify(counts)}`);
      return true;
    });
    watcher.onAny((name: string) => told.push(name));
  }, TIMEOUT);

  after(async () => {
    watcher?.disconnect();
    await firefox?.close();
    await far?.close();
    await near?.close();
    cable?.remove();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  function pages(): Evaluates[] {
    return [alice.page, dan.page, fiona.page];
  }

  /** What has come by each track: packets of sound, or pictures. */
  async function arrived(page: Evaluates): Promise<Map<string, number>> {
    const streams = await inbound(page);
    const counts = streams.map(({ track, kind, packets, framesDecoded }) => [track, kind === 'audio' ? packets : framesDecoded] as const);
    return new Map(counts.filter(([, count]) => count > 0));
  }

  /** What has not gone on since. */
  async function standing(before: Map<string, number>[]): Promise<string> {
    const now = await Promise.all(pages().map(arrived));
    const still = before.flatMap((tracks, at) =>
      [...tracks].filter(([track, count]) => (now[at]?.get(track) ?? 0) < count + GOES_ON).map(([track]) => `${at}: ${track}`),
    );
    return still.join(', ');
  }

  for (const seconds of [1, 3, 5]) {
    it(`for ${seconds} s is not noticed by the others, and everybody is heard and seen again`, TIMEOUT, async () => {
      const mark = told.length;
      cable.unplug();
      const out = pause(seconds * 1_000);
      // Firefox takes its time to say that there is no network; Chromium does at once.
      if (seconds > 1) await dan.page.getByTestId('cut-off').waitFor({ timeout: seconds * 1_000 });
      await out;
      cable.plugIn();
      const before = await Promise.all(pages().map(arrived));
      await until(
        'all that came before the cut goes on',
        async () => {
          const still = await standing(before);
          if (still !== '') throw new Error(`standing still: ${still}`);
          return true;
        },
        BACK_MS,
      );
      await dan.page.getByTestId('cut-off').waitFor({ state: 'detached' });
      await dan.isIn();
      // The same tracks of the same sessions: who leaves and joins again is told of, and so is what they send anew.
      const changes = told.slice(mark).filter((name) => /participant:(joined|left)|[pP]roducer/.test(name));
      assert.deepEqual(changes, []);
      assert.deepEqual([...alice.errors, ...dan.errors], []);
    });
  }
});
