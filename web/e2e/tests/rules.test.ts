// The rules of a room, as people meet them: video slots, tiers that end, moderators, and connections that break.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { type AppPerson, joinSigned, openApp } from '../harness/app.js';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { fits, passesAxe, PHONE } from '../harness/looks.js';
import { energyRises, fallsSilent, hears, inbound, outbound, sees } from '../harness/measure.js';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';
import { Wire } from '../harness/wire.js';

const TIMEOUT = { timeout: 150_000 };

describe('the rules of a room', () => {
  let server: Server;
  let browser: Browser;

  before(async () => {
    server = await Server.start({ name: 'rules', dev: false, api: true });
    browser = await startChromium();
    for (const id of ['stage', 'pair', 'court', 'attic', 'cafe', 'pier']) await server.api('PUT', `/channels/${id}`, { name: `The ${id}` });
    await server.api('PUT', '/channels/hall', { name: 'The hall', access: 'members', spectators: true });
    for (const id of ['court', 'hall']) await server.api('PUT', `/channels/${id}/members/mia`, { role: 'moderator' });
  }, TIMEOUT);

  after(async () => {
    await browser?.close();
    assert.equal(await server?.stop(), 0, 'the server stops cleanly');
  });

  it('a fifth and a sixth camera wait their turn, and begin by themselves', TIMEOUT, async () => {
    const { page, context } = await barePage(browser, server.url);
    const crew: Bare[] = [];
    for (const user of ['one', 'two', 'three']) {
      const bare = await Bare.connectWith(page, server.url, server.signedToken({ sub: user, pro: true }));
      await bare.join('stage');
      await bare.produce({ source: 'camera', codec: 'video/VP8', width: 160, height: 90 });
      crew.push(bare);
    }
    const dan = await joinSigned(browser, server, { name: 'Dan', channel: 'stage' });
    await dan.press('Camera');
    await dan.button('Stop camera').waitFor();
    const eve = await joinSigned(browser, server, { name: 'Eve', channel: 'stage', options: { colorScheme: 'light' } });
    const fay = await joinSigned(browser, server, { name: 'Fay', channel: 'stage', options: { ...PHONE, colorScheme: 'dark' } });
    await eve.press('Camera');
    await eve.reads(/^Video slots full \(4\/4\) - you're #1 in queue$/);
    await fay.press('Camera');
    await fay.reads(/^Video slots full \(4\/4\) - you're #2 in queue$/);
    await passesAxe(eve.page, 'rules-queue-light');
    await passesAxe(fay.page, 'rules-queue-phone-dark');
    await fits(fay.page, 'rules-queue-phone-dark');
    const before = new Set((await inbound(dan.page)).map((stream) => stream.track));
    await dan.press('Stop camera');
    await eve.button('Stop camera').waitFor();
    await eve.reads(/It is your turn: your camera is on/);
    await fay.reads(/you're #1 in queue/);
    await sees(dan.page, (stream) => !before.has(stream.track));
    // Who no longer wants to wait makes room for who comes next, and gets no camera by surprise.
    await fay.page.getByRole('button', { name: 'Cancel: do not wait with the camera' }).click();
    await fay.page.getByText(/in queue/).waitFor({ state: 'detached' });
    await crew[0]?.close();
    await dan.press('Camera');
    await dan.button('Stop camera').waitFor();
    await fay.button('Camera').waitFor();
    assert.deepEqual(
      (await outbound(fay.page)).filter(({ kind }) => kind === 'video'),
      [],
    );
    for (const person of [dan, eve, fay]) assert.deepEqual(person.errors, []);
    for (const person of [dan, eve, fay]) await person.close();
    await context.close();
  });

  it('Pro that ends in mid-call stops the camera and keeps the voice', TIMEOUT, async () => {
    const ann = await joinSigned(browser, server, { name: 'Ann', channel: 'pair', options: { colorScheme: 'dark' } });
    const ben = await joinSigned(browser, server, { name: 'Ben', channel: 'pair' });
    const ear = await hears(ben.page);
    await ann.press('Camera');
    const { track } = await sees(ben.page);
    await server.api('PUT', '/users/ann/entitlement', { pro: false });
    await ann.reads(/^Your Pro access has ended/);
    await passesAxe(ann.page, 'rules-entitlement-dark');
    await until('the picture is gone', async () => !(await inbound(ben.page)).some((stream) => stream.track === track));
    assert.equal(await ann.page.getByTestId('camera').getAttribute('data-locked'), 'true');
    await energyRises(ben.page, ear);
    await ann.press('Camera');
    await ann.reads(/This is a Pro feature/);
    await ann.page.keyboard.press('Escape');
    await server.api('PUT', '/users/ann/entitlement', { pro: true });
    await ann.reads(/You have Pro access now/);
    await ann.press('Camera');
    await sees(ben.page);
    await energyRises(ben.page, ear);
    for (const person of [ann, ben]) assert.deepEqual(person.errors, []);
    for (const person of [ann, ben]) await person.close();
  });

  describe('with a moderator', () => {
    let mia: AppPerson;
    let ben: AppPerson;
    let ear: string;

    before(async () => {
      mia = await joinSigned(browser, server, { name: 'Mia', channel: 'court' });
      ben = await joinSigned(browser, server, { name: 'Ben', channel: 'court' });
      ear = await hears(mia.page);
    }, TIMEOUT);

    after(async () => {
      for (const person of [mia, ben]) await person?.close();
    });

    it('who is muted is silent, cannot undo it, and is told', TIMEOUT, async () => {
      await mia.tile('Ben').hover();
      await mia.page.getByRole('button', { name: 'Manage Ben' }).click();
      await mia.page.getByRole('group', { name: 'As a moderator' }).waitFor();
      await passesAxe(mia.page, 'rules-menu-light');
      await mia.page.keyboard.press('Escape');
      await mia.choose('Ben', 'Mute the microphone');
      await ben.reads(/A moderator has muted you/);
      await mia.says('Ben', 'muted by a moderator');
      await fallsSilent(mia.page, ear);
      await ben.press('Muted by a moderator');
      await ben.reads(/Only a moderator can undo it/);
      await passesAxe(ben.page, 'rules-muted-light');
      assert.equal(await liveDevices(ben.page), 0);
      await mia.choose('Ben', 'Let them speak');
      // Asked, and not switched on.
      await ben.reads(/You are muted until you unmute yourself/);
      await mia.says('Ben', 'muted by a moderator', false);
      await mia.says('Ben', 'muted');
      assert.equal(await liveDevices(ben.page), 0);
      await passesAxe(ben.page, 'rules-released-light');
      await ben.page.getByTestId('notice-action').click();
      await ben.button('Mute').waitFor();
      ear = await hears(mia.page);
    });

    it('whose camera is turned off turns it on again by themselves', TIMEOUT, async () => {
      await ben.press('Camera');
      await sees(mia.page);
      await mia.choose('Ben', 'Turn the camera off');
      await ben.reads(/A moderator has turned your camera off/);
      await until('the picture is gone', async () => !(await inbound(mia.page)).some(({ kind }) => kind === 'video'));
      assert.equal(await liveDevices(ben.page), 1);
      await mia.choose('Ben', 'Allow the camera');
      await ben.reads(/It stays off until you turn it on/);
      await ben.button('Camera').first().waitFor();
      assert.equal(await liveDevices(ben.page), 1);
      await ben.page.getByTestId('notice-action').click();
      await ben.button('Stop camera').waitFor();
      await sees(mia.page);
      await ben.press('Stop camera');
    });

    it('the server silences a client that does not obey', TIMEOUT, async () => {
      const { page, context } = await barePage(browser, server.url);
      const mallory = await Bare.connectWith(page, server.url, server.signedToken({ sub: 'mallory', name: 'Mallory' }));
      await mallory.join('court');
      const known = new Set((await inbound(mia.page)).map((stream) => stream.track));
      await mallory.produce({ source: 'mic' });
      const heard = await until('Mallory is heard', async () =>
        (await inbound(mia.page)).find((stream) => !known.has(stream.track) && stream.energy > 0),
      );
      await mia.choose('Mallory', 'Mute the microphone');
      await fallsSilent(mia.page, heard.track);
      const sent = await packetsOf(page);
      await until('Mallory goes on sending', async () => (await packetsOf(page)) > sent + 50);
      await fallsSilent(mia.page, heard.track);
      await context.close();
    });

    it('who is muted by a moderator and moved arrives muted, and the screen says so', TIMEOUT, async () => {
      await mia.choose('Ben', 'Mute the microphone');
      await ben.reads(/A moderator has muted you/);
      await mia.choose('Ben', 'Move to another channel');
      await mia.page.getByLabel('To which channel').fill('attic');
      await mia.page.getByTestId('moderate-confirm').click();
      await ben.reads(/has moved you to The attic. You are muted, as before/);
      assert.equal(await ben.page.getByText(/A moderator has muted you/).count(), 0);
      await ben.says('Ben', 'muted');
      await ben.says('Ben', 'muted by a moderator', false);
      assert.equal(await liveDevices(ben.page), 0);
      await ben.page.getByTestId('mute').click();
      await ben.button('Mute').waitFor();
      await until('the microphone is sent', async () => (await packetsOf(ben.page)) > 0);
      await ben.press('Leave');
      await ben.page.getByLabel('Channel').fill('court');
      await ben.press('Join');
      await ben.isIn();
      // What was done to him there holds there, and is lifted.
      await ben.reads(/A moderator has muted you/);
      await mia.choose('Ben', 'Let them speak');
      await ben.page.getByTestId('notice-action').click();
      await ben.button('Mute').waitFor();
    });

    it('who is moved goes on in the other channel by themselves', TIMEOUT, async () => {
      await mia.choose('Ben', 'Move to another channel');
      await mia.page.getByLabel('To which channel').fill('attic');
      await passesAxe(mia.page, 'rules-move-light');
      await mia.page.getByTestId('moderate-confirm').click();
      await ben.reads(/A moderator has moved you to The attic/);
      await ben.page.getByTitle('Connected to The attic').waitFor({ state: 'attached' });
      await mia.showsNoMore('Ben', 10_000);
      await ben.press('Leave');
      await ben.page.getByLabel('Channel').fill('court');
      await ben.press('Join');
      await ben.isIn();
    });

    it('who is removed reads why and may come back, who is banned may not', TIMEOUT, async () => {
      await mia.shows('Ben');
      await mia.choose('Ben', 'Remove');
      await mia.page.getByLabel('Reason').fill('Too loud');
      await mia.page.getByTestId('moderate-confirm').click();
      await ben.reads(/A moderator has removed you from the channel.*Too loud/);
      await mia.showsNoMore('Ben', 10_000);
      await ben.press('Join again');
      await ben.isIn();
      await mia.shows('Ben');
      await mia.choose('Ben', 'Ban');
      await mia.page.getByLabel('For how long').selectOption({ label: '10 minutes' });
      await passesAxe(mia.page, 'rules-ban-light');
      await mia.page.getByTestId('moderate-confirm').click();
      await ben.reads(/A moderator has banned you/);
      await ben.press('Join again');
      await ben.reads(/You are banned from this channel until/);
      await passesAxe(ben.page, 'rules-banned-light');
      const { items } = await server.api<{ items: { userId: string }[] }>('GET', '/channels/court/bans');
      assert.deepEqual(
        items.map(({ userId }) => userId),
        ['ben'],
      );
      await server.api('DELETE', '/channels/court/bans/ben');
    });

    it('the call ends for everybody, after one more question', TIMEOUT, async () => {
      const cleo = await joinSigned(browser, server, { name: 'Cleo', channel: 'court' });
      await mia.shows('Cleo');
      await mia.press('End call for everybody');
      await passesAxe(mia.page, 'rules-end-light');
      await mia.page.getByTestId('moderate-confirm').click();
      for (const person of [mia, cleo]) await person.reads(/A moderator has ended the call/);
      for (const person of [mia, cleo, ben]) assert.deepEqual(person.errors, []);
      await cleo.close();
    });
  });

  it('a spectator listens, and is asked for nothing', TIMEOUT, async () => {
    const mia = await joinSigned(browser, server, { name: 'Mia', channel: 'hall', options: { ...PHONE, colorScheme: 'dark' } });
    const sam = await joinSigned(browser, server, { name: 'Sam', channel: 'hall', options: { ...PHONE, colorScheme: 'light' } });
    await sam.reads(/You are a spectator here/);
    await hears(sam.page);
    await mia.says('Sam', 'spectator');
    assert.equal(await sam.button('Camera').count(), 0);
    await sam.press('Listening only');
    assert.deepEqual(await outbound(sam.page), []);
    await passesAxe(sam.page, 'rules-spectator-phone-light');
    await fits(sam.page, 'rules-spectator-phone-light');
    await mia.page.getByRole('button', { name: 'Manage Sam' }).click();
    await passesAxe(mia.page, 'rules-menu-phone-dark');
    await fits(mia.page, 'rules-menu-phone-dark');
    for (const person of [mia, sam]) await person.close();
  });

  it('a channel lets one in when it opens, and says to who is inside that it has closed', TIMEOUT, async () => {
    const [past, future] = ['2020-01-01T00:00:00Z', '2099-01-31T18:00:00Z'];
    const put = (window: object) => server.api('PUT', '/channels/school', { name: 'The school', ...window });
    // As if one had looked at something else meanwhile.
    const lookAgain = (person: AppPerson) => person.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
    await put({ opensAt: future });
    const token = server.signedToken({ sub: 'kim', name: 'Kim' });
    const kim = await openApp(browser, `${server.url}/?debug#token=${token}&channel=school`, { ...PHONE, colorScheme: 'dark' });
    await kim.reads(/This channel is not open yet/);
    assert.ok(await kim.button('Join').isDisabled());
    await passesAxe(kim.page, 'rules-not-open-phone-dark');
    await put({ opensAt: past });
    await lookAgain(kim);
    await kim.reads(/This channel is open now/);
    await passesAxe(kim.page, 'rules-opened-phone-dark');
    await kim.press('Join');
    await kim.isIn();
    await put({ opensAt: past, closesAt: new Date().toISOString() });
    await lookAgain(kim);
    await kim.reads(/This channel has closed\. The call goes on/);
    await fits(kim.page, 'rules-closed-phone-dark');
    await passesAxe(kim.page, 'rules-closed-phone-dark');
    await kim.isIn();
    await kim.press('Leave');
    await kim.page.getByTestId('join-form').waitFor();
    await kim.reads(/This channel has closed (today at|on)/);
    assert.ok(await kim.button('Join').isDisabled());
    assert.deepEqual(kim.errors, []);
    await kim.close();
  });

  it('a socket that breaks takes no sound away, and nobody sees one leave', TIMEOUT, async () => {
    const wire = await Wire.to(server.port);
    const ann = await joinSigned(browser, server, { name: 'Ann', channel: 'cafe', url: wire.url });
    const ben = await joinSigned(browser, server, { name: 'Ben', channel: 'cafe' });
    const [annsEar, bensEar] = [await hears(ann.page), await hears(ben.page)];
    await record(ann.page);
    await record(ben.page);
    const sent = await packetsOf(ann.page);
    assert.ok(wire.cut() > 0);
    await until('the stay goes on', async () => (await recorded(ann.page)).includes('resumed'));
    await ann.isIn();
    // On the same tracks, both ways.
    await Promise.all([energyRises(ben.page, bensEar), energyRises(ann.page, annsEar)]);
    assert.ok((await packetsOf(ann.page)) > sent);
    assert.deepEqual(await recorded(ben.page), []);
    assert.deepEqual(
      (await recorded(ann.page)).filter((event) => event !== 'resumed'),
      [],
    );
    // What is done after it reaches the others.
    await ann.press('Mute');
    await ben.says('Ann', 'muted');
    for (const person of [ann, ben]) assert.deepEqual(person.errors, []);
    for (const person of [ann, ben]) await person.close();
    await wire.close();
  });

  it('a camera whose slot was given on while the socket was broken waits again, and begins by itself', TIMEOUT, async () => {
    const wire = await Wire.to(server.port);
    const { page, context } = await barePage(browser, server.url);
    for (const user of ['four', 'five', 'six']) {
      const bare = await Bare.connectWith(page, server.url, server.signedToken({ sub: user, pro: true }));
      await bare.join('pier');
      await bare.produce({ source: 'camera', codec: 'video/VP8', width: 160, height: 90 });
    }
    const ann = await joinSigned(browser, server, { name: 'Ann', channel: 'pier', url: wire.url });
    await ann.press('Camera');
    await ann.button('Stop camera').waitFor();
    const ben = await joinSigned(browser, server, { name: 'Ben', channel: 'pier' });
    await ben.press('Camera');
    await ben.reads(/you're #1 in queue$/);
    await record(ann.page);
    assert.ok(wire.cut() > 0);
    await ben.button('Stop camera').waitFor();
    await ann.reads(/you're #1 in queue$/);
    assert.deepEqual(await recorded(ann.page), ['resumed']);
    await ben.press('Stop camera');
    await ann.reads(/It is your turn: your camera is on/);
    await ann.button('Stop camera').waitFor();
    await until('her picture is sent again', async () =>
      (await outbound(ann.page)).some(({ kind, packets }) => kind === 'video' && packets > 0),
    );
    for (const person of [ann, ben]) assert.deepEqual(person.errors, []);
    for (const person of [ann, ben]) await person.close();
    await context.close();
    await wire.close();
  });
});

/** How many captures are open: the lights that are on. */
async function liveDevices(page: Page): Promise<number> {
  return page.evaluate(() => window.probe.captures());
}

/** The packets of the microphone that a page has sent so far. */
async function packetsOf(page: Page): Promise<number> {
  return (await outbound(page)).filter(({ kind }) => kind === 'audio').reduce((sum, { packets }) => sum + packets, 0);
}

interface Voice {
  on(event: string, handler: () => void): void;
}

/** From now on remembers who comes and goes, and what happens to the stay. */
async function record(page: Page): Promise<void> {
  await page.evaluate(() => {
    const { parlor } = window as unknown as { parlor: Voice };
    const events: string[] = [];
    for (const event of ['participant:joined', 'participant:left', 'joined', 'left', 'resumed', 'error']) {
      parlor.on(event, () => events.push(event));
    }
    Object.assign(window, { recorded: events });
  });
}

function recorded(page: Page): Promise<string[]> {
  return page.evaluate(() => (window as unknown as { recorded: string[] }).recorded);
}
