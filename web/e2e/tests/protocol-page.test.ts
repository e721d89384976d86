// The client printed in docs/protocol/socketio.md, as it stands there: a page that does not work teaches nothing.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { newPerson, type Person, startChromium } from '../harness/chromium.js';
import { fallsSilent, hears, sees } from '../harness/measure.js';
import { PAGE_SCRIPTS, ROOT } from '../harness/paths.js';
import { Server } from '../harness/server.js';

const TIMEOUT = { timeout: 120_000 };
const SAMPLE = join(PAGE_SCRIPTS, 'sample.ts');

/** The client as the page prints it, and beside it the camera of the second example. */
function printed(): string {
  const page = readFileSync(join(ROOT, 'docs/protocol/socketio.md'), 'utf8');
  const [client, camera] = page
    .slice(page.indexOf('## A complete client'))
    .split('```ts\n')
    .slice(1)
    .map((part) => part.split('```')[0]);
  assert.ok(client && camera, 'the page has the client and the camera');
  return `${client}
export async function showCamera({ sending, device }: Awaited<ReturnType<typeof enter>>) {
  const [cameraTrack] = (await navigator.mediaDevices.getUserMedia({ video: { width: 1280, height: 720 } })).getVideoTracks();
  ${camera}
}`;
}

async function bundled(): Promise<string> {
  const lib = { entry: SAMPLE, formats: ['iife' as const], name: 'Sample' };
  const output = await build({ root: PAGE_SCRIPTS, configFile: false, logLevel: 'warn', build: { write: false, minify: false, lib } });
  const [first] = Array.isArray(output) ? output : [output];
  assert.ok(first && 'output' in first);
  return first.output[0].code;
}

describe('the client printed in the protocol page', () => {
  let server: Server;
  let browser: Browser;
  let script: string;

  before(async () => {
    writeFileSync(SAMPLE, printed());
    script = await bundled();
    server = await Server.start({ name: 'protocol-page' });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  async function enter(user: string): Promise<Person> {
    const person = await newPerson(browser);
    await person.page.goto(`${server.url}/healthz`);
    // A function of its own: what playwright evaluates as a text must end with a value.
    await person.page.evaluate(`${script}\nwindow.Sample = Sample; undefined`);
    await person.page.evaluate(
      async ([url, token]) => {
        const play = (track: MediaStreamTrack): void => {
          const element = document.createElement(track.kind === 'audio' ? 'audio' : 'video');
          element.autoplay = true;
          element.srcObject = new MediaStream([track]);
          document.body.append(element);
        };
        window.call = await window.Sample.enter(url, token, 'printed', play);
      },
      [server.url, await server.guestToken(user)] as const,
    );
    return person;
  }

  it('passes the type checker', TIMEOUT, () => {
    const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');
    const options = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--target',
      'es2022',
      '--module',
      'esnext',
      '--moduleResolution',
      'bundler',
    ];
    execFileSync(process.execPath, [tsc, ...options, '--lib', 'es2022,dom', SAMPLE], { stdio: 'inherit' });
  });

  it('hears and sees, mutes and leaves', TIMEOUT, async () => {
    const [alice, bob] = [await enter('alice'), await enter('bob')];
    const [heard] = await Promise.all([hears(bob.page), hears(alice.page)]);
    await alice.page.evaluate(() => window.Sample.showCamera(window.call));
    await sees(bob.page);
    await alice.page.evaluate(() => window.call.setMuted(true));
    await fallsSilent(bob.page, heard);
    for (const { page } of [alice, bob]) await page.evaluate(() => window.call.leave());
    await server.holdsNothing();
    assert.deepEqual([...alice.errors, ...bob.errors], []);
  });
});

/** The parts of the printed client that the test touches. */
interface Call {
  setMuted(muted: boolean): Promise<void>;
  leave(): Promise<void>;
}

declare global {
  interface Window {
    call: Call;
    Sample: {
      enter(url: string, token: string, channel: string, play: (track: MediaStreamTrack) => void): Promise<Call>;
      showCamera(call: Call): Promise<void>;
    };
  }
}
