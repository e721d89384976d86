// The parts of a release that are work for a program: docs/releasing.md says when.
//
// node scripts/release.mjs version         the version there is
// node scripts/release.mjs prepare 0.2.0   writes another one everywhere, and dates its section of the changelog
// node scripts/release.mjs notes 0.2.0     prints that section: the text of the release

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CHANGELOG = 'CHANGELOG.md';
/** Stands in the changelog until the first release. */
const NO_RELEASE = ' There is no release yet.';
const SEMVER = /^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$/;

/** Everywhere the version stands: what comes before it there, it, and nothing else. */
const PLACES = [
  ['Cargo.toml', /(?<=^\[workspace\.package\]\nversion = ")[^"]+/gm],
  ['Cargo.lock', /(?<=^name = "parlor(?:-[a-z]+)?"\nversion = ")[^"]+/gm],
  ['fuzz/Cargo.lock', /(?<=^name = "parlor-(?!fuzz")[a-z]+"\nversion = ")[^"]+/gm],
  ['web/sdk/package.json', /(?<=^ {2}"version": ")[^"]+/gm],
  ['web/app/package.json', /(?<=^ {2}"version": "|"@parlor\/client": ")[^"]+/gm],
  ['web/e2e/package.json', /(?<=^ {2}"version": ")[^"]+/gm],
  ['web/package-lock.json', /(?<="name": "@parlor\/[a-z0-9]+",\n *"version": "|"@parlor\/client": ")[^"]+/gm],
  ['examples/package-lock.json', /(?<="node_modules\/@parlor\/client": \{\n *"version": ")[^"]+/gm],
  ['README.md', /(?<=parlor-client-).+?(?=\.tgz)/g],
];

/** Every place with what stands there, as [file, version]. */
export function versions(read = readText) {
  return PLACES.flatMap(([file, pattern]) => {
    const found = read(file).match(pattern);
    if (!found) throw new Error(`${file} has no version where ${pattern} looks for it`);
    return found.map((version) => [file, version]);
  });
}

/** The files with another version in every place, as [file, text]. */
export function withVersion(version, read = readText) {
  if (!SEMVER.test(version)) throw new Error(`"${version}" is no version as 0.2.0`);
  return PLACES.map(([file, pattern]) => [file, read(file).replace(pattern, version)]);
}

/** The changelog with its unreleased section as that of a version. */
export function released(changelog, version, date) {
  if (section(changelog, version) !== undefined) throw new Error(`the changelog has a section for ${version}`);
  if (!section(changelog, 'Unreleased')) throw new Error('the changelog has nothing that is not released yet');
  return changelog.replace(NO_RELEASE, '').replace('## [Unreleased]\n', `## [Unreleased]\n\n## [${version}] - ${date}\n`);
}

/** What the changelog says under a heading; undefined if there is no such heading. */
export function section(changelog, heading) {
  const sections = changelog.split(/^## /m).slice(1);
  const found = sections.find((text) => text.startsWith(`[${heading}]`));
  return found?.slice(found.indexOf('\n')).trim();
}

export function readText(file) {
  return readFileSync(`${ROOT}/${file}`, 'utf8');
}

function prepare(version) {
  // Nothing is written before all of it is right.
  const texts = withVersion(version);
  texts.push([CHANGELOG, released(readText(CHANGELOG), version, new Date().toISOString().slice(0, 10))]);
  for (const [file, text] of texts) writeFileSync(`${ROOT}/${file}`, text);
}

function notes(version) {
  const text = section(readText(CHANGELOG), version);
  if (text === undefined) throw new Error(`the changelog has no section for ${version}`);
  console.log(text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command, version = ''] = process.argv.slice(2);
  try {
    if (command === 'version') console.log(versions()[0][1]);
    else if (command === 'prepare') prepare(version);
    else if (command === 'notes') notes(version);
    else throw new Error('usage: release.mjs version | prepare VERSION | notes VERSION');
  } catch (error) {
    console.error(`error: ${error.message}`);
    process.exitCode = 1;
  }
}
