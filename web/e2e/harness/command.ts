// Commands that a document tells people to type, run as they stand there.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { stripVTControlCharacters } from 'node:util';
import { PATIENCE_MS, until, within } from './until.js';

/** The first block of commands of a document. */
export function commandsIn(document: string): string {
  const [, commands] = /^```sh\n(.*?)^```$/ms.exec(readFileSync(document, 'utf8')) ?? [];
  if (commands === undefined) throw new Error(`${document} has no commands`);
  return commands;
}

/** Commands that run until they are stopped, with all they have started. */
export class Command {
  #output = '';
  /** All of them have ended, not only the shell. */
  #over = false;

  private constructor(private readonly child: ChildProcess) {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
    const kill = (): void => this.#signal('SIGKILL');
    process.on('exit', kill);
    child.once('close', () => {
      this.#over = true;
      process.off('exit', kill);
    });
  }

  /** Starts them in a directory. Variables that are undefined are taken out of the environment. */
  static start(commands: string, cwd: string, env: Record<string, string | undefined>): Command {
    // A group of its own, so that what a shell has started ends with it.
    const options = { cwd, env: { ...process.env, ...env }, detached: true, stdio: ['ignore', 'pipe', 'pipe'] as const };
    return new Command(spawn('bash', ['-euc', commands], { ...options, stdio: [...options.stdio] }));
  }

  /** Waits until they have said something, and answers the first group of it. */
  async says(what: RegExp): Promise<string> {
    const find = (): RegExpExecArray | null => what.exec(stripVTControlCharacters(this.#output));
    await until(`${what} is said`, () => find() !== null || this.child.exitCode !== null);
    const said = find();
    if (!said) throw new Error(`ended without saying ${what}:\n${this.#output}`);
    return said[1] ?? said[0];
  }

  /** Everything they have said so far, line by line. */
  get lines(): string[] {
    return stripVTControlCharacters(this.#output).split('\n');
  }

  /** Tells them to end, and waits for it; what does not end in time is killed, and the test fails. */
  async stop(): Promise<void> {
    if (this.#over) return;
    const over = new Promise((resolve) => this.child.once('close', resolve));
    this.#signal('SIGTERM');
    try {
      await within('the end of commands that were told to stop', PATIENCE_MS, over);
    } finally {
      if (!this.#over) this.#signal('SIGKILL');
    }
  }

  #signal(name: NodeJS.Signals): void {
    try {
      if (this.child.pid !== undefined) process.kill(-this.child.pid, name);
    } catch {
      // They have all ended.
    }
  }
}
