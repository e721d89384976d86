// Three receivers with links of different rates: each gets what its link carries, and none pays for another.

import type { Look } from '../page/quality.js';
import { pause, until } from '../harness/until.js';
import { LONGEST_FREEZE_MS, MOST_CONCEALED, percent, seconds, send } from './changes.js';
import { WIDTHS } from './material.js';
import type { Report } from './report.js';
import { look, type Person, Stage, unwatch, watch } from './stage.js';
import { Timeline } from './timeline.js';

const RECEIVERS = [
  { name: 'fast', rate: 5_000, width: WIDTHS.large },
  { name: 'middle', rate: 1_000, width: WIDTHS.middle },
  { name: 'slow', rate: 300, width: WIDTHS.small },
];

/** How long each has to find its layer. */
const SETTLE_MS = 12_000;
const WINDOW_MS = 20_000;
/** The share of the window for which the layer has to be the right one. */
const MOSTLY = 0.95;
/** How much of the first receiver's picture has to remain when the others are there. */
const REMAINS = 0.85;

/** Runs this part. */
export async function receivers(report: Report): Promise<void> {
  const stage = await Stage.set('receivers');
  try {
    const alice = await stage.person('alice');
    await alice.place.set({ up: { delay: 10 }, down: { delay: 10 } });
    const people = [];
    for (const { name, rate } of RECEIVERS) {
      const person = await stage.person(name);
      await person.place.set({ up: { delay: 20 }, down: { delay: 20, rate, queue: 200 } });
      people.push(person);
    }
    const speaker = await stage.join(alice, 'receivers');
    await send(alice, speaker);
    const [fast, ...others] = people;
    if (fast === undefined) throw new Error('nobody receives');
    await watch(alice);
    await receive(stage, fast);
    await until('the first receiver has the largest picture', async () => (await look(fast)).video[0]?.width === WIDTHS.large);
    await pause(5_000);
    const alone = { from: Date.now(), to: Date.now() + WINDOW_MS };
    await pause(WINDOW_MS);
    for (const person of others) await receive(stage, person);
    await pause(SETTLE_MS);
    const together = { from: Date.now(), to: Date.now() + WINDOW_MS };
    await pause(WINDOW_MS);
    const sent = await unwatch(alice);
    const seen = await Promise.all(people.map(unwatch));
    report.keep('receivers', { alone, together, sent, seen });
    for (const [index, { name, rate, width }] of RECEIVERS.entries()) {
      const timeline = new Timeline(seen[index] ?? []);
      report.keepText(`receivers-${name}`, timeline.text(alone.from));
      judgeReceiver(report, name, rate, width, timeline, together);
    }
    judgeSender(report, sent, new Timeline(seen[0] ?? []), alone, together);
  } finally {
    await stage.clear();
  }
}

interface Window {
  from: number;
  to: number;
}

async function receive(stage: Stage, person: Person): Promise<void> {
  const { client, joined } = await stage.enter(person, 'receivers');
  await watch(person);
  for (const { producers } of joined.participants) {
    for (const { producerId } of producers) await client.consume(producerId);
  }
}

function judgeReceiver(report: Report, name: string, rate: number, width: number, timeline: Timeline, { from, to }: Window): void {
  const [share, freeze] = [timeline.share(width, from, to), timeline.longestFreeze(from, to)];
  const { concealed, buffer } = timeline.sound(from, to);
  report.row('three receivers', {
    receiver: name,
    'link kbit/s': `${rate}`,
    widths: timeline.widths(from, to),
    'kbit/s': timeline.bitrate(from, to).toFixed(0),
    fps: timeline.frameRate(from, to).toFixed(1),
    freeze: seconds(freeze),
    concealed: percent(concealed),
    'sound buffer ms': buffer.toFixed(0),
  });
  report.check(`the ${name} receiver sees a picture of ${width}`, share >= MOSTLY, timeline.widths(from, to));
  report.check(`the ${name} receiver sees no freeze`, freeze <= LONGEST_FREEZE_MS, seconds(freeze));
  report.check(`the ${name} receiver's sound does not suffer`, concealed <= MOST_CONCEALED, `${percent(concealed)} concealed`);
}

function judgeSender(report: Report, sent: Look[], fast: Timeline, alone: Window, together: Window): void {
  const [before, after] = [top(sent, alone), top(sent, together)];
  for (const [when, { kbit, fps, width, keyFrames, limited }] of [
    ['first receiver alone', before],
    ['all three', after],
  ] as const) {
    report.row('the sender', {
      when,
      width: `${width}`,
      'kbit/s': kbit.toFixed(0),
      fps: fps.toFixed(1),
      'key frames': `${keyFrames}`,
      limited,
    });
  }
  report.check(
    'the sender sends the first receiver no less for the sake of the third',
    after.width === before.width && after.kbit >= REMAINS * before.kbit && after.fps >= REMAINS * before.fps,
    `${before.kbit.toFixed(0)} → ${after.kbit.toFixed(0)} kbit/s, ${before.fps.toFixed(1)} → ${after.fps.toFixed(1)} fps`,
  );
  const [bitrate, remaining] = [fast.bitrate(alone.from, alone.to), fast.bitrate(together.from, together.to)];
  report.check(
    'the first receiver gets no less either',
    remaining >= REMAINS * bitrate,
    `${bitrate.toFixed(0)} → ${remaining.toFixed(0)} kbit/s`,
  );
}

/** The largest layer in a window of time. */
function top(sent: Look[], { from, to }: Window): { kbit: number; fps: number; width: number; keyFrames: number; limited: string } {
  const largest = sent
    .filter(({ at }) => at >= from && at < to)
    .flatMap(({ at, sent }) => sent.filter(({ kind, rid }) => kind === 'video' && rid === 'r2').map((layer) => ({ at, ...layer })));
  const [first, last] = [largest[0], largest.at(-1)];
  if (first === undefined || last === undefined) throw new Error('the sender has no largest layer');
  const elapsed = (last.at - first.at) / 1_000;
  return {
    kbit: ((last.bytes - first.bytes) * 8) / 1_000 / elapsed,
    fps: (last.frames - first.frames) / elapsed,
    width: last.width,
    keyFrames: last.keyFrames - first.keyFrames,
    limited: [...new Set(largest.map(({ limitation }) => limitation))].join(' '),
  };
}
