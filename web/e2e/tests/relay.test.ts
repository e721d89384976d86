// Calls in privacy mode: all media goes through a real coturn, or the TURN server in Parlor, with the credentials of the server,
// and goes on when they end.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { type AppPerson, joinApp } from '../harness/app.js';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { Coturn } from '../harness/coturn.js';
import { type Evaluates, energyRises, hears } from '../harness/measure.js';
import { freeHttpPort, Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };

/** So long a credential lasts here: the shortest there is. */
const TTL = '10s';
const CHANNEL = '[[channels]]\nid = "quiet"\ntier = "pro"\nprivacy = "relay"\n';

describe('in a channel in privacy mode', () => {
  let browser: Browser;
  let coturn: Coturn;

  before(async () => {
    coturn = await Coturn.start('relay');
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    await coturn?.stop();
  });

  async function onlyRelays(page: Evaluates): Promise<void> {
    const { selected, gathered } = await until('both connections are up', async () => {
      const candidates = await page.evaluate(() => window.probe.candidates());
      return candidates.selected.length === 2 ? candidates : null;
    });
    assert.deepEqual([...new Set([...selected, ...gathered])], ['relay']);
  }

  for (const [way, told] of [
    ['udp', () => ''],
    [
      'tcp',
      (port: number) => `[turn]\nprovider = "embedded"\nlisten = "127.0.0.1:${port}"\nurls = "turn:127.0.0.1:${port}?transport=tcp"\n`,
    ],
  ] as const) {
    const whose = way === 'udp' ? 'a development server that nobody told of TURN' : 'the embedded TURN server';
    it(`people hear each other through ${whose}, over ${way}`, TIMEOUT, async (test) => {
      const server = await Server.start({ name: `relay-embedded-${way}`, toml: told(await freeHttpPort()) + CHANNEL });
      test.after(() => server.stop());
      const people: AppPerson[] = [];
      for (const name of ['Alice', 'Bob']) people.push(await joinApp(browser, { url: server.url, name, channel: 'quiet' }));
      for (const { page, errors } of people) {
        await hears(page);
        await onlyRelays(page);
        const selected = (await page.evaluate(() => window.probe.paths())).filter((path) => path.selected);
        assert.deepEqual([...new Set(selected.map((path) => path.relayProtocol))], [way]);
        assert.deepEqual(errors, []);
      }
      for (const person of people) await person.close();
    });
  }

  it('people hear each other through coturn, and go on when their credentials have ended', TIMEOUT, async () => {
    const server = await Server.start({ name: 'relay', toml: coturn.toml('udp', TTL) + CHANNEL });
    const people: AppPerson[] = [];
    for (const name of ['Alice', 'Bob']) people.push(await joinApp(browser, { url: server.url, name, channel: 'quiet' }));
    const heard = [];
    for (const { page } of people) {
      heard.push(await hears(page));
      await onlyRelays(page);
    }
    // Twice as long as a credential lasts: each is renewed, and its relay is made anew.
    for (const round of [1, 2]) {
      for (const { page } of people) {
        const [users, ufrags] = [
          await page.evaluate(() => window.probe.turnUsers()),
          await page.evaluate(() => window.probe.serverUfrags()),
        ];
        await until(`both connections have new credentials and new relays in round ${round}`, async () => {
          const now = [
            ...(await page.evaluate(() => window.probe.turnUsers())),
            ...(await page.evaluate(() => window.probe.serverUfrags())),
          ];
          return [...users, ...ufrags].every((old) => !now.includes(old));
        });
      }
    }
    for (const [n, { page, errors }] of people.entries()) {
      await energyRises(page, heard[n] ?? '');
      await onlyRelays(page);
      assert.deepEqual(errors, []);
    }
    for (const person of people) await person.close();
    assert.equal(await server.stop(), 0, 'the server stops cleanly');
  });

  it('a client of its own is told no STUN server and no other way, and hears through TCP as well', TIMEOUT, async () => {
    const toml = `${coturn.toml('tcp')}[[ice.servers]]\nurls = ["stun:127.0.0.1:${coturn.port}"]\n${CHANNEL}`;
    const server = await Server.start({ name: 'relay-tcp', toml });
    const [alice, bob] = await Promise.all(
      ['alice', 'bob'].map(async (name) => await Bare.connect((await barePage(browser, server.url)).page, server, name)),
    );
    assert.ok(alice !== undefined && bob !== undefined);
    for (const person of [alice, bob]) {
      const { rtcConfig } = await person.join('quiet');
      assert.equal(rtcConfig.iceTransportPolicy, 'relay');
      assert.deepEqual(
        rtcConfig.iceServers.flatMap(({ urls }) => urls),
        [`turn:127.0.0.1:${coturn.port}?transport=tcp`],
      );
      await person.produce({ source: 'mic' });
    }
    const { track } = await alice.consume((await alice.announced('mic')).producerId);
    await hears(alice.page, track);
    await onlyRelays(alice.page);
    for (const person of [alice, bob]) await person.close();
    assert.equal(await server.stop(), 0, 'the server stops cleanly');
  });

  it('without a TURN server, the page says that media cannot be reached, and leaves it at that', TIMEOUT, async () => {
    // A development server that is told nothing relays by itself.
    const server = await Server.start({ name: 'relay-none', toml: `[turn]\nprovider = "none"\n${CHANNEL}` });
    const alice = await joinApp(browser, { url: server.url, name: 'Alice', channel: 'quiet' });
    const sentence = alice.page.getByTestId('cut-off').getByText(/^The server’s media cannot be reached from here/);
    await sentence.waitFor({ timeout: 30_000 });
    await until('the dot says so too', async () =>
      (await alice.page.getByTestId('connection').getAttribute('title'))?.includes('without sound'),
    );
    await alice.press('Leave');
    await sentence.waitFor({ state: 'detached' });
    await alice.close();
    assert.equal(await server.stop(), 0, 'the server stops cleanly');
  });
});
