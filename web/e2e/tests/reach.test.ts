// Calls from every kind of network: behind symmetric NATs, where only 443 is open, with one family of addresses, and through
// changes of all that in mid-call. Each person has a real Chromium in a home with a router of its own.

import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type AppPerson, joinApp } from '../harness/app.js';
import { Certificate } from '../harness/certificate.js';
import { startChromium } from '../harness/chromium.js';
import { Coturn } from '../harness/coturn.js';
import { type Home, Internet } from '../harness/internet.js';
import { energyRises, hears, inbound } from '../harness/measure.js';
import { type EnterOptions, MeshPerson } from '../harness/mesh.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';
import type { Inbound, Path } from '../page/probe.js';

const TIMEOUT = { timeout: 90_000 };
const TURN_NAME = 'turn.parlor.test';
const SITE_NAME = 'media.parlor.test';
/** Of sound, in two seconds. */
const PACKETS = 100;
const CHANNELS = `
[[channels]]
id = "direct"
topology = "mesh"
[[channels]]
id = "masked"
topology = "mesh"
privacy = "relay"
[[channels]]
id = "hall"
tier = "pro"
[[channels]]
id = "quiet"
tier = "pro"
privacy = "relay"
`;

describe('from any network', () => {
  let net: Internet;
  let server: Server;
  let homes: [Home, Home];
  /** The private network of a server. */
  let site: Home;
  let browsers: [Browser, Browser];
  /** The address of the page, where only port 443 is open as well. */
  let url: string;
  /** The same in IPv6. */
  let url6: string;

  before(async () => {
    net = Internet.create();
    homes = [net.home(), net.home()];
    site = net.home();
    const certificate = new Certificate(TURN_NAME);
    const [page, media, turn, page6, media6, turn6] = ([4, 6] as const).flatMap((family) => [0, 1, 2].map((n) => net.address(n, family)));
    [url, url6] = [`http://${page}:443`, `http://[${page6}]:443`];
    const toml = `
[turn]
provider = "embedded"
urls = ["turn:${turn}:3478?transport=udp", "turn:[${turn6}]:3478?transport=udp", "turn:${turn}:3478?transport=tcp", "turns:${TURN_NAME}:443?transport=tcp"]
listen = ["${turn}:3478", "[${turn6}]:3478"]
relay_ip = ["${turn}", "${turn6}"]
tls_listen = "${turn}:443"
tls_cert = "${certificate.chain}"
tls_key = "${certificate.key}"
${CHANNELS}`;
    server = await Server.start({
      name: 'reach',
      inside: { namespace: net.core, listen: [`${page}:443`, `[${page6}]:443`] },
      mediaPort: 443,
      media: `workers = 1\nlisten_ip = ["${media}", "${media6}"]`,
      toml,
    });
    const origins = [net.address(0), net.address(3), site.outside, site.spare].map((address) => `http://${address}:443`);
    // Chromium asks for the name with a dot at its end.
    const flags = [certificate.flag, `--host-resolver-rules=MAP ${TURN_NAME}* ${turn}, MAP ${SITE_NAME}* ${site.outside}`];
    const secureOrigin = [...origins, url6].join();
    const [first, second] = await Promise.all(homes.map(({ machine }) => startChromium({ namespace: machine, secureOrigin, flags })));
    assert.ok(first !== undefined && second !== undefined);
    browsers = [first, second];
  }, TIMEOUT);

  afterEach(async () => {
    for (const browser of browsers) for (const context of browser.contexts()) await context.close();
    for (const home of homes) {
      home.letsOut('symmetric');
      home.has([4]);
    }
  });

  after(async () => {
    for (const browser of browsers ?? []) await browser.close();
    const code = await server?.stop();
    net?.remove();
    assert.equal(code, 0, 'the server stops cleanly');
  });

  /** Waits until every connection of a page goes by one way, and answers all ways that were found to work. */
  async function ways(page: Page, connections: number): Promise<Path[]> {
    return await until('every connection has its way', async () => {
      const paths = await page.evaluate(() => window.probe.paths());
      return paths.filter(({ selected }) => selected).length === connections ? paths : null;
    });
  }

  /** A call of the two homes in the app. */
  async function call(channel: string, urls: string[] = [url, url]): Promise<[AppPerson, AppPerson]> {
    const people = [];
    for (const [n, name] of ['Alice', 'Bob'].entries()) {
      people.push(await joinApp(browsers[n]!, { url: urls[n]!, name, channel }));
    }
    for (const { page } of people) await hears(page);
    return [people[0]!, people[1]!];
  }

  /** A call of the two homes without the SFU. */
  async function direct(whose: Server, urls: [string, string], others: Partial<EnterOptions> = {}): Promise<[MeshPerson, MeshPerson]> {
    const people = [];
    for (const [n, dialect] of (['socketio', 'call'] as const).entries()) {
      const options = { dialect, user: `user-${n}`, room: 'direct', url: urls[n]!, ...others };
      people.push(await MeshPerson.enter(browsers[n]!, whose, options));
    }
    for (const person of people) await person.isConnectedTo(1);
    for (const person of people) await person.hears(1);
    return [people[0]!, people[1]!];
  }

  /** No way but by a relay was found. */
  async function onlyByRelays(people: Iterable<MeshPerson>): Promise<void> {
    for (const { page } of people) {
      for (const path of await ways(page, 1)) {
        assert.ok([path.local, path.remote].includes('relay'), `a way without a relay: ${JSON.stringify(path)}`);
        if (path.local === 'relay') assert.equal(path.relayProtocol, 'udp');
      }
    }
  }

  describe('two people behind symmetric NATs hear each other', () => {
    it('by the embedded TURN server', TIMEOUT, async () => {
      await onlyByRelays(await direct(server, [url, url]));
    });

    it('by coturn', TIMEOUT, async (test) => {
      const coturn = await Coturn.start('reach', { host: net.core, address: net.address(4) });
      test.after(() => coturn.stop());
      const listen = [`${net.address(3)}:443`];
      const other = await Server.start({
        name: 'reach-coturn',
        inside: { namespace: net.core, listen },
        media: 'workers = 1',
        toml: coturn.toml('udp') + CHANNELS,
      });
      test.after(() => other.stop());
      const there = `http://${net.address(3)}:443`;
      await onlyByRelays(await direct(other, [there, there]));
    });
  });

  describe('where nothing but TCP to port 443 is let out', () => {
    it('people hear each other by TURN over TLS in privacy mode', TIMEOUT, async () => {
      homes[0].letsOut('443');
      const [alice, bob] = await call('quiet');
      for (const { local, relayProtocol } of await ways(alice.page, 2)) {
        assert.deepEqual([local, relayProtocol], ['relay', 'tls']);
      }
      assert.deepEqual([...alice.errors, ...bob.errors], []);
    });

    it('people hear each other by TCP to the server itself, without a relay', TIMEOUT, async () => {
      // A browser stays with a relay by TLS if it found that first, so there is no TURN server for it.
      homes[0].letsOut('443', net.address(2));
      const [alice, bob] = await call('hall');
      await until('both connections go by TCP to the server itself', async () => {
        const selected = (await ways(alice.page, 2)).filter((path) => path.selected);
        return selected.every((path) => path.local !== 'relay' && path.protocol === 'tcp' && path.remotePort === 443);
      });
      assert.deepEqual([...alice.errors, ...bob.errors], []);
    });
  });

  describe('one with IPv6 alone and one with IPv4 alone hear each other', () => {
    beforeEach(() => homes[0].has([6]));

    it('by the server', TIMEOUT, async () => {
      const [alice, bob] = await call('hall', [url6, url]);
      assert.deepEqual([...alice.errors, ...bob.errors], []);
    });

    it('without it, by the embedded TURN server', TIMEOUT, async () => {
      await onlyByRelays(await direct(server, [url6, url]));
    });
  });

  describe('a call goes on', () => {
    /** Waits until each hears the other again: so much that it was not under way before. */
    async function goesOn(...people: AppPerson[]): Promise<void> {
      const heard = (page: Page): Promise<Inbound[]> => inbound(page).then((all) => all.filter(({ kind }) => kind === 'audio'));
      const before = await Promise.all(people.map(({ page }) => heard(page)));
      const one = async ({ page, errors }: AppPerson, old: Inbound | undefined): Promise<void> => {
        assert.ok(old !== undefined);
        await until('more sound arrives', async () => (await heard(page)).some(({ packets }) => packets > old.packets + PACKETS));
        await energyRises(page, old.track);
        assert.deepEqual(errors, []);
      };
      await Promise.all(people.map((person, n) => one(person, before[n]?.[0])));
    }

    it('by TCP, to the server and in privacy mode to a relay, when no datagram gets through any more', TIMEOUT, async () => {
      const [alice, bob] = await call('hall');
      const [carol, dan] = await call('quiet');
      homes[0].letsOut('no-udp');
      for (const { page } of [alice, carol]) {
        await until('both connections go by TCP', async () => {
          const selected = (await ways(page, 2)).filter((path) => path.selected);
          return selected.every(({ local, protocol, relayProtocol }) => (local === 'relay' ? relayProtocol !== 'udp' : protocol === 'tcp'));
        });
      }
      await goesOn(alice, bob, carol, dan);
    });

    it('when the address of somebody with a relay is another one', TIMEOUT, async () => {
      const [alice, bob] = await call('quiet');
      homes[0].has([4], 3);
      await goesOn(alice, bob);
    });
  });

  it('nobody in a mesh call in privacy mode is told an address of the others', TIMEOUT, async () => {
    for (const home of homes) home.has([4, 6]);
    const people = await direct(server, [url, url], { room: 'masked', dialect: 'socketio' });
    for (const [n, person] of people.entries()) {
      const other = homes[1 - n]!;
      for (const { local, remote } of await ways(person.page, 1)) assert.deepEqual([local, remote], ['relay', 'relay']);
      const received = person.received.join('\n');
      for (const part of [/typ relay/, /a=ice-ufrag/, /voice:participant|participants/]) assert.match(received, part);
      const told = received + (await person.page.evaluate(() => window.probe.remotes())).join('\n');
      for (const address of [...Object.values(other.networks), other.outside, '.local'])
        assert.ok(!told.includes(address), `${address}: ${told}`);
      for (const [, behind] of told.matchAll(/raddr (\S+)/g)) assert.match(behind!, /^(0\.0\.0\.0|::)$/);
    }
  });

  describe('to a server with a private address behind a one-to-one NAT, which has a name', () => {
    let hidden: Server;
    const at = (address: string): string[] => [0, 1].map(() => `http://${address}:443`);

    before(async () => {
      site.isAt(site.outside);
      site.machine.knows(SITE_NAME, site.outside);
      const media = `announced_ip = "${SITE_NAME}"\nworkers = 1`;
      const urls = [SITE_NAME, site.spare].map((host) => `turn:${host}:3478?transport=udp`);
      const toml = `[turn]\nprovider = "embedded"\nurls = ${JSON.stringify(urls)}\n${CHANNELS}`;
      const inside = { namespace: site.machine, listen: ['0.0.0.0:443'] };
      hidden = await Server.start({ name: 'reach-hidden', inside, media, toml });
    }, TIMEOUT);

    after(async () => assert.equal(await hidden?.stop(), 0, 'the server stops cleanly'));

    /** The server's addresses that are in use. */
    async function reached(page: Page): Promise<string[]> {
      return [...new Set((await page.evaluate(() => window.probe.routes())).map(({ address }) => address))];
    }

    it('people hear each other', TIMEOUT, async () => {
      const [alice, bob] = await call('hall', at(site.outside));
      assert.deepEqual(await reached(alice.page), [site.outside]);
      assert.deepEqual([...alice.errors, ...bob.errors], []);
    });

    it('people hear each other by its TURN server in privacy mode', TIMEOUT, async () => {
      const [alice, bob] = await call('quiet', at(site.outside));
      // The server sees the relayed address as it is inside, and a browser that is told so calls it one of its own that it learnt.
      for (const { page } of [alice, bob]) for (const { local } of await ways(page, 2)) assert.match(local, /^(relay|prflx)$/);
    });

    it('people who come when its name has another address are told that one, and relayed to it', TIMEOUT, async () => {
      site.isAt(site.spare);
      site.machine.knows(SITE_NAME, site.spare);
      await until('the server has looked its name up', () => hidden.logged().includes('have other addresses'), 15_000);
      const [alice] = await call('quiet', at(site.spare));
      assert.deepEqual(await reached(alice.page), [site.spare]);
    });
  });
});
