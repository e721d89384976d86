// Makes src/protocol.generated.ts from docs/protocol/socketio.schema.json, which the server's own types make.
// `npm --prefix web run generate` writes the file; a test fails while it is not what this makes.

import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { compile, type JSONSchema } from 'json-schema-to-typescript';
import { format, resolveConfig } from 'prettier';

const SCHEMA = new URL('../../../docs/protocol/socketio.schema.json', import.meta.url);
const CONFIG = new URL('../../.prettierrc.json', import.meta.url);
export const OUTPUT = new URL('../src/protocol.generated.ts', import.meta.url);

// What the server takes from ORTC is in the field names of mediasoup-client, and so are the types here.
const OF_MEDIASOUP = ['DtlsParameters', 'IceCandidate', 'IceParameters', 'RtpCapabilities', 'RtpParameters'];

/** The text of the file. */
export async function generate(): Promise<string> {
  const text = await readFile(SCHEMA, 'utf8');
  // What is read of these types differs from what is written in fields that may be left out; mediasoup-client has one type.
  const schema = JSON.parse(text.replaceAll(new RegExp(`(?<=#/\\$defs/(?:${OF_MEDIASOUP.join('|')}))Wanted`, 'g'), '')) as Schema;
  const definitions = schema.$defs;
  const codes = definitions['ErrorCode']?.oneOf?.map((code) => code.const) ?? [];
  const pushes = Object.keys(definitions['Pushes']?.properties ?? {});
  for (const name of OF_MEDIASOUP) {
    if (!(name in definitions)) throw new Error(`the schema has no ${name}`);
    definitions[name] = { tsType: `types.${name}` };
  }
  describeReferences(schema);
  const lists: [string, string, string[]][] = [
    ['SERVER_ERROR_CODES', 'The codes the server refuses with.', codes],
    ['PUSH_NAMES', 'The names of the pushes.', pushes],
  ];
  const interfaces = await compile(schema as JSONSchema, schema.title, {
    additionalProperties: false,
    bannerComment: '',
    format: false,
    unreachableDefinitions: false,
    unknownAny: true,
  });
  const head = `// What goes over the socket, made by \`npm run generate\` from docs/protocol/socketio.schema.json: do not edit.

import type { types } from 'mediasoup-client';
`;
  const constants = lists.map(([name, about, values]) => `/** ${about} */\nexport const ${name} = ${JSON.stringify(values)} as const;\n`);
  const all = [head, ...constants, interfaces].join('\n');
  const config = await resolveConfig(fileURLToPath(OUTPUT), { config: fileURLToPath(CONFIG) });
  return format(all, { ...config, parser: 'typescript', plugins: [] });
}

/** A part of the schema, as far as it is looked at here. */
interface Part {
  type?: string;
  tsType?: string;
  description?: string;
  properties?: Record<string, Part>;
  oneOf?: { const: string }[];
  allOf?: Part[];
  $ref?: string;
}

interface Schema extends Part {
  title: string;
  $defs: Record<string, Part>;
}

/** A reference with words of its own would become a second type with the same fields: the words are put around it. */
function describeReferences(schema: object): void {
  for (const [key, part] of Object.entries(schema) as [string, Part | null][]) {
    if (typeof part !== 'object' || part === null) continue;
    describeReferences(part);
    const { $ref, description, properties } = part;
    if ($ref !== undefined && description !== undefined) Object.assign(schema, { [key]: { description, allOf: [{ $ref }] } });
    // The compiler would write `{}`, which is every value but null.
    if (properties && !Object.keys(properties).length) Object.assign(schema, { [key]: { tsType: 'Record<string, never>' } });
  }
}
