// A refusal is a sentence that a person understands, shown where they look.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser } from 'playwright-core';
import { joinApp, openApp } from '../harness/app.js';
import { startChromium } from '../harness/chromium.js';
import { passesAxe } from '../harness/looks.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 60_000 };

const CHANNELS = `
[[channels]]
id = "closet"
name = "The closet"
max_participants = 1

[[channels]]
id = "club"
banned = ["mallory"]

[[channels]]
id = "matinee"
name = "Matinee"
opens_at = "2099-01-31T18:00:00Z"

[[channels]]
id = "lodge"
access = "members"
`;

describe('refusals in the web app', () => {
  let dev: Server;
  let closed: Server;
  let browser: Browser;

  before(async () => {
    dev = await Server.start({ name: 'refusals-dev', toml: CHANNELS });
    closed = await Server.start({ name: 'refusals', toml: CHANNELS, dev: false });
    browser = await startChromium();
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    for (const server of [dev, closed]) assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  /** What the page says to somebody whom the host signed in, and who asks for this channel. */
  async function answerTo(user: string, channel: string, sentence: RegExp, token?: string): Promise<void> {
    const signed = token ?? closed.signedToken({ sub: user, name: user });
    const person = await openApp(browser, `${closed.url}/#token=${signed}&channel=${channel}`);
    try {
      await until(`${user} reads ${String(sentence)}`, async () => {
        if (await person.page.getByText(sentence).first().isVisible()) return true;
        const join = person.button('Join');
        if ((await join.isVisible()) && (await join.isEnabled())) await join.click();
        return false;
      });
      assert.deepEqual(person.errors, []);
    } finally {
      await person.close();
    }
  }

  it('a full channel', TIMEOUT, async () => {
    const first = await joinApp(browser, { url: dev.url, name: 'First', channel: 'closet' });
    const second = await openApp(browser, dev.url);
    await second.fillIn({ name: 'Second', channel: 'closet' });
    await second.press('Join');
    await second.page
      .getByText(/This channel is full: its only place is taken/)
      .first()
      .waitFor();
    await first.press('Leave');
    await until('there is room again', async () => {
      if (await second.button('Leave').isVisible()) return true;
      const again = second.page.getByRole('button', { name: /^Join/ });
      if ((await again.isVisible()) && (await again.isEnabled())) await again.click();
      return false;
    });
    for (const person of [first, second]) await person.close();
  });

  it('a channel that does not exist', TIMEOUT, async () => {
    await answerTo('alice', 'nowhere', /This channel does not exist/);
  });

  it('a channel one is banned from', TIMEOUT, async () => {
    await answerTo('mallory', 'club', /You are banned from this channel/);
  });

  it('a channel that is not open yet, with the time it opens', TIMEOUT, async () => {
    const opens = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' }).format(new Date('2099-01-31T18:00:00Z'));
    const token = closed.signedToken({ sub: 'alice', name: 'Alice' });
    const person = await openApp(browser, `${closed.url}/#token=${token}&channel=matinee`);
    await person.reads(new RegExp(`not open yet. It opens on ${opens.split(',')[0]}`));
    assert.ok(await person.button('Join').isDisabled(), 'there is nothing to press');
    // Another channel is another matter.
    await person.page.getByLabel('Channel').fill('club');
    await person.press('Join');
    await person.isIn();
    await person.close();
  });

  it('a channel for members only, of which strangers do not learn that it is there', TIMEOUT, async () => {
    await answerTo('alice', 'lodge', /does not exist, or is not open to you/);
  });

  it('the same person a second time, who may come in when the first has gone', TIMEOUT, async () => {
    const url = `${dev.url}/?user=twin`;
    const first = await joinApp(browser, { url, name: 'Twin', channel: 'mirror' });
    const second = await openApp(browser, url);
    await second.fillIn({ name: 'Twin', channel: 'mirror' });
    await second.press('Join');
    await second.page
      .getByText(/You are in this channel already/)
      .first()
      .waitFor();
    await first.isIn();
    await first.close();
    await until('the second is in', async () => {
      const join = second.button('Join');
      if ((await join.isVisible()) && (await join.isEnabled())) await join.click();
      return await second.button('Leave').isVisible();
    });
    await second.close();
  });

  it('the same person in a second window, who goes on there', TIMEOUT, async () => {
    const token = closed.signedToken({ sub: 'tabby', name: 'Tabby' });
    const address = `${closed.url}/#token=${token}&channel=club`;
    const first = await openApp(browser, address);
    await first.press('Join');
    await first.isIn();
    const second = await first.secondWindow(address);
    await second.press('Join');
    await second.reads(/You are in this channel already/);
    await passesAxe(second.page, 'refusals-continue-here');
    await second.press('Continue here');
    await second.isIn();
    await first.reads(/You went on in another window/);
    await first.close();
  });

  it('a sign-in that has expired', TIMEOUT, async () => {
    const exp = Math.floor(Date.now() / 1000) - 3600;
    await answerTo('alice', 'club', /You are not signed in|sign-in has expired/, closed.signedToken({ sub: 'alice', name: 'Alice', exp }));
  });

  it('joining too often, with the time to wait', TIMEOUT, async () => {
    const person = await joinApp(browser, { url: dev.url, name: 'Hasty', channel: 'door' });
    await until('the door stays shut', async () => {
      if (
        await person.page
          .getByText(/That was too often. Wait/)
          .first()
          .isVisible()
      )
        return true;
      for (const label of ['Leave', 'Join']) {
        const button = person.button(label);
        if (await button.isVisible()) await button.click({ timeout: 1_000 }).catch(() => undefined);
      }
      return false;
    });
    await person.close();
  });

  it('a camera that the tier does not include: a sentence, and the call goes on', TIMEOUT, async () => {
    const person = await joinApp(browser, { url: dev.url, name: 'Free', channel: 'free', pro: false });
    await person.press('Camera');
    await person.page
      .getByText(/This is a Pro feature/)
      .first()
      .waitFor();
    await person.page.keyboard.press('Escape');
    await person.isIn();
    await person.close();
  });

  it('no guest tokens outside development mode', TIMEOUT, async () => {
    await assert.rejects(closed.guestToken('alice'), /404/);
    const person = await openApp(browser, closed.url);
    await person.page
      .getByText(/not signed in/)
      .first()
      .waitFor();
    await person.close();
  });
});
