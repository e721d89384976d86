// Checks that every locked package, Rust or npm, has a licence that deny.toml allows, and that the lock files
// name no place to download from but the two public registries.

import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(new URL('../web/package.json', import.meta.url));
const satisfies = require('spdx-satisfies');
const { parse: parseToml } = await import(require.resolve('smol-toml'));

const CRATES_IO = 'registry+https://github.com/rust-lang/crates.io-index';
const NPM = 'https://registry.npmjs.org/';
/** What the examples take from this repository itself. */
const SDK = 'file:../web/sdk';

/** The directories with an npm lock file. */
export const NPM_ROOTS = ['web', 'examples'];

// Used on developers' machines, in nothing we ship: data tables of the licence check itself; what reads YAML for the
// generator of types, whose licence is that of the Python code it was translated from; and what eslint finds files with, under
// a permissive licence that is young.
const CHECKED_BY_HAND = new Set([
  'spdx-exceptions: CC-BY-3.0',
  'spdx-ranges: (MIT AND CC-BY-3.0)',
  'argparse: Python-2.0',
  'argparse: PSF-2.0',
  'minimatch: BlueOak-1.0.0',
  '@isaacs/nonrecursive-glob-match: BlueOak-1.0.0',
]);

/** The licences that deny.toml allows. */
export function allowedLicences() {
  return parseToml(readFileSync(`${root}/deny.toml`, 'utf8')).licenses.allow;
}

/** Whether an SPDX expression can be fulfilled with allowed licences alone. */
export function isAllowed(expression, allowed) {
  if (!expression) return false;
  try {
    // crates.io has packages from before SPDX expressions: a slash meant "or".
    return satisfies(expression.replaceAll('/', ' OR '), allowed);
  } catch {
    return false;
  }
}

/** Every Rust package of the lock file, on every platform, as {name, version, licence}. */
export function rustPackages() {
  const options = { cwd: root, encoding: 'utf8', maxBuffer: 1 << 28 };
  const metadata = JSON.parse(execFileSync('cargo', ['metadata', '--format-version=1', '--locked', '--quiet'], options));
  return metadata.packages.map((p) => ({
    name: p.name,
    version: p.version,
    licence: p.license,
  }));
}

/** Every npm package of a lock file, as {name, version, licence}. */
export function npmPackages(directory) {
  return Object.entries(readNpmLock(directory).packages)
    .filter(([, entry]) => !entry.link)
    .map(([path, entry]) => ({
      name: entry.name ?? path.replace(/^.*node_modules\//, ''),
      version: entry.version ?? '',
      licence: entry.license ?? installedLicence(path, entry.version),
    }))
    .filter(({ name, licence }) => !CHECKED_BY_HAND.has(`${name}: ${licence}`));
}

/** What in a Cargo.lock comes from elsewhere than crates.io or this workspace. */
export function foreignCargoSources(text) {
  return [...text.matchAll(/^source = "(.*)"$/gm)].map((m) => m[1]).filter((source) => source !== CRATES_IO);
}

/** What in a package-lock.json comes from elsewhere than the npm registry or this workspace. */
export function foreignNpmSources(lock) {
  return Object.values(lock.packages)
    .filter((entry) => !entry.link && entry.resolved !== undefined && entry.resolved !== SDK && !entry.resolved.startsWith(NPM))
    .map((entry) => entry.resolved);
}

/** The npm lock file of a directory. */
export function readNpmLock(directory) {
  return JSON.parse(readFileSync(`${root}/${directory}/package-lock.json`, 'utf8'));
}

// Some packages' lock entries have no licence, though the package itself does. It is read where it is installed, be it for another
// lock file: the examples are installed later than this is checked, and the SDK brings them nothing that `web` has not.
function installedLicence(path, version) {
  for (const directory of NPM_ROOTS) {
    const file = `${root}/${directory}/${path}/package.json`;
    if (!existsSync(file)) continue;
    const { license, licenses, version: installed } = JSON.parse(readFileSync(file, 'utf8'));
    if (installed === version) return license ?? licenses?.map(({ type }) => type).join(' OR ');
  }
  return undefined;
}
