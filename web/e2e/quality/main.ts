// Measures the quality of calls end to end: `node dist/quality/main.js [speech] [changes] [receivers] [joins]`.

import { changes } from './changes.js';
import { joins } from './joins.js';
import { receivers } from './receivers.js';
import { Report } from './report.js';
import { speech } from './speech.js';

const PARTS: Record<string, (report: Report) => Promise<void>> = { joins, changes, receivers, speech };

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(1));

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => PARTS[name] === undefined);
if (unknown.length > 0) {
  console.error(`error: there is no part '${unknown.join("', '")}'; the parts are: ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}

const report = new Report();
for (const [name, part] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`==> ${name}`);
  try {
    await part(report);
  } catch (error) {
    report.check(`${name} could be measured`, false, error instanceof Error ? error.message : String(error));
  }
}
process.exit(report.finish() ? 0 : 1);
