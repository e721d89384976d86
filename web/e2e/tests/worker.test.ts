// A media thread that dies, or a server that restarts, takes nobody's evening with it: the clients come back by themselves.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { type AppPerson, joinApp } from '../harness/app.js';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { hears } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };

describe('when the media threads die, or the server restarts', () => {
  let server: Server;
  let browser: Browser;
  const people: AppPerson[] = [];

  before(async () => {
    server = await Server.start({ name: 'worker', args: ['--dev-crash-route'] });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('the web app joins again by itself, and media flows', TIMEOUT, async () => {
    for (const name of ['Alice', 'Bob']) people.push(await joinApp(browser, { url: server.url, name, channel: 'Phoenix' }));
    for (const person of people) await hears(person.page);
    await server.crashWorkers();
    await until('the workers are counted as restarted', async () => {
      const { workers } = await server.counters();
      return workers.length > 0 && workers.every((worker) => worker.restarts > 0);
    });
    for (const person of people) {
      await hears(person.page);
      await person.isIn();
    }
    assert.match(server.logged(), /panic/i);
    for (const person of people) assert.deepEqual(person.errors, []);
  });

  it('the web app comes back after the server was restarted', TIMEOUT, async () => {
    await server.restart();
    for (const person of people) {
      await hears(person.page);
      await person.isIn();
      assert.deepEqual(person.errors, []);
    }
  });

  it('a client of the dialect is told to join again, and can', TIMEOUT, async () => {
    const { page } = await barePage(browser, server.url);
    const carol = await Bare.connect(page, server, 'carol');
    await carol.join('Ashes');
    await server.crashWorkers();
    const left = await carol.pushed('voice:left');
    assert.deepEqual(left, { channelId: 'Ashes', reason: 'media-lost', rejoin: true });
    const again = await carol.request('voice:join', { channelId: 'Ashes' });
    assert.equal(again['channelId'], 'Ashes');
    await carol.close();
  });
});
