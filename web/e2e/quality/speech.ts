// Speech over a lossy link, through the server and directly, at the same time: PESQ of both.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryDirectory } from '../harness/paths.js';
import { pause } from '../harness/until.js';
import { PESQ, type Report } from './report.js';
import { voices } from './material.js';
import { look, type Person, Stage } from './stage.js';

/** How far below the direct call the server may be, in points of PESQ. */
const MOST_BELOW = 0.1;

/** The share of packets that is lost, in percent. */
const LOSSES = (process.env['QUALITY_LOSSES'] ?? '0,2,5,10').split(',').map(Number);
/** One way, and what the loss is beside. */
const DISTANCE = { delay: 40, jitter: 30 };
const NEAR = { delay: 10 };

/** Calls of each kind that go on at the same time: each loses other packets. */
const CALLS = Number(process.env['QUALITY_CALLS'] ?? 5);
/** How often each hears the whole speech. */
const ROUNDS = Number(process.env['QUALITY_ROUNDS'] ?? 3);
/** Until the senders have been told of the loss, and receivers have filled their buffers. */
const WARM_UP_MS = 6_000;

/** Where recordings are until they are judged. */
const FOLDER = temporaryDirectory();

interface Scores {
  /** Of every call and round. */
  scores: number[];
}

/** Runs all of it. */
export async function speech(report: Report): Promise<void> {
  const stage = await Stage.set('speech');
  try {
    const alice = await stage.person('alice');
    const bob = await stage.person('bob');
    const served = await serve(stage, alice, bob);
    const direct = await connect(alice, bob);
    await bob.place.set({ up: NEAR, down: NEAR });
    for (const direction of ['up', 'down'] as const) {
      for (const loss of LOSSES) {
        const bad = { ...DISTANCE, loss };
        await alice.place.set(direction === 'up' ? { up: bad, down: NEAR } : { up: NEAR, down: NEAR });
        await bob.place.set(direction === 'down' ? { up: NEAR, down: bad } : { up: NEAR, down: NEAR });
        await measure(report, bob, { served, direct }, direction, loss);
      }
    }
  } finally {
    await stage.clear();
  }
}

/** Calls through the server; answers the tracks that are heard. */
async function serve(stage: Stage, alice: Person, bob: Person): Promise<string[]> {
  const tracks = [];
  for (let call = 0; call < CALLS; call++) {
    const [speaker, listener] = [await stage.join(alice, `speech-${call}`), await stage.join(bob, `speech-${call}`)];
    await speaker.produce({ source: 'mic' });
    tracks.push((await listener.consume((await listener.announced('mic')).producerId)).track);
  }
  return tracks;
}

/** Calls without it. */
async function connect(alice: Person, bob: Person): Promise<string[]> {
  const tracks = [];
  for (let i = 0; i < CALLS; i++) {
    const { call, sdp } = await alice.page.evaluate(() => window.quality.offer());
    const answer = await bob.page.evaluate((offer) => window.quality.answer(offer), sdp);
    await alice.page.evaluate(({ call, sdp }) => window.quality.accept(call, sdp), { call, sdp: answer.sdp });
    tracks.push(answer.track);
  }
  return tracks;
}

async function measure(
  report: Report,
  bob: Person,
  { served, direct }: { served: string[]; direct: string[] },
  direction: 'up' | 'down',
  loss: number,
): Promise<void> {
  await pause(WARM_UP_MS);
  const tracks = [...served, ...direct];
  const files = tracks.map((_, index) => join(FOLDER, `${index}.raw`));
  const before = await look(bob);
  await bob.page.evaluate((tracks) => window.quality.record(tracks), tracks);
  await pause(1_000 * (seconds() * (ROUNDS + 1) + 1));
  const after = await look(bob);
  await bob.page.evaluate(() => window.quality.recorded());
  for (const [index, file] of files.entries()) {
    const sound = await bob.page.evaluate((index) => window.quality.recording(index), index);
    writeFileSync(file, Buffer.from(sound, 'base64'));
  }
  const judged = JSON.parse(
    execFileSync(PESQ.python, [PESQ.script, voices(), ...files], { encoding: 'utf8', maxBuffer: 1 << 24 }),
  ) as Scores[];
  const of = (from: string[]): Heard => {
    const sums = from.map((track) => {
      const [first, last] = [before, after].map((look) => look.audio.find((heard) => heard.track === track));
      const rise = (name: 'concealed' | 'samples' | 'bufferDelay' | 'emitted' | 'packets' | 'lost'): number =>
        (last?.[name] ?? 0) - (first?.[name] ?? 0);
      return {
        concealed: rise('concealed') / rise('samples'),
        buffer: (1e3 * rise('bufferDelay')) / rise('emitted'),
        lost: rise('lost') / (rise('packets') + rise('lost')),
      };
    });
    return {
      scores: from.flatMap((track) => judged[tracks.indexOf(track)]?.scores ?? []),
      concealed: mean(sums.map((sum) => sum.concealed)),
      buffer: mean(sums.map((sum) => sum.buffer)),
      lost: mean(sums.map((sum) => sum.lost)),
    };
  };
  const [ours, theirs] = [of(served), of(direct)];
  const difference = mean(ours.scores) - mean(theirs.scores);
  const error = Math.sqrt(spread(ours.scores) ** 2 / ours.scores.length + spread(theirs.scores) ** 2 / theirs.scores.length);
  report.row('speech', {
    impaired: direction === 'up' ? 'uplink' : 'downlink',
    loss: `${loss} %`,
    'PESQ server': `${mean(ours.scores).toFixed(2)} ±${spread(ours.scores).toFixed(2)}`,
    'PESQ direct': `${mean(theirs.scores).toFixed(2)} ±${spread(theirs.scores).toFixed(2)}`,
    difference: `${difference.toFixed(2)} ±${error.toFixed(2)}`,
    'lost s/d': `${percent(ours.lost)} / ${percent(theirs.lost)}`,
    'concealed s/d': `${percent(ours.concealed)} / ${percent(theirs.concealed)}`,
    'buffer s/d ms': `${ours.buffer.toFixed(0)} / ${theirs.buffer.toFixed(0)}`,
    n: `${ours.scores.length}`,
  });
  report.keep(`speech-${direction}-${loss}`, { ours, theirs });
  report.check(
    `speech, ${loss} % loss on the ${direction}link: at most ${MOST_BELOW} below the direct call`,
    // Otherwise one of these eight would fail by chance now and then.
    difference + error >= -MOST_BELOW,
    `${difference.toFixed(2)} ±${error.toFixed(2)}`,
  );
}

interface Heard extends Scores {
  concealed: number;
  buffer: number;
  lost: number;
}

/** How long the speech is. */
function seconds(): number {
  return Number(execFileSync('soxi', ['-D', voices()], { encoding: 'utf8' }));
}

function mean(values: number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** The standard deviation of a sample. */
function spread(values: number[]): number {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / Math.max(1, values.length - 1));
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
