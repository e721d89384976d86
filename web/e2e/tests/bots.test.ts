// The bots of the README: they come in, and what they send can be seen.

import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { Command } from '../harness/command.js';
import { inbound, sees } from '../harness/measure.js';
import { MeshPerson } from '../harness/mesh.js';
import { SERVER } from '../harness/paths.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 180_000 };

describe('parlor-bots join', () => {
  let server: Server;
  let browser: Browser;
  let bots: Command | undefined;

  before(async () => {
    server = await Server.start({ name: 'bots' });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  afterEach(() => bots?.stop());

  function start(options: string): Command {
    const program = join(dirname(SERVER), 'parlor-bots');
    return (bots = Command.start(`exec "${program}" join --url ${server.url} ${options}`, dirname(SERVER), {}));
  }

  it('--bots 8 --audio --video brings eight people, of whom a browser sees as many as there are video slots', TIMEOUT, async () => {
    const bots = start('--channel test --bots 8 --audio --video');
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

  it('--mesh brings people of each dialect into a mesh call, and each has a connection to a browser', TIMEOUT, async () => {
    const bots = start('--channel den --mesh call,socketio,voice,envelope --bots 4 --audio');
    await bots.says(/^4 bots are in/m);
    const anna = await MeshPerson.enter(browser, server, { dialect: 'call', user: 'anna', room: 'den' });
    await anna.isConnectedTo(4);
    await until('anna receives what each of the four sends', async () => {
      const sounds = (await inbound(anna.page)).filter(({ kind, packets }) => kind === 'audio' && packets > 50);
      return sounds.length === 4;
    });
    await bots.stop();
    await anna.isConnectedTo(0);
    await anna.close();
  });
});
