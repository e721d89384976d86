// Firefox and Chromium behind a NAT that gives them other ports in the middle of a call: sound goes on, both ways.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { joinApp, type AppPerson } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { Firefox, FirefoxPerson } from '../harness/firefox.js';
import { type Evaluates, hears, inbound } from '../harness/measure.js';
import { Nat } from '../harness/nat.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 180_000 };

/** Firefox checks the path it uses every 4 to 6 s, and the server follows when nothing came by the old one for 5 s. */
const FOLLOWED_MS = 20_000;

describe('behind a NAT that forgets its ports', () => {
  let server: Server;
  let nat: Nat;
  let chromium: Browser;
  let firefox: Firefox;
  let alice: AppPerson;
  let fiona: FirefoxPerson;

  before(async () => {
    server = await Server.start({ name: 'nat', media: Nat.media(), toml: '[log]\nlevel = "info,parlor_sfu=debug"' });
    nat = await Nat.before(server.mediaPort);
    chromium = await startChromium();
    firefox = await Firefox.start();
    alice = await joinApp(chromium, { url: server.url, name: 'Alice', channel: 'NAT' });
    fiona = new FirefoxPerson(await firefox.newPage());
    await fiona.join(server.url, 'Fiona', 'NAT');
  }, TIMEOUT);

  after(async () => {
    await firefox?.close();
    await chromium?.close();
    nat?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  /** Packets of sound that have arrived, and are of somebody. */
  async function heardOf(page: Evaluates): Promise<number> {
    return (await inbound(page)).filter((stream) => stream.kind === 'audio').reduce((sum, stream) => sum + stream.packets, 0);
  }

  it('each hears the other again, and nothing more is sent to the old ports', TIMEOUT, async () => {
    const pages: [string, Evaluates][] = [
      ['Chromium', alice.page],
      ['Firefox', fiona.page],
    ];
    for (const [, page] of pages) await hears(page);
    for (const round of [1, 2]) {
      nat.rebind();
      const before = await Promise.all(pages.map(([, page]) => heardOf(page)));
      for (const [at, [name, page]] of pages.entries()) {
        const enough = (before[at] ?? 0) + 100;
        await until(`${name} gets 100 packets more in round ${round}`, async () => (await heardOf(page)) >= enough, FOLLOWED_MS);
      }
      const lost = nat.lost;
      for (const [, page] of pages) await hears(page);
      assert.equal(nat.lost, lost, `round ${round}`);
    }
    assert.deepEqual(alice.errors, []);
  });
});
