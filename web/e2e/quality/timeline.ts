// What a receiver has seen and heard over time, from many looks at its statistics.

import type { Heard, Look, Seen } from '../page/quality.js';

/** A layer counts as reached when it stays for so long: one frame of it is not a picture. */
const STAYS_MS = 1_500;

/** Of one received picture and one received sound. */
export class Timeline {
  constructor(private readonly looks: Look[]) {}

  /** How long after `from` the picture has this width, and keeps it for a while; Infinity when never before `to`. */
  reaches(width: number, from: number, to: number): number {
    const looks = this.between(from, to);
    for (const [index, { at }] of looks.entries()) {
      const follows = looks.slice(index).filter((look) => look.at < at + STAYS_MS);
      if (looks.some((look) => look.at >= at + STAYS_MS) && follows.every((look) => seen(look)?.width === width)) return at - from;
    }
    return Infinity;
  }

  /** The longest time without a new frame. */
  longestFreeze(from: number, to: number): number {
    const looks = this.between(from, to);
    let [since, frames, longest] = [from, -1, 0];
    for (const look of looks) {
      longest = Math.max(longest, look.at - since);
      const now = seen(look)?.frames ?? 0;
      if (now > frames) [since, frames] = [look.at, now];
    }
    return longest;
  }

  /** The widths of the picture with their shares of the time. */
  widths(from: number, to: number): string {
    const looks = this.between(from, to);
    const counts = new Map<number, number>();
    for (const look of looks) counts.set(seen(look)?.width ?? 0, (counts.get(seen(look)?.width ?? 0) ?? 0) + 1);
    return [...counts]
      .sort(([a], [b]) => a - b)
      .map(([width, count]) => `${width} ${((100 * count) / looks.length).toFixed(0)} %`)
      .join(' ');
  }

  /** What share of the time the picture has this width. */
  share(width: number, from: number, to: number): number {
    const looks = this.between(from, to);
    return looks.filter((look) => seen(look)?.width === width).length / looks.length;
  }

  /** Of the picture, in kbit/s. */
  bitrate(from: number, to: number): number {
    return (this.rate(from, to, (look) => seen(look)?.bytes) * 8) / 1_000;
  }

  /** The frames per second. */
  frameRate(from: number, to: number): number {
    return this.rate(from, to, (look) => seen(look)?.frames);
  }

  /** Packets that never came. */
  lost(kind: 'audio' | 'video', from: number, to: number): number {
    return this.rise(from, to, (look) => (kind === 'audio' ? heard(look)?.lost : seen(look)?.lost));
  }

  /** The share of the sound that was made up, and the mean delay of the jitter buffer in ms. */
  sound(from: number, to: number): { concealed: number; buffer: number } {
    const rise = (of: (heard: Heard) => number): number => this.rise(from, to, (look) => (look.audio[0] ? of(look.audio[0]) : undefined));
    return {
      concealed: rise(({ concealed }) => concealed) / rise(({ samples }) => samples),
      buffer: (1_000 * rise(({ bufferDelay }) => bufferDelay)) / rise(({ emitted }) => emitted),
    };
  }

  /** Second by second, for somebody who wants to know why. */
  text(begin: number): string {
    const last = this.looks.at(-1)?.at ?? begin;
    const lines = ['   s  width   fps  kbit/s  freeze ms  lost  nacks  plis  keys  concealed  buffer ms'];
    for (let from = begin; from + 1_000 <= last; from += 1_000) {
      const to = from + 1_000;
      const { concealed, buffer } = this.sound(from, to);
      const figures = [
        [(from - begin) / 1_000, 4, 0],
        [seen(this.between(from, to).at(-1) ?? EMPTY)?.width ?? 0, 7, 0],
        [this.frameRate(from, to), 6, 1],
        [this.bitrate(from, to), 8, 0],
        [this.longestFreeze(from, to), 11, 0],
        [this.lost('video', from, to), 6, 0],
        [this.rise(from, to, (look) => seen(look)?.nacks), 7, 0],
        [this.rise(from, to, (look) => seen(look)?.plis), 6, 0],
        [this.rise(from, to, (look) => seen(look)?.keyFrames), 6, 0],
        [concealed, 11, 3],
        [buffer, 11, 0],
      ] as const;
      lines.push(figures.map(([value, width, digits]) => value.toFixed(digits).padStart(width)).join(''));
    }
    return `${lines.join('\n')}\n`;
  }

  private rate(from: number, to: number, of: (look: Look) => number | undefined): number {
    const looks = this.between(from, to);
    return (1_000 * this.rise(from, to, of)) / ((looks.at(-1)?.at ?? 1) - (looks[0]?.at ?? 0));
  }

  private rise(from: number, to: number, of: (look: Look) => number | undefined): number {
    const looks = this.between(from, to);
    const [first, last] = [looks[0], looks.at(-1)];
    return (last ? (of(last) ?? 0) : 0) - (first ? (of(first) ?? 0) : 0);
  }

  private between(from: number, to: number): Look[] {
    return this.looks.filter(({ at }) => at >= from && at < to);
  }
}

const EMPTY: Look = { at: 0, video: [], audio: [], sent: [] };

function seen(look: Look): Seen | undefined {
  return look.video[0];
}

function heard(look: Look): Heard | undefined {
  return look.audio[0];
}
