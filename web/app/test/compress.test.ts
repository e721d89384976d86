import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { compressFolder } from '../compress.ts';

let folder = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'parlor-compress-'));
});

afterEach(() => rmSync(folder, { recursive: true }));

test('a text gets both forms, and they say the same', () => {
  const text = 'export const parlor = "parlor";\n'.repeat(100);
  writeFileSync(join(folder, 'a.js'), text);
  compressFolder(folder);
  const [brotli, gzip] = [readFileSync(join(folder, 'a.js.br')), readFileSync(join(folder, 'a.js.gz'))];
  expect(brotliDecompressSync(brotli).toString()).toBe(text);
  expect(gunzipSync(gzip).toString()).toBe(text);
  expect(brotli.length).toBeLessThan(text.length / 10);
});

test('what does not get smaller stays alone', () => {
  writeFileSync(join(folder, 'tiny.svg'), '<svg/>');
  writeFileSync(join(folder, 'a.png'), 'x'.repeat(1000));
  compressFolder(folder);
  expect(readdirSync(folder).sort()).toEqual(['a.png', 'tiny.svg']);
});
