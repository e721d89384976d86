// Mesh calls in real browsers: a page on each dialect, in one call, and each hears all others.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import type * as Mesh from '../page/mesh.js';
import { newPerson, type Person, startChromium } from '../harness/chromium.js';
import { inbound } from '../harness/measure.js';
import { PAGE_SCRIPTS } from '../harness/paths.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

declare global {
  interface Window {
    ParlorMesh: typeof Mesh;
  }
}

const TIMEOUT = { timeout: 120_000 };
const SCRIPT = `${readFileSync(join(PAGE_SCRIPTS, 'mesh.iife.js'), 'utf8')}; window.ParlorMesh = ParlorMesh;`;
/** More energy than comfort noise has in the time a test waits. */
const ENERGY_OF_SOUND = 1e-4;

describe('a mesh call', () => {
  let server: Server;
  let browser: Browser;

  before(async () => {
    server = await Server.start({ name: 'mesh' });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  async function enter(dialect: keyof typeof Mesh.DIALECTS, user: string, room: string): Promise<Person> {
    const person = await newPerson(browser);
    await person.page.goto(`${server.url}/healthz`);
    await person.page.evaluate(SCRIPT);
    const token = await server.guestToken(user, { pro: false });
    await person.page.evaluate(([dialect, room, token]) => window.ParlorMesh.join(dialect, room, token), [dialect, room, token] as const);
    return person;
  }

  const connectedTo = (person: Person, others: number, who: string) =>
    until(`${who} has a connection to ${others}`, async () => (await person.page.evaluate(() => window.ParlorMesh.connected())) === others);

  const hearsAll = (person: Person, others: number, who: string) =>
    until(`${who} hears ${others}`, async () => {
      const sounds = (await inbound(person.page)).filter(({ kind, energy }) => kind === 'audio' && energy > ENERGY_OF_SOUND);
      return sounds.length === others;
    });

  it('of a page on each of three dialects: everybody hears everybody else, whoever came first', TIMEOUT, async () => {
    const orders = [
      ['call', 'voice', 'socketio'],
      ['voice', 'socketio', 'call'],
    ] as const;
    for (const [n, order] of orders.entries()) {
      const people: Person[] = [];
      // The first makes the channel, and a client that can do nothing but mesh makes it one.
      for (const dialect of order) people.push(await enter(dialect, `${dialect}-${n}`, `mixed-${n}`));
      for (const [at, person] of people.entries()) await connectedTo(person, 2, order[at]!);
      for (const [at, person] of people.entries()) await hearsAll(person, 2, order[at]!);
      await people[1]!.page.close();
      for (const at of [0, 2]) await connectedTo(people[at]!, 1, order[at]!);
      await people[0]!.page.close();
      await people[2]!.page.close();
    }
  });
});
