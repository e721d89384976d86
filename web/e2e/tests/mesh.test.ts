// Mesh calls in real browsers: a page on each dialect, in one call, and each hears all others.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { startChromium } from '../harness/chromium.js';
import { MeshPerson } from '../harness/mesh.js';
import { Server } from '../harness/server.js';

const TIMEOUT = { timeout: 120_000 };

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

  it('of a page on each of four dialects: everybody hears everybody else, whoever came first', TIMEOUT, async () => {
    const orders = [
      ['call', 'voice', 'socketio', 'envelope'],
      ['voice', 'envelope', 'socketio', 'call'],
    ] as const;
    for (const [n, order] of orders.entries()) {
      const people: MeshPerson[] = [];
      // The first makes the channel, and a client that can do nothing but mesh makes it one.
      for (const dialect of order) {
        people.push(await MeshPerson.enter(browser, server, { dialect, user: `${dialect}-${n}`, room: `mixed-${n}` }));
      }
      for (const person of people) await person.isConnectedTo(3);
      for (const person of people) await person.hears(3);
      await people[1]!.close();
      for (const at of [0, 2, 3]) await people[at]!.isConnectedTo(2);
      for (const at of [0, 2, 3]) await people[at]!.close();
    }
  });
});
