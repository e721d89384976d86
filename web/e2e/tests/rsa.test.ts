// Pages may ask for RSA certificates (RFC 8827, section 6.5): the web app in Chromium and in Firefox, each with one for all its connections.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { AppPerson } from '../harness/app.js';
import { newPerson, startChromium } from '../harness/chromium.js';
import { Firefox, FirefoxPerson } from '../harness/firefox.js';
import { hears } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 120_000 };

// Runs before the page does. A connection that is made without the certificate fails, and so does the test.
const SHOW_RSA = `{
  const algorithm = { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' };
  RTCPeerConnection.generateCertificate(algorithm).then((certificate) => (window.rsa = certificate));
  window.withRsa = 0;
  window.RTCPeerConnection = class extends RTCPeerConnection {
    constructor(configuration) {
      super({ ...configuration, certificates: [window.rsa] });
      window.withRsa += 1;
    }
  };
}`;

describe('browsers with RSA certificates', () => {
  let server: Server;
  let chromium: Browser;
  let firefox: Firefox;
  const channel = 'Rivest';

  before(async () => {
    server = await Server.start({ name: 'rsa' });
    chromium = await startChromium();
    firefox = await Firefox.start();
  }, TIMEOUT);

  after(async () => {
    await firefox?.close();
    await chromium?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('hear each other', TIMEOUT, async () => {
    const person = await newPerson(chromium);
    await person.page.addInitScript(SHOW_RSA);
    await person.page.goto(server.url);
    const alice = new AppPerson(person);
    await until('a certificate', () => person.page.evaluate('window.rsa !== undefined'));
    await alice.fillIn({ name: 'Alice', channel });
    await alice.press('Join');
    await alice.isIn();

    const page = await firefox.newPage();
    await page.evaluateOnNewDocument(SHOW_RSA);
    const fiona = new FirefoxPerson(page);
    await fiona.join(server.url, 'Fiona', channel);

    await hears(alice.page);
    await hears(fiona.page);
    const counts = await Promise.all([alice.page.evaluate('window.withRsa'), fiona.page.evaluate('window.withRsa')]);
    for (const count of counts) assert.ok(Number(count) >= 2, `connections with the certificate: ${counts.join(', ')}`);
    assert.deepEqual(alice.errors, []);
  });
});
