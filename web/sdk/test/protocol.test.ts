// The types of the protocol are those of the server, and what the server writes and reads is of these types.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { expect, it } from 'vitest';

import { generate, OUTPUT } from './generate.js';

const GOLDEN = new URL('../../../crates/proto/tests/golden/', import.meta.url);

interface Example {
  event: string;
  payload: unknown;
}

function golden(name: string): Example[] {
  return JSON.parse(readFileSync(new URL(`${name}.json`, GOLDEN), 'utf8')) as Example[];
}

/** What the compiler says of a module beside the sources. */
function complaints(text: string): string[] {
  const here = fileURLToPath(new URL('../src/examples.ts', import.meta.url));
  const { config } = ts.readConfigFile(fileURLToPath(new URL('../../tsconfig.base.json', import.meta.url)), ts.sys.readFile) as {
    config: { compilerOptions: unknown };
  };
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, '.');
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (file) => file === here || fileExists(file);
  host.readFile = (file) => (file === here ? text : readFile(file));
  host.getSourceFile = (file, ...rest) =>
    file === here ? ts.createSourceFile(file, text, ts.ScriptTarget.ES2022, true) : getSourceFile(file, ...rest);
  const program = ts.createProgram([here], { ...options, noEmit: true }, host);
  const source = program.getSourceFile(here);
  return program.getSemanticDiagnostics(source).map(({ messageText, start = 0 }) => {
    const line = text.slice(text.lastIndexOf('\n', start) + 1).split('\n', 1)[0];
    return `${ts.flattenDiagnosticMessageText(messageText, '\n')} in ${line}`;
  });
}

/** A module's lines, each of which has an example of the type its event has. */
function typed(name: string, type: (event: string) => string): string[] {
  return golden(name).map(({ event, payload }, n) => `export const ${name}${n}: ${type(event)} = ${JSON.stringify(payload)};`);
}

it('is generated from the schema as it is now', async () => {
  // The variable that has the server's tests write their golden files, too.
  if (process.env['PARLOR_BLESS']) writeFileSync(OUTPUT, await generate());
  expect(readFileSync(OUTPUT, 'utf8'), 'npm --prefix web run generate').toBe(await generate());
});

it('has a type for everything that is written and read, without a field too many or too few', () => {
  const lines = [
    "import type { Pushes, Refusal, Replies, Requests } from './protocol.generated.js';",
    ...typed('events', (event) => `Pushes['${event}']`),
    ...typed('replies', (event) => `Replies['${event}']`),
    ...typed('requests', (event) => `Requests['${event}']['payload']`),
    `export const refusals: Refusal[] = ${readFileSync(new URL('errors.json', GOLDEN), 'utf8')};`,
  ];
  expect(lines.length).toBeGreaterThan(60);
  expect(complaints(lines.join('\n'))).toEqual([]);
  const wrong =
    "import type { Pushes } from './protocol.generated.js';\nexport const x: Pushes['voice:participant:left'] = { user: 'alice' };";
  expect(complaints(wrong)).toHaveLength(1);
});
