// Bad networks, on a cable of our own: loss both ways, and a plug that is pulled.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { energyRises, hears, sees, track } from '../harness/measure.js';
import { NetworkNamespace } from '../harness/netns.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };

/** The heartbeat notices within 16 s; then the server waits 10 s for who comes back. */
const GONE_MS = 20_000;

describe('on a bad network', () => {
  let cable: NetworkNamespace;
  let server: Server;
  let [near, far]: [Browser | undefined, Browser | undefined] = [undefined, undefined];

  before(async () => {
    cable = NetworkNamespace.create();
    // Made after the cable, so that its address on it is among those it offers by default.
    server = await Server.start({ name: 'network', listen: '0.0.0.0' });
    near = await startChromium();
    far = await startChromium({ namespace: cable, secureOrigin: `http://${cable.hostAddress}:${server.port}` });
  }, TIMEOUT);

  after(async () => {
    await far?.close();
    await near?.close();
    cable?.remove();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  /** Bob on this machine, Alice at the far end of the cable. */
  async function join(channel: string): Promise<{ alice: Bare; bob: Bare }> {
    assert.ok(near !== undefined && far !== undefined);
    const url = `http://${cable.hostAddress}:${server.port}`;
    const alice = await Bare.connect((await barePage(far, url)).page, server, `alice-${channel}`, { url });
    const bob = await Bare.connect((await barePage(near, server.url)).page, server, `bob-${channel}`);
    await alice.join(channel);
    await bob.join(channel);
    return { alice, bob };
  }

  it('repairs 5 % loss in both directions: both go on hearing and seeing', TIMEOUT, async () => {
    cable.clear();
    const { alice, bob } = await join('loss');
    cable.loseDatagrams(5);
    const people = [
      [alice, bob],
      [bob, alice],
    ] as const;
    for (const [person] of people) {
      await person.produce({ source: 'mic' });
      await person.produce({ source: 'camera' });
    }
    for (const [person, other] of people) {
      const sound = await other.consume((await other.announced('mic')).producerId);
      const picture = await other.consume((await other.announced('camera')).producerId);
      await hears(other.page, sound.track);
      const first = await sees(other.page, (stream) => stream.track === picture.track);
      // 10 s of the 15 frames a second that are sent, with room for a slow machine.
      await until('150 more pictures are decoded', async () => {
        const frames = (await track(other.page, picture.track))?.framesDecoded ?? 0;
        return frames > first.framesDecoded + 150;
      });
      await energyRises(other.page, sound.track);
      assert.ok(person !== other);
    }
    const { input, output } = cable.dropped();
    assert.ok(input > 20 && output > 20, `the loss was real: ${input} in, ${output} out`);
    const repaired = await until('a lost packet is repaired by RTX on the far side', async () => {
      const streams = await alice.page.evaluate(() => window.probe.inbound());
      return streams.find((stream) => stream.kind === 'video' && stream.retransmitted > 0);
    });
    assert.ok(repaired.nacks > 0);
    cable.clear();
    await alice.close();
    await bob.close();
  });

  it('goes over TCP where a firewall drops every datagram', TIMEOUT, async () => {
    cable.loseDatagrams(100);
    const { alice, bob } = await join('firewall');
    for (const [person, other] of [
      [alice, bob],
      [bob, alice],
    ] as const) {
      await person.produce({ source: 'mic' });
      const { track: id } = await other.consume((await other.announced('mic')).producerId);
      await hears(other.page, id);
    }
    const routes = await alice.page.evaluate(() => window.probe.routes());
    assert.deepEqual([...new Set(routes.map((route) => route.protocol))], ['tcp']);
    cable.clear();
    await alice.close();
    await bob.close();
  });

  it("tells the others within 20 s that somebody's network is gone and does not come back", TIMEOUT, async () => {
    cable.clear();
    const { alice, bob } = await join('plug');
    await alice.produce({ source: 'mic' });
    const { track: id } = await bob.consume((await bob.announced('mic')).producerId);
    await hears(bob.page, id);
    cable.vanish();
    await bob.pushed('voice:participant:left', ({ userId }) => userId === 'alice-plug', 0, GONE_MS);
    await bob.close();
  });

  it('tells the others at once when a browser is killed', TIMEOUT, async () => {
    cable.clear();
    const { bob } = await join('kill');
    await far?.close();
    far = undefined;
    await bob.pushed('voice:participant:left', ({ userId }) => userId === 'alice-kill', 0, 3_000);
    await bob.close();
  });
});
