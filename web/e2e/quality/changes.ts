// A picture over a link whose rate changes: the layer follows, nothing freezes, the sound goes on.

import type { Bare } from '../harness/bare.js';
import { pause, until } from '../harness/until.js';
import { PICTURE, WIDTHS } from './material.js';
import type { Report } from './report.js';
import { look, Stage, unwatch, watch, type Person } from './stage.js';
import { Timeline } from './timeline.js';

/** What the link carries in turn, how wide the best picture is that fits, and how soon it must be there. */
const PHASES = [
  { rate: 1_000, width: WIDTHS.middle, within: 10_000, seconds: 20 },
  { rate: 300, width: WIDTHS.small, within: 2_000, seconds: 20 },
  { rate: 2_000, width: WIDTHS.large, within: 10_000, seconds: 20 },
];
const QUEUE_MS = 200;
const DELAY_MS = 20;

/** After a change, freezes do not count for so long: what is under way has to drain. */
export const SETTLED_MS = 2_000;
/** The longest freeze after that. */
export const LONGEST_FREEZE_MS = 1_000;
/** How much of the sound may be made up. */
export const MOST_CONCEALED = 0.01;

/** Runs this part. */
export async function changes(report: Report): Promise<void> {
  const stage = await Stage.set('changes');
  try {
    const [alice, bob] = [await stage.person('alice'), await stage.person('bob')];
    const first = PHASES[0];
    await alice.place.set({ up: { delay: 10 }, down: { delay: 10 } });
    await restrict(bob, first?.rate ?? 0);
    const [speaker, listener] = [await stage.join(alice, 'changes'), await stage.join(bob, 'changes')];
    await send(alice, speaker);
    await watch(bob);
    await watch(alice);
    const begins = [Date.now()];
    await listener.consume((await listener.announced('mic')).producerId);
    await listener.consume((await listener.announced('camera')).producerId);
    for (const [index, phase] of PHASES.entries()) {
      if (index > 0) {
        begins.push(Date.now());
        await restrict(bob, phase.rate);
      }
      await pause(phase.seconds * 1_000);
    }
    const [seen, sent] = [await unwatch(bob), await unwatch(alice)];
    report.keep('changes', { begins, seen, sent });
    const timeline = new Timeline(seen);
    report.keepText('changes', timeline.text(begins[0] ?? 0));
    judge(report, timeline, begins);
  } finally {
    await stage.clear();
  }
}

/** Sends a voice, and a picture in three sizes. */
export async function send(person: Person, client: Bare): Promise<void> {
  await client.produce({ source: 'mic' });
  await client.produce({ source: 'camera', simulcast: true, scalabilityMode: 'L1T3', ...PICTURE });
  await topLayerIsSent(person);
}

/** Waits until the sender's own link has been found good enough for the largest picture. */
async function topLayerIsSent(sender: Person): Promise<void> {
  const bytes = async (): Promise<number> => (await look(sender)).sent.find(({ width }) => width === WIDTHS.large)?.bytes ?? NaN;
  await until('the largest picture is sent at more than 1 Mbit/s', async () => {
    const before = await bytes();
    await pause(1_000);
    return (await bytes()) - before > 1_000_000 / 8;
  });
}

async function restrict(person: Person, rate: number): Promise<void> {
  await person.place.set({ up: { delay: DELAY_MS }, down: { delay: DELAY_MS, rate, queue: QUEUE_MS } });
}

function judge(report: Report, timeline: Timeline, begins: number[]): void {
  for (const [index, phase] of PHASES.entries()) {
    const [begin, end] = [begins[index] ?? 0, begins[index + 1] ?? Infinity];
    const settled = begin + SETTLED_MS;
    const there = timeline.reaches(phase.width, begin, end);
    const freeze = timeline.longestFreeze(settled, end);
    const [early, later] = [timeline.sound(begin, settled), timeline.sound(settled, end)];
    const name = `${phase.rate} kbit/s`;
    report.row('changes of the link', {
      link: name,
      'there after': seconds(there),
      widths: timeline.widths(settled, end),
      'kbit/s': `${timeline.bitrate(settled, end).toFixed(0)}`,
      fps: timeline.frameRate(settled, end).toFixed(1),
      'freeze at first': seconds(timeline.longestFreeze(begin, settled)),
      'freeze later': seconds(freeze),
      'concealed at first': percent(early.concealed),
      'concealed later': percent(later.concealed),
      'sound buffer ms': later.buffer.toFixed(0),
      'lost pictures/sound': `${timeline.lost('video', settled, end)}/${timeline.lost('audio', settled, end)}`,
    });
    report.check(`${name}: a picture of ${phase.width} within ${phase.within / 1_000} s`, there <= phase.within, `after ${seconds(there)}`);
    report.check(`${name}: no freeze over ${LONGEST_FREEZE_MS / 1_000} s once settled`, freeze <= LONGEST_FREEZE_MS, seconds(freeze));
    const all = timeline.sound(begin, end);
    report.check(`${name}: the sound does not suffer`, all.concealed <= MOST_CONCEALED, `${percent(all.concealed)} concealed`);
  }
}

export function seconds(ms: number): string {
  return Number.isFinite(ms) ? `${(ms / 1_000).toFixed(1)} s` : 'never';
}

export function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}
