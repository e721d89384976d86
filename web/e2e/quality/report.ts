// Tables, verdicts, and the raw figures for people who want to see more.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ARTEFACTS, ROOT } from '../harness/paths.js';

/** What judges speech. scripts/quality.sh installs it. */
export const PESQ = {
  python: process.env['QUALITY_PYTHON'] ?? 'python3',
  script: join(ROOT, 'web', 'e2e', 'quality', 'pesq_wb.py'),
};

const FOLDER = join(ARTEFACTS, 'quality');

/** Collects what is found. */
export class Report {
  private readonly tables = new Map<string, Record<string, string>[]>();
  private readonly verdicts: { name: string; passed: boolean; evidence: string }[] = [];

  constructor() {
    mkdirSync(FOLDER, { recursive: true });
  }

  /** One more row of a table; it is shown at once, because the next may take a minute. */
  row(table: string, row: Record<string, string>): void {
    this.tables.set(table, [...(this.tables.get(table) ?? []), row]);
    console.log(
      `  ${table}: ${Object.entries(row)
        .map(([name, value]) => `${name} ${value}`)
        .join(', ')}`,
    );
  }

  /** Something that has to be true. */
  check(name: string, passed: boolean, evidence: string): void {
    this.verdicts.push({ name, passed, evidence });
    console.log(`  ${passed ? 'ok    ' : 'FAILED'} ${name}: ${evidence}`);
  }

  /** Keeps raw figures as JSON. */
  keep(name: string, figures: unknown): void {
    writeFileSync(join(FOLDER, `${name}.json`), JSON.stringify(figures));
  }

  /** Keeps something to read. */
  keepText(name: string, text: string): void {
    writeFileSync(join(FOLDER, `${name}.txt`), text);
  }

  /** Prints everything; answers whether all is well. */
  finish(): boolean {
    for (const [name, rows] of this.tables) {
      console.log(`\n${name}`);
      print(rows);
    }
    const failed = this.verdicts.filter(({ passed }) => !passed);
    console.log('');
    for (const { name, evidence } of failed) console.log(`FAILED ${name}: ${evidence}`);
    console.log(`The raw figures are in ${FOLDER}.`);
    console.log(`${this.verdicts.length - failed.length} passed, ${failed.length} failed`);
    return failed.length === 0;
  }
}

function print(rows: Record<string, string>[]): void {
  const columns = Object.keys(rows[0] ?? {});
  const widths = columns.map((column) => Math.max(...[column, ...rows.map((row) => row[column] ?? '')].map((text) => text.length)));
  const line = (cells: string[]): string => cells.map((cell, index) => cell.padStart(widths[index] ?? 0)).join('  ');
  console.log(line(columns));
  for (const row of rows) console.log(line(columns.map((column) => row[column] ?? '')));
}
