// The licence check, run over the lock files, and over what it must refuse.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import test from 'node:test';
import {
  allowedLicences,
  foreignCargoSources,
  foreignNpmSources,
  isAllowed,
  NPM_ROOTS,
  npmPackages,
  readNpmLock,
  root,
  rustPackages,
} from './licences.mjs';

const allowed = allowedLicences();

function refused(packages) {
  return packages.filter((p) => !isAllowed(p.licence, allowed)).map((p) => `${p.name} ${p.version}: ${p.licence}`);
}

test('every Rust package has an allowed licence', () => {
  const packages = rustPackages();
  assert.ok(packages.length > 100, `only ${packages.length} packages were listed`);
  assert.deepEqual(refused(packages), []);
});

test('every npm package has an allowed licence', () => {
  for (const directory of NPM_ROOTS) {
    const packages = npmPackages(directory);
    assert.ok(packages.length > 50, `only ${packages.length} packages of ${directory} were listed`);
    assert.deepEqual(refused(packages), [], directory);
  }
});

test('a choice is allowed when one side is, a sum only when both are', () => {
  for (const good of ['MIT', 'MIT/Apache-2.0', 'MIT OR GPL-3.0-only', '(MIT OR Apache-2.0) AND Unicode-3.0']) {
    assert.ok(isAllowed(good, allowed), good);
  }
  for (const bad of ['GPL-3.0-only', 'MIT AND GPL-3.0-only', 'AGPL-3.0-or-later', 'SEE LICENSE IN x', '', undefined]) {
    assert.ok(!isAllowed(bad, allowed), String(bad));
  }
});

test('every Cargo.lock names crates.io and nothing else', () => {
  for (const lock of ['Cargo.lock', 'fuzz/Cargo.lock'].filter((file) => existsSync(`${root}/${file}`))) {
    assert.deepEqual(foreignCargoSources(readFileSync(`${root}/${lock}`, 'utf8')), [], lock);
  }
  assert.deepEqual(foreignCargoSources('source = "git+https://example.org/x"\n'), ['git+https://example.org/x']);
});

test('every package-lock.json names the npm registry and nothing else', () => {
  for (const directory of NPM_ROOTS) assert.deepEqual(foreignNpmSources(readNpmLock(directory)), [], directory);
  const mirror = 'https://mirror.example.org/x.tgz';
  assert.deepEqual(foreignNpmSources({ packages: { 'node_modules/x': { resolved: mirror } } }), [mirror]);
});

test('no file of the repository sets another registry', () => {
  const files = execFileSync('git', ['ls-files', '*.npmrc', '*.cargo/config*', '*.yarnrc*'], { cwd: root, encoding: 'utf8' });
  for (const file of files.split('\n').filter((f) => f && existsSync(`${root}/${f}`))) {
    assert.doesNotMatch(readFileSync(`${root}/${file}`, 'utf8'), /registry\s*=|replace-with/, file);
  }
});
