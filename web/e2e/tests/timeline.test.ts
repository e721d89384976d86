// The judge of pictures over time is judged itself, with looks that are made up.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Look } from '../page/quality.js';
import { Timeline } from '../quality/timeline.js';

/** A look every 100 ms, at a picture of 10 frames a second. */
function looks(seconds: number, width: (second: number) => number, moves: (second: number) => boolean = () => true): Look[] {
  let frames = 0;
  return Array.from({ length: seconds * 10 }, (_, index) => {
    if (moves(index / 10)) frames++;
    const common = { height: 0, keyFrames: 0, lost: 0, nacks: 0, plis: 0, freezes: 0, frozenSeconds: 0 };
    const video = [{ track: 'v', width: width(index / 10), frames, bytes: frames * 1_000, ...common }];
    const samples = index * 4_800;
    const audio = [
      {
        track: 'a',
        packets: 0,
        lost: 0,
        samples,
        concealed: samples / 100,
        concealments: 0,
        bufferDelay: samples / 10,
        emitted: samples,
        energy: 0,
      },
    ];
    return { at: index * 100, video, audio, sent: [] };
  });
}

describe('a timeline', () => {
  it('says when a size is reached for good, and not when it is only touched', () => {
    const timeline = new Timeline(looks(10, (second) => (second >= 5 || (second >= 1 && second < 2) ? 960 : 480)));
    assert.equal(timeline.reaches(960, 0, 10_000), 5_000);
    assert.equal(timeline.reaches(240, 0, 10_000), Infinity);
    assert.equal(timeline.reaches(960, 0, 6_000), Infinity);
  });

  it('finds the longest freeze, also one that lasts to the end', () => {
    const stutters = looks(
      10,
      () => 480,
      (second) => second < 3 || second >= 4.5,
    );
    assert.equal(new Timeline(stutters).longestFreeze(0, 10_000), 1_600);
    assert.equal(new Timeline(stutters).longestFreeze(5_000, 10_000), 100);
    const stops = looks(
      10,
      () => 480,
      (second) => second < 7,
    );
    assert.equal(new Timeline(stops).longestFreeze(0, 10_000), 3_000);
  });

  it('measures shares, rates and made-up sound', () => {
    const timeline = new Timeline(looks(10, (second) => (second < 2.5 ? 240 : 480)));
    assert.equal(timeline.share(240, 0, 10_000), 0.25);
    assert.equal(timeline.widths(0, 10_000), '240 25 % 480 75 %');
    assert.equal(Math.round(timeline.frameRate(0, 10_000)), 10);
    assert.equal(Math.round(timeline.bitrate(0, 10_000)), 80);
    const { concealed, buffer } = timeline.sound(0, 10_000);
    assert.ok(Math.abs(concealed - 0.01) < 1e-9 && Math.abs(buffer - 100) < 1e-9, `${concealed} ${buffer}`);
  });

  it('counts a picture that never came as a freeze', () => {
    const nothing = looks(5, () => 0).map((look) => ({ ...look, video: [] }));
    assert.ok(new Timeline(nothing).longestFreeze(0, 5_000) >= 4_800);
  });
});
