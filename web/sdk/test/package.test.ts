// What is published: its ways in, its licences, and what it says of Node.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const SDK = fileURLToPath(new URL('..', import.meta.url));
const described = JSON.parse(readFileSync(`${SDK}package.json`, 'utf8')) as {
  exports: Record<string, Record<string, string>>;
  engines?: unknown;
};

it('carries both licences', () => {
  // Scripts are left out by a dry run; the list of files is what npm would pack with them.
  execFileSync('npm', ['run', '--silent', 'prepack'], { cwd: SDK });
  try {
    const [packed] = JSON.parse(
      execFileSync('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: SDK, encoding: 'utf8' }),
    ) as {
      files: { path: string }[];
    }[];
    const paths = packed?.files.map(({ path }) => path) ?? [];
    expect(paths).toEqual(expect.arrayContaining(['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'package.json']));
  } finally {
    execFileSync('npm', ['run', '--silent', 'postpack'], { cwd: SDK });
  }
});

it('has a way in for every kind of import, the last of which takes whatever is left', () => {
  const { '.': ways = {} } = described.exports;
  expect(Object.keys(ways)).toEqual(['types', 'import', 'default']);
  expect(ways['default']).toBe(ways['import']);
});

it('asks for no Node: it runs in browsers, and whoever bundles it may have any', () => {
  expect(described.engines).toBeUndefined();
});
