// Reads every pattern of an OpenAPI document as validators do, with the flag `u` and without: node scripts/rest-patterns.mjs URL

const document = await (await fetch(process.argv[2])).json();

/** Every schema that has a pattern. */
function* withPattern(value) {
  if (value === null || typeof value !== 'object') return;
  if (typeof value.pattern === 'string') yield value;
  for (const part of Object.values(value)) yield* withPattern(part);
}

let read = 0;
for (const { pattern, examples = [] } of withPattern(document)) {
  for (const flags of ['', 'u']) {
    const expression = new RegExp(pattern, flags);
    for (const example of examples) {
      if (!expression.test(example)) throw new Error(`${example} does not match /${pattern}/${flags}`);
    }
    read += 1;
  }
}
if (read < 10) throw new Error('there are hardly any patterns: is this the document?');
