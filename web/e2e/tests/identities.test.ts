// Whatever the host application calls its users: everybody is heard, in both browsers. And one track that a browser
// cannot take costs nobody else theirs.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import type { Page } from 'puppeteer-core';
import { type AppPerson, joinSigned } from '../harness/app.js';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { Firefox } from '../harness/firefox.js';
import { type Evaluates, energyRises, hears, inbound } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { pause, until } from '../harness/until.js';

const TIMEOUT = { timeout: 180_000 };

/** Spaces, letters outside ASCII, and what means something to SDP, to URLs, to SQL or to HTML. */
const IDS = [
  '🎲',
  'a=b',
  'user:7',
  'a/b',
  '..',
  '%2F',
  'x'.repeat(128),
  "O'Brien; DROP TABLE",
  'a\\b',
  '"quoted"',
  '<b>',
  'm=audio 9 RTP/AVP 0',
];

describe('user ids', () => {
  let server: Server;
  let chromium: Browser;
  let firefox: Firefox;
  let john: AppPerson;
  let juergen: Page;
  let crew: Bare[];

  before(async () => {
    server = await Server.start({ name: 'identities', dev: false, api: true });
    await server.api('PUT', '/channels/names', { name: 'Names', tier: 'pro' });
    chromium = await startChromium();
    firefox = await Firefox.start();
  }, TIMEOUT);

  after(async () => {
    await firefox?.close();
    await chromium?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('of every kind: everybody who speaks arrives in Chromium and in Firefox', TIMEOUT, async () => {
    // One before the crowd and one after it, so that both ways into a description are taken: many at once, and one by one.
    john = await joinSigned(chromium, server, { name: 'John', sub: 'john doe', channel: 'names' });
    const { page } = await barePage(chromium, server.url);
    crew = [];
    for (const sub of IDS) {
      const bare = await Bare.connectWith(page, server.url, server.signedToken({ sub, name: 'Somebody', pro: true }));
      await bare.join('names');
      await bare.produce({ source: 'mic' });
      crew.push(bare);
    }
    juergen = await firefox.newPage();
    const token = server.signedToken({ sub: 'Jürgen', name: 'Jürgen', pro: true });
    await juergen.goto(`${server.url}/?debug#token=${token}&channel=names`);
    await until('Firefox joins', () =>
      juergen.evaluate(() => {
        const join = document.querySelector<HTMLButtonElement>('[data-testid=join]:not(:disabled)');
        join?.click();
        return join !== null;
      }),
    );
    await arrive(john.page, IDS.length + 1);
    await arrive(juergen, IDS.length + 1);
    await hears(john.page);
    await hears(juergen);
    // Who comes when all that is described still is.
    const late = await Bare.connectWith(page, server.url, server.signedToken({ sub: 'late comer', name: 'Late', pro: true }));
    await late.join('names');
    await late.produce({ source: 'mic' });
    crew.push(late);
    await arrive(john.page, IDS.length + 2);
    await arrive(juergen, IDS.length + 2);
    assert.deepEqual(john.errors, []);
    assert.equal(await john.page.getByTestId('notice').count(), 0);
  });

  it('with control characters are refused, and the claim is named', TIMEOUT, async () => {
    const { page } = await barePage(chromium, server.url);
    const signed = server.signedToken({ sub: 'a=b\r\n', name: 'Ann' });
    await assert.rejects(Bare.connectWith(page, server.url, signed), /UNAUTHENTICATED.*"claim":"sub"/);
  });

  it('are no matter to a browser that cannot take one track: all others are heard, on a connection made anew', TIMEOUT, async () => {
    for (const bare of crew.splice(2)) await bare.close();
    const [ann, bob] = crew;
    assert.ok(ann && bob);
    const eve = await joinSigned(chromium, server, { name: 'Eve', channel: 'names' });
    await arrive(eve.page, 4);
    // As a browser does that finds something in a description it cannot read.
    await eve.page.evaluate(() => {
      const { prototype } = RTCPeerConnection;
      const real: (description: RTCSessionDescriptionInit) => Promise<void> = prototype.setRemoteDescription;
      prototype.setRemoteDescription = function (description: RTCSessionDescriptionInit) {
        const offered = description.type === 'offer' && /^m=video /m.test(description.sdp ?? '');
        return offered ? Promise.reject(new DOMException('no such line', 'OperationError')) : real.call(this, description);
      };
    });
    await ann.produce({ source: 'camera', codec: 'video/VP8', width: 160, height: 90 });
    await eve.reads(/This browser cannot play what somebody sends/);
    await arrive(eve.page, 4);
    await energyRises(eve.page, await hears(eve.page));
    // The connection takes what comes later.
    const { page } = await barePage(chromium, server.url);
    const late = await Bare.connectWith(page, server.url, server.signedToken({ sub: 'latest', name: 'Latest', pro: true }));
    await late.join('names');
    await late.produce({ source: 'mic' });
    await arrive(eve.page, 5);
    // Nobody saw her go and come back.
    const left = await bob.client.evaluate((client) => client.events.filter(({ name }) => name === 'voice:participant:left'));
    assert.deepEqual(
      left.filter(({ payload }) => payload['userId'] === 'eve'),
      [],
    );
    assert.deepEqual(eve.errors, []);
  });
});

/** Waits until packets of exactly so many microphones arrive, on connections that are open. */
async function arrive(page: Evaluates, wanted: number): Promise<void> {
  await until(`${wanted} microphones arrive`, async () => {
    const before = new Map((await inbound(page)).map(({ track, packets }) => [track, packets]));
    await pause(1_000);
    const now = (await inbound(page)).filter(({ kind, track, packets }) => kind === 'audio' && packets > (before.get(track) ?? 0));
    if (now.length === wanted) return true;
    throw new Error(`${now.length} of them`);
  });
}
