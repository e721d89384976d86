// Checks and compiles the tests, and bundles the scripts that are put into pages.

import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { rmSync } from 'node:fs';
import { build } from 'vite';

const here = fileURLToPath(new URL('.', import.meta.url));
const tsc = createRequire(import.meta.url).resolve('typescript/bin/tsc');

rmSync(`${here}dist`, { recursive: true, force: true });
execFileSync(process.execPath, [tsc, '-p', here], { stdio: 'inherit' });

for (const [entry, name] of [
  ['bare', 'ParlorBare'],
  ['mesh', 'ParlorMesh'],
  ['probe', 'ParlorProbe'],
  ['quality', 'ParlorQuality'],
]) {
  await build({
    root: here,
    configFile: false,
    logLevel: 'warn',
    build: {
      emptyOutDir: false,
      outDir: 'dist/page',
      minify: false,
      target: 'es2022',
      lib: {
        entry: `dist/page/${entry}.js`,
        formats: ['iife'],
        name,
        fileName: () => `${entry}.iife.js`,
      },
    },
  });
}
