// What is published: its ways in, its licences, and what it says of Node.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

const SDK = fileURLToPath(new URL('..', import.meta.url));
const described = JSON.parse(readFileSync(`${SDK}package.json`, 'utf8')) as {
  exports: Record<string, Record<string, string>>;
  engines: { node: string };
  dependencies: Record<string, string>;
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

it('asks for the Node that its dependencies ask for', () => {
  const require = createRequire(import.meta.url);
  const least = (range: string | undefined) => Number(/^>=\s*(\d+)/.exec(range ?? '')?.[1] ?? 0);
  const asked = Object.keys(described.dependencies).map((name) => {
    const [before = ''] = require.resolve(name).split(`/node_modules/${name}/`);
    const { engines } = JSON.parse(readFileSync(`${before}/node_modules/${name}/package.json`, 'utf8')) as { engines?: { node?: string } };
    return least(engines?.node);
  });
  expect(least(described.engines.node)).toBe(Math.max(...asked));
});
