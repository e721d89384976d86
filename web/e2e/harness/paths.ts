// Where things are: the server under test, and the place for screenshots and logs.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The root of the repository. This file runs from web/e2e/dist/harness. */
export const ROOT = fileURLToPath(new URL('../../../..', import.meta.url));

const TARGET = process.env['CARGO_TARGET_DIR'] ?? join(ROOT, 'target');

/** The built server. */
export const SERVER = process.env['PARLOR_BIN'] ?? join(TARGET, 'debug', 'parlor');

/** What the tests leave for people to look at. */
export const ARTEFACTS = join(TARGET, 'e2e');
mkdirSync(ARTEFACTS, { recursive: true });

/** A scripts bundled for pages: `bare` or `probe`. */
export const PAGE_SCRIPTS = fileURLToPath(new URL('../page', import.meta.url));

const temporary: string[] = [];
process.on('exit', () => temporary.forEach((path) => rmSync(path, { recursive: true, force: true })));

/** A fresh directory that is removed when the process ends. */
export function temporaryDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'parlor-e2e-'));
  temporary.push(path);
  return path;
}
