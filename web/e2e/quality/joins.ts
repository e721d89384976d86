// How long somebody who comes in waits for the first sound and the first picture.

import { send } from './changes.js';
import type { Report } from './report.js';
import { Stage } from './stage.js';

const JOINS = Number(process.env['QUALITY_JOINS'] ?? 30);
/** One way, each of the two: a round trip of 50 ms from everybody to the server. */
const DELAY_MS = 25;
/** Above this, people would notice that they wait. */
const LONGEST_MS = { sound: 1_000, picture: 1_500 };

/** Runs this part. */
export async function joins(report: Report): Promise<void> {
  const stage = await Stage.set('joins');
  try {
    const [alice, bob] = [await stage.person('alice'), await stage.person('bob')];
    for (const { place } of [alice, bob]) await place.set({ up: { delay: DELAY_MS }, down: { delay: DELAY_MS } });
    await alice.page.evaluate(() => window.quality.tone());
    const speaker = await stage.join(alice, 'joins');
    await send(alice, speaker);
    const waits = [];
    for (let count = 0; count < JOINS; count++) {
      const [url, token] = [stage.url, await stage.token(`bob-${count}`)];
      waits.push(await bob.page.evaluate(({ url, token }) => window.quality.join(url, token, 'joins'), { url, token }));
    }
    report.keep('joins', waits);
    for (const what of ['sound', 'picture'] as const) {
      const sorted = waits.map((wait) => wait[what]).sort((a, b) => a - b);
      const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN;
      report.row('joining', {
        first: what,
        'p50 ms': at(0.5).toFixed(0),
        'p95 ms': at(0.95).toFixed(0),
        'most ms': (sorted.at(-1) ?? NaN).toFixed(0),
        joins: `${sorted.length}`,
      });
      report.check(`the first ${what} comes within ${LONGEST_MS[what]} ms`, at(0.95) <= LONGEST_MS[what], `p95 ${at(0.95).toFixed(0)} ms`);
    }
  } finally {
    await stage.clear();
  }
}
