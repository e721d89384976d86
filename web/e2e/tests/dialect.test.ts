// The main dialect, spoken by socket.io-client and mediasoup-client as they come from npm, without our SDK.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { Bare, barePage } from '../harness/bare.js';
import { type Person, startChromium } from '../harness/chromium.js';
import { fallsSilent, energyRises, hears, inbound, sees, standsStill, track } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };

describe('socket.io-client and mediasoup-client from npm', () => {
  let server: Server;
  let browser: Browser;
  let [here, there]: [Person | undefined, Person | undefined] = [undefined, undefined];
  let room = 0;

  before(async () => {
    server = await Server.start({ name: 'dialect' });
    browser = await startChromium();
    [here, there] = [await barePage(browser, server.url), await barePage(browser, server.url)];
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    await server?.holdsNothing();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  /** Two people in a channel of their own. They leave when `use` ends. */
  async function couple(use: (alice: Bare, bob: Bare, channel: string) => Promise<void>): Promise<void> {
    const channel = `dialect-${++room}`;
    assert.ok(here !== undefined && there !== undefined);
    const alice = await Bare.connect(here.page, server, `alice-${room}`);
    const bob = await Bare.connect(there.page, server, `bob-${room}`);
    try {
      await alice.join(channel);
      await bob.join(channel);
      await use(alice, bob, channel);
    } finally {
      await alice.close();
      await bob.close();
    }
  }

  it('carries Opus: the far side decodes sound, and WebAudio measures it', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      await alice.produce({ source: 'mic' });
      const { track: id } = await bob.consume((await bob.announced('mic')).producerId);
      await hears(bob.page, id);
      assert.equal((await track(bob.page, id))?.codec, 'audio/opus');
    });
  });

  for (const codec of ['video/VP8', 'video/H264', 'video/VP9']) {
    it(`carries ${codec}: the far side decodes pictures`, TIMEOUT, async () => {
      await couple(async (alice, bob) => {
        const producer = await alice.produce({ source: 'camera', codec });
        const { track: id } = await bob.consume((await bob.announced('camera')).producerId);
        const seen = await sees(bob.page, (stream) => stream.track === id);
        assert.equal(seen.codec, codec);
        await alice.client.evaluate((client, id) => client.closeProducer(id), producer);
        await bob.pushed('voice:producerClosed', ({ producerId }) => producerId === producer);
      });
    });
  }

  for (const codec of ['video/VP8', 'video/H264']) {
    it(`switches simulcast layers of ${codec} down and up`, TIMEOUT, async () => {
      await couple(async (alice, bob) => {
        await alice.produce({ source: 'camera', codec, simulcast: true, width: 960, height: 540 });
        const { consumerId, track: id, type } = await bob.consume((await bob.announced('camera')).producerId);
        assert.equal(type, 'simulcast');
        const widthIs = (width: number) => sees(bob.page, (stream) => stream.track === id && stream.frameWidth === width, 60_000);
        await widthIs(960);
        for (const [spatialLayer, width] of [
          [0, 240],
          [2, 960],
          [1, 480],
        ] as const) {
          await bob.request('voice:rtc:setPreferredLayers', { consumerId, spatialLayer });
          await widthIs(width);
        }
      });
    });
  }

  it('pauses and resumes a producer and a consumer', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      const producerId = await alice.produce({ source: 'mic' });
      const { consumerId, track: id } = await bob.consume((await bob.announced('mic')).producerId);
      await hears(bob.page, id);
      for (const [what, payload, by] of [
        ['Producer', { producerId }, alice],
        ['Consumer', { consumerId }, bob],
      ] as const) {
        await by.request(`voice:rtc:pause${what}`, payload);
        await fallsSilent(bob.page, id);
        await by.request(`voice:rtc:resume${what}`, payload);
        await energyRises(bob.page, id);
      }
      await bob.pushed('voice:producerPaused', (event) => event['producerId'] === producerId);
      await bob.pushed('voice:producerResumed', (event) => event['producerId'] === producerId);
    });
  });

  it('goes on with pictures after a consumer was paused', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      await alice.produce({ source: 'camera' });
      const { consumerId, track: id } = await bob.consume((await bob.announced('camera')).producerId);
      await sees(bob.page, (stream) => stream.track === id);
      await bob.request('voice:rtc:pauseConsumer', { consumerId });
      await standsStill(bob.page, id);
      await bob.request('voice:rtc:resumeConsumer', { consumerId });
      await sees(bob.page, (stream) => stream.track === id);
    });
  });

  it('answers a key-frame request with a key frame', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      await alice.produce({ source: 'camera' });
      const { consumerId, track: id } = await bob.consume((await bob.announced('camera')).producerId);
      const before = (await sees(bob.page, (stream) => stream.track === id)).keyFramesDecoded;
      await bob.request('voice:rtc:requestKeyFrame', { consumerId });
      await until('a key frame is decoded', async () => ((await track(bob.page, id))?.keyFramesDecoded ?? 0) > before);
    });
  });

  it('goes on after an ICE restart of both transports', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      await alice.produce({ source: 'mic' });
      const { track: id } = await bob.consume((await bob.announced('mic')).producerId);
      await hears(bob.page, id);
      const before = await bob.page.evaluate(() => window.probe.serverUfrags());
      for (const person of [alice, bob]) await person.client.evaluate((client) => client.restartIce());
      await until('media runs on the new credentials', async () => {
        const [ufrags, states] = await bob.page.evaluate(() => [window.probe.serverUfrags(), window.probe.states()]);
        return ufrags.length > 0 && ufrags.every((ufrag) => !before.includes(ufrag)) && states.includes('connected');
      });
      await energyRises(bob.page, id);
      const lost = (await bob.page.evaluate(() => window.probe.states())).filter((state) => state === 'disconnected' || state === 'failed');
      assert.deepEqual(lost, []);
    });
  });

  it('closes a producer and makes it again', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      for (let round = 0; round < 3; round++) {
        const mark = await bob.mark();
        const producerId = await alice.produce({ source: 'mic' });
        const info = await bob.announced('mic', mark);
        assert.equal(info.producerId, producerId);
        const { consumerId, track: id } = await bob.consume(producerId);
        await hears(bob.page, id);
        await alice.client.evaluate((client, id) => client.closeProducer(id), producerId);
        await bob.pushed('voice:producerClosed', (event) => event['producerId'] === producerId);
        await bob.client.evaluate((client, id) => client.dropConsumer(id), consumerId);
      }
    });
  });

  it('runs over ICE-TCP where UDP cannot', TIMEOUT, async () => {
    assert.ok(here !== undefined && there !== undefined);
    const alice = await Bare.connect(here.page, server, 'alice-tcp');
    const bob = await Bare.connect(there.page, server, 'bob-tcp');
    try {
      await alice.join('dialect-tcp', 'tcp');
      await bob.join('dialect-tcp', 'tcp');
      await alice.produce({ source: 'mic' });
      const { track: id } = await bob.consume((await bob.announced('mic')).producerId);
      await hears(bob.page, id);
      const routes = await bob.page.evaluate(() => window.probe.routes());
      assert.ok(routes.length > 0);
      assert.deepEqual([...new Set(routes.map((route) => route.protocol))], ['tcp']);
    } finally {
      await alice.close();
      await bob.close();
    }
  });

  it('answers a request without acknowledgement by its event', TIMEOUT, async () => {
    assert.ok(here !== undefined);
    const alice = await Bare.connect(here.page, server, 'alice-events');
    try {
      const joined = await alice.exchange('voice:join', { channelId: 'events' }, 'voice:joined');
      assert.equal(joined['channelId'], 'events');
      for (const [event, payload, answer] of [
        ['voice:rtc:getRouterRtpCapabilities', {}, 'voice:routerRtpCapabilities'],
        ['voice:rtc:createTransport', { direction: 'send' }, 'voice:transportCreated'],
        ['voice:state:update', { muted: true }, 'voice:stateUpdated'],
        ['voice:leave', {}, 'voice:left'],
      ] as const) {
        await alice.exchange(event, payload, answer);
      }
      const refusal = await alice.exchange('voice:rtc:createTransport', { direction: 'up' }, 'voice:rtc:error');
      assert.equal(refusal['code'], 'INVALID_REQUEST');
      assert.equal(refusal['event'], 'voice:rtc:createTransport');
      assert.equal(typeof refusal['error'], 'string');
    } finally {
      await alice.close();
    }
  });

  it('speaks long polling as well, and changes to WebSocket where the client wishes', TIMEOUT, async () => {
    assert.ok(here !== undefined);
    for (const [transports, carrier] of [
      [['polling'], 'polling'],
      [['polling', 'websocket'], 'websocket'],
    ] as const) {
      const alice = await Bare.connectWith(here.page, server.url, await server.guestToken(`alice-${carrier}`), [...transports]);
      await alice.join(`carried by ${carrier}`);
      await until(`the socket is carried by ${carrier}`, async () => (await alice.carrier()) === carrier);
      await alice.exchange('voice:state:update', { muted: true }, 'voice:stateUpdated');
      await alice.close();
    }
  });

  it('cuts off whoever sends more than 64 KiB at once, and nobody else', TIMEOUT, async () => {
    await couple(async (alice, bob) => {
      await alice.client.evaluate((client) => client.emit('voice:state:update', { muted: true, padding: 'x'.repeat(70_000) }));
      await until('the socket is cut off', async () => (await alice.carrier()) === 'none');
      await bob.pushed('voice:participant:left');
      await bob.exchange('voice:state:update', { muted: true }, 'voice:stateUpdated');
    });
  });

  it('refuses what a client lies about, and the call goes on', TIMEOUT, async () => {
    await couple(async (alice, bob, channel) => {
      await alice.produce({ source: 'mic' });
      const { track: id, consumerId } = await bob.consume((await bob.announced('mic')).producerId);
      await hears(bob.page, id);
      const mine = await alice.client.evaluate((client) => client.ids());
      const theirs = await bob.client.evaluate((client) => client.ids());
      const rtpParameters = { codecs: [], encodings: [], headerExtensions: [] };
      for (const [event, payload, code] of [
        ['voice:join', { channelId: 7 }, 'INVALID_REQUEST'],
        ['voice:join', [], 'INVALID_REQUEST'],
        ['voice:nonsense', {}, 'UNKNOWN_EVENT'],
        ['voice:rtc:createTransport', { direction: 'send' }, 'INVALID_STATE'],
        ['voice:rtc:connectTransport', { transportId: mine.send, dtlsParameters: { fingerprints: [] } }, 'INVALID_REQUEST'],
        ['voice:rtc:produce', { transportId: mine.send, kind: 'audio', rtpParameters, appData: { source: 'mic' } }, 'INVALID_REQUEST'],
        ['voice:rtc:restartIce', { transportId: theirs.recv }, 'NOT_FOUND'],
        ['voice:rtc:pauseConsumer', { consumerId }, 'NOT_FOUND'],
        ['voice:rtc:closeProducer', { producerId: 'no-such-id' }, 'NOT_FOUND'],
        ['voice:state:update', { muted: 'yes' }, 'INVALID_REQUEST'],
      ] as const) {
        assert.equal(await alice.refusalOf(event, payload), code, `${event} ${JSON.stringify(payload)} in ${channel}`);
      }
      await energyRises(bob.page, id);
      assert.ok((await inbound(bob.page)).length > 0);
    });
  });

  it('refuses a connection without a valid token, with a code and a sentence', TIMEOUT, async () => {
    assert.ok(here !== undefined);
    const exp = Math.floor(Date.now() / 1000);
    for (const token of [
      undefined,
      7,
      '',
      'not.a.token',
      server.signedToken({ sub: 'mallory', name: 'Mallory' }, 'another secret, which is long enough to be one'),
      server.signedToken({ sub: 'mallory', name: 'Mallory', exp: exp - 3600 }),
    ]) {
      await assert.rejects(Bare.connectWith(here.page, server.url, token), /UNAUTHENTICATED: .*\./, `token ${String(token)}`);
    }
    const good = await Bare.connectWith(here.page, server.url, server.signedToken({ sub: 'carol', name: 'Carol' }));
    await good.close();
  });
});
