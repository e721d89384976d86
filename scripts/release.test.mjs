// The version is the same wherever it stands, and the changelog can be released.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { readText, released, section, versions, withVersion } from './release.mjs';

const CHANGELOG = readText('CHANGELOG.md');

test('the version is the same everywhere', () => {
  const all = versions();
  const [[, version]] = all;
  assert.deepEqual(
    all.filter(([, other]) => other !== version),
    [],
  );
});

test('another version is written everywhere, and into nothing else', () => {
  const texts = new Map(withVersion('9.8.7-rc.1'));
  const read = (file) => texts.get(file);
  assert.deepEqual([...new Set(versions(read).map(([, version]) => version))], ['9.8.7-rc.1']);
  const [[, version]] = versions();
  for (const [file, text] of withVersion(version, read)) assert.equal(text, readText(file), file);
  for (const wrong of ['', '1.2', 'v1.2.3', '1.2.3 ']) assert.throws(() => withVersion(wrong), /is no version/, wrong);
});

test('the changelog begins with what is not released, and every section after it has a version and a date', () => {
  const [first, ...others] = CHANGELOG.match(/^## .*$/gm);
  assert.equal(first, '## [Unreleased]');
  for (const heading of others) assert.match(heading, /^## \[\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?\] - \d{4}-\d\d-\d\d$/);
});

test('what was not released becomes the section of the version, and the notes are that section', () => {
  const before =
    '# Changelog\n\nSemantic. There is no release yet.\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.1.0] - 2026-01-01\n\n- Old.\n';
  const after = released(before, '0.2.0', '2026-02-03');
  assert.match(after, /^# Changelog\n\nSemantic\.\n\n## \[Unreleased\]\n\n## \[0\.2\.0\] - 2026-02-03\n\n### Added/);
  assert.equal(section(after, '0.2.0'), '### Added\n\n- A thing.');
  assert.equal(section(after, '0.1.0'), '- Old.');
  assert.equal(section(after, '0.3.0'), undefined);
  assert.throws(() => released(after, '0.3.0', '2026-02-04'), /nothing that is not released/);
  assert.throws(() => released(before, '0.1.0', '2026-02-04'), /has a section for 0\.1\.0/);
});

test('a tag of this commit is the version, and has notes', () => {
  const tags = execFileSync('git', ['tag', '--points-at', 'HEAD'], { encoding: 'utf8' }).split('\n');
  for (const tag of tags.filter((name) => /^v\d/.test(name))) {
    assert.equal(tag, `v${versions()[0][1]}`);
    assert.ok(section(CHANGELOG, tag.slice(1)), `the changelog has no section for ${tag}`);
  }
});
