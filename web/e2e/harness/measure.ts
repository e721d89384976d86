// What a page hears and sees, by the probe that was put into it.

import type { Inbound, Outbound } from '../page/probe.js';
import { until } from './until.js';

/** What both drivers' pages can do. */
export interface Evaluates {
  evaluate<T>(script: () => T | Promise<T>): Promise<T>;
  evaluate<T, A>(script: (argument: A) => T | Promise<T>, argument: A): Promise<T>;
}

/** More energy than comfort noise has in the time a test waits, and less than one spoken word. */
const ENERGY_OF_SOUND = 1e-4;

/** Everything that arrives at a page. */
export function inbound(page: Evaluates): Promise<Inbound[]> {
  return page.evaluate(() => window.probe.inbound());
}

/** Everything that a page sends. */
export function outbound(page: Evaluates): Promise<Outbound[]> {
  return page.evaluate(() => window.probe.outbound());
}

/** What arrives as one track; undefined before its first packet. */
export async function track(page: Evaluates, id: string): Promise<Inbound | undefined> {
  return (await inbound(page)).find((stream) => stream.track === id);
}

/** Waits until a page hears somebody: decoded energy rises, and WebAudio measures sound. Answers the track. */
export async function hears(page: Evaluates, trackId?: string): Promise<string> {
  // What a connection that is being given up has brought earlier must not count.
  const before = new Map((await inbound(page)).map((stream) => [stream.track, stream.energy]));
  const heard = await until('sound is decoded', async () => {
    const streams = (await inbound(page)).filter((stream) => stream.kind === 'audio' && (trackId ?? stream.track) === stream.track);
    return streams.find((stream) => stream.energy > (before.get(stream.track) ?? 0) + ENERGY_OF_SOUND);
  });
  await until(`WebAudio measures sound on ${heard.track}`, async () => (await loudness(page, heard.track)) > 0.01);
  return heard.track;
}

/** How loud a track is at this moment, by WebAudio. */
export function loudness(page: Evaluates, trackId: string): Promise<number> {
  return page.evaluate((id) => window.probe.loudness(id), trackId);
}

/** Waits until a page sees somebody: frames are decoded, and go on being. Answers the stream. */
export async function sees(page: Evaluates, fits: (stream: Inbound) => boolean = () => true, patience?: number): Promise<Inbound> {
  const first = await until(
    'pictures are decoded',
    async () => (await inbound(page)).find((stream) => stream.kind === 'video' && stream.framesDecoded > 0 && fits(stream)),
    patience,
  );
  return await until(
    'more pictures are decoded',
    async () => {
      const now = await track(page, first.track);
      return now !== undefined && now.framesDecoded >= first.framesDecoded + 5 && fits(now) ? now : null;
    },
    patience,
  );
}

/** Waits until the energy of a track goes up from where it is now. */
export async function energyRises(page: Evaluates, trackId: string): Promise<void> {
  const before = (await track(page, trackId))?.energy ?? 0;
  await until(`the energy of ${trackId} rises`, async () => ((await track(page, trackId))?.energy ?? 0) > before + ENERGY_OF_SOUND);
}

/** Longer than the pause between two sentences of the fake microphone, so that silence is not luck. */
const SILENCE_MS = 3_500;

/** Waits until a track has been silent for longer than its speaker ever pauses. */
export async function fallsSilent(page: Evaluates, trackId: string): Promise<void> {
  await settles(`the energy of ${trackId}`, SILENCE_MS, async () => {
    const energy = (await track(page, trackId))?.energy ?? 0;
    // Comfort noise after the last word is not sound: WebAudio would not call it so either.
    return Math.round(energy * 1e3);
  });
}

/** Waits until no more pictures of a track are decoded. */
export async function standsStill(page: Evaluates, trackId: string): Promise<void> {
  await settles(`the picture ${trackId}`, 1_500, async () => (await track(page, trackId))?.framesDecoded ?? 0);
}

async function settles(what: string, window: number, probe: () => Promise<number>): Promise<void> {
  let [value, since] = [await probe(), performance.now()];
  await until(`${what} stays the same for ${window} ms`, async () => {
    const next = await probe();
    if (next !== value) [value, since] = [next, performance.now()];
    return performance.now() - since >= window;
  });
}
