// A short look at the quality of a call over bad links. `make quality` measures it in full.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { hears } from '../harness/measure.js';
import { pause, until } from '../harness/until.js';
import { send } from '../quality/changes.js';
import { WIDTHS } from '../quality/material.js';
import { look, type Person, Stage } from '../quality/stage.js';

const TIMEOUT = { timeout: 60_000 };

/** Before the sender knows of the loss, and for what a busy machine adds. */
const MOST_CONCEALED = 0.15;
const LISTEN_MS = 8_000;
/** `make quality` demands 2 and 10 s. */
const PATIENCE_MS = 20_000;

describe('over a bad link', () => {
  let stage: Stage;
  let alice: Person;
  let bob: Person;

  before(async () => {
    stage = await Stage.set('smoke');
    alice = await stage.person('alice');
    bob = await stage.person('bob');
  }, TIMEOUT);

  after(async () => {
    await stage?.clear();
  });

  it('carries speech through 5 % loss and 30 ms of jitter with little of it made up', TIMEOUT, async () => {
    const [speaker, listener] = [await stage.join(alice, 'loss'), await stage.join(bob, 'loss')];
    await speaker.produce({ source: 'mic' });
    const { track } = await listener.consume((await listener.announced('mic')).producerId);
    await hears(bob.page, track);
    await alice.place.set({ up: { loss: 5, delay: 40, jitter: 30 } });
    const before = (await look(bob)).audio.find((heard) => heard.track === track);
    await pause(LISTEN_MS);
    const after = (await look(bob)).audio.find((heard) => heard.track === track);
    const dropped = await alice.place.set({});
    assert.ok(dropped.up.lost > 0, 'the loss was real');
    assert.ok(before !== undefined && after !== undefined);
    const concealed = (after.concealed - before.concealed) / (after.samples - before.samples);
    assert.ok(concealed < MOST_CONCEALED, `${(100 * concealed).toFixed(1)} % of the sound was made up`);
    await speaker.close();
    await listener.close();
  });

  it('takes a smaller picture when the link gets slow, and a larger one when it is fast again', TIMEOUT, async () => {
    const [speaker, listener] = [await stage.join(alice, 'rate'), await stage.join(bob, 'rate')];
    await send(alice, speaker);
    const { track } = await listener.consume((await listener.announced('camera')).producerId);
    const width = async (): Promise<number> => (await look(bob)).video.find((seen) => seen.track === track)?.width ?? 0;
    await until('the largest picture is seen', async () => (await width()) === WIDTHS.large, PATIENCE_MS);
    await bob.place.set({ down: { rate: 300 } });
    await until('the smallest picture is seen', async () => (await width()) === WIDTHS.small, PATIENCE_MS);
    await bob.place.set({ down: { rate: 3_000 } });
    await until('a larger picture is seen', async () => (await width()) > WIDTHS.small, PATIENCE_MS);
  });
});
