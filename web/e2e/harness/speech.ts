// A voice for the fake microphone: a sentence, then silence, again and again.

import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ARTEFACTS } from './paths.js';

/** A 48 kHz mono file of speech, made once. */
export function speech(): string {
  const file = join(ARTEFACTS, 'speech.wav');
  if (existsSync(file)) return file;
  const [raw, made] = [`${file}.${process.pid}.raw.wav`, `${file}.${process.pid}.wav`];
  execFileSync('espeak-ng', ['-w', raw, '-s', '150', 'Good morning. The quick brown fox jumps over the lazy dog, and nobody minds.']);
  execFileSync('sox', [raw, '-r', '48000', '-c', '1', made, 'norm', '-6', 'pad', '0', '2']);
  rmSync(raw);
  renameSync(made, file);
  return file;
}
