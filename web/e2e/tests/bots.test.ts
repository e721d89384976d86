// The bots of the README: they come in, and what they send can be seen.

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { Command } from '../harness/command.js';
import { sees } from '../harness/measure.js';
import { SERVER } from '../harness/paths.js';
import { Server } from '../harness/server.js';

const TIMEOUT = { timeout: 180_000 };

describe('parlor-bots join --bots 8 --audio --video', () => {
  let server: Server;
  let browser: Browser;
  let bots: Command | undefined;

  before(async () => {
    server = await Server.start({ name: 'bots' });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    try {
      await bots?.stop();
    } finally {
      await browser?.close();
      await server?.stop();
    }
  });

  it('brings eight people, of whom a browser sees as many as there are video slots', TIMEOUT, async () => {
    const program = join(dirname(SERVER), 'parlor-bots');
    bots = Command.start(`exec "${program}" join --url ${server.url} --channel test --bots 8 --audio --video`, dirname(SERVER), {});
    await bots.says(/^8 bots are in/m);
    // The pro tier, which channels of the development mode have, has six slots.
    assert.equal(bots.lines.filter((line) => line.includes('without picture')).length, 2, bots.lines.join('\n'));

    const person = await barePage(browser, server.url);
    const alice = await Bare.connect(person.page, server, 'alice');
    const { participants } = await alice.join('test');
    const cameras = participants.flatMap(({ producers }) => producers.filter(({ appData }) => appData.source === 'camera'));
    assert.equal(cameras.length, 6);
    for (const { producerId } of cameras.slice(0, 2)) {
      const { track } = await alice.consume(producerId);
      // Key frames alone would not do: what moves is in the others.
      const seen = await sees(person.page, (stream) => stream.track === track && stream.framesDecoded > 90);
      assert.ok(seen.codec === 'video/VP8' && seen.frameWidth >= 160, JSON.stringify(seen));
      assert.ok(seen.keyFramesDecoded < seen.framesDecoded / 4, JSON.stringify(seen));
    }
    await alice.close();
    await person.page.close();
  });
});
