// What is sent while quality is measured: a voice, and a picture that is hard to encode. Both are made once.

import { execFileSync } from 'node:child_process';
import { closeSync, existsSync, openSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { ARTEFACTS } from '../harness/paths.js';

const SENTENCES = [
  ['en-gb', 'Good morning. The birch canoe slid on the smooth planks.'],
  ['en-us+f3', 'Glue the sheet to the dark blue background.'],
  ['en-gb+m4', 'Four hours of steady work faced us; a large size is hard to sell.'],
  ['en-us+f4', 'Rice is often served in round bowls.'],
] as const;

/** Two men and two women, about seventeen seconds with pauses; 48 kHz mono, the same again and again. */
export function voices(): string {
  return once('voices.wav', (file) => {
    const parts = SENTENCES.map(([voice, text], index) => {
      const part = `${file}.${index}.wav`;
      execFileSync('espeak-ng', ['-w', part, '-v', voice, '-s', '155', text]);
      execFileSync('sox', [part, '-r', '48000', '-c', '1', `${part}.48.wav`, 'norm', '-6', 'pad', '0.4', '0.5']);
      rmSync(part);
      return `${part}.48.wav`;
    });
    execFileSync('sox', [...parts, file, 'pad', '0.2', '0.6']);
    parts.forEach((part) => rmSync(part));
  });
}

/** What the camera gives: the smallest that Chromium sends in three sizes. */
export const PICTURE = { width: 960, height: 540, frameRate: 15 };
/** How wide each size is, small to large. */
export const WIDTHS = { small: 240, middle: 480, large: 960 };
const PICTURE_SECONDS = 4;

/** A texture that moves, turns and flickers, so that every layer needs all of its bitrate. A Y4M file. */
export function picture(): string {
  return once('picture.y4m', (file) => {
    const { width, height, frameRate } = PICTURE;
    const out = openSync(file, 'w');
    writeSync(out, `YUV4MPEG2 W${width} H${height} F${frameRate}:1 Ip A1:1 C420mpeg2\n`);
    const texture = randomTexture();
    const frames = PICTURE_SECONDS * frameRate;
    for (let frame = 0; frame < frames; frame++) {
      writeSync(out, 'FRAME\n');
      writeSync(out, draw(texture, frame / frames));
    }
    closeSync(out);
  });
}

const SIDE = 256;

/** Noise of several sizes over one another, because noise of one size vanishes when a picture is made smaller. */
function randomTexture(): Uint8Array {
  let state = 1;
  const random = (): number => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const sum = new Float32Array(SIDE * SIDE);
  for (const cell of [4, 8, 16, 32]) {
    const grid = Float32Array.from({ length: (SIDE / cell) ** 2 }, random);
    for (let i = 0; i < sum.length; i++) {
      const [x, y] = [Math.floor((i % SIDE) / cell), Math.floor(i / SIDE / cell)];
      sum[i] = (sum[i] ?? 0) + (grid[y * (SIDE / cell) + x] ?? 0) / 4;
    }
  }
  return Uint8Array.from(sum, (value) => 16 + value * 220);
}

/** One frame; `phase` goes from 0 to 1 and begins anew without a jump. */
function draw(texture: Uint8Array, phase: number): Uint8Array {
  const { width, height } = PICTURE;
  const frame = new Uint8Array((width * height * 3) / 2).fill(128);
  const turn = 2 * Math.PI * phase;
  const [cos, sin] = [Math.cos(0.3 * Math.sin(turn)), Math.sin(0.3 * Math.sin(turn))];
  const zoom = 1 + 0.2 * Math.sin(2 * turn);
  // By a whole number of textures within the loop.
  const drift = 2 * SIDE * phase;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [dx, dy] = [(x - width / 2) * zoom, (y - height / 2) * zoom];
      const u = (dx * cos - dy * sin + drift) & (SIDE - 1);
      const v = (dx * sin + dy * cos + drift / 2) & (SIDE - 1);
      frame[y * width + x] = texture[v * SIDE + u] ?? 0;
    }
  }
  return frame;
}

function once(name: string, make: (file: string) => void): string {
  const file = join(ARTEFACTS, name);
  if (!existsSync(file)) {
    const making = join(ARTEFACTS, `making-${process.pid}-${name}`);
    make(making);
    renameSync(making, file);
  }
  return file;
}
