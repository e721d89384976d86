// A second host on this machine: a network namespace on a cable of its own, which can be made bad.

import { execFileSync } from 'node:child_process';

/** A namespace, joined to this one by a veth pair. Everything of it goes when it is removed. */
export class NetworkNamespace {
  /** This machine's address on the cable. */
  readonly hostAddress: string;
  /** The namespace's address on the cable. */
  readonly address: string;
  /** What `ip netns` knows it by. */
  readonly name: string;
  private readonly onExit = (): void => this.remove();

  private constructor(index: number) {
    this.name = `parlor-e2e-${process.pid}-${index}`;
    // 198.18.0.0/15 is for tests of networks (RFC 2544): nobody's real network.
    const net = `198.18.${process.pid % 256}`;
    this.hostAddress = `${net}.${index * 4 + 1}`;
    this.address = `${net}.${index * 4 + 2}`;
    const [outside, inside] = [`pe${process.pid}a${index}`, `pe${process.pid}b${index}`];
    run('ip', 'netns', 'add', this.name);
    process.on('exit', this.onExit);
    run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', this.name);
    run('ip', 'address', 'add', `${this.hostAddress}/30`, 'dev', outside);
    run('ip', 'link', 'set', outside, 'up');
    this.run('ip', 'address', 'add', `${this.address}/30`, 'dev', inside);
    this.run('ip', 'link', 'set', inside, 'up');
    this.run('ip', 'link', 'set', 'lo', 'up');
    this.run('ip', 'route', 'add', 'default', 'via', this.hostAddress);
  }

  private static count = 0;

  /** Makes one, or says why this cannot be. */
  static create(): NetworkNamespace {
    removeLeftovers();
    return new NetworkNamespace(NetworkNamespace.count++);
  }

  /** The command line that runs a program inside. */
  command(...program: string[]): string[] {
    return [...AS_ROOT, 'ip', 'netns', 'exec', this.name, ...program];
  }

  /** Drops this many of a hundred datagrams, in each direction. */
  loseDatagrams(percent: number): void {
    this.clear();
    // Over 999 of 1000 the syntax does not go; all is said without a number.
    const chance = percent < 100 ? `numgen random mod 1000 < ${percent * 10} ` : '';
    const rule = `meta l4proto udp ${chance}counter drop`;
    for (const hook of ['input', 'output']) this.addRule(hook, rule);
  }

  /** Pulls the plug: nothing goes in or out, and nobody is told. */
  vanish(): void {
    this.clear();
    this.addRule('input', 'iifname != "lo" counter drop');
    this.addRule('output', 'oifname != "lo" counter drop');
  }

  /** How many packets the rules have dropped, in and out. */
  dropped(): { input: number; output: number } {
    const text = this.run('nft', 'list', 'table', 'inet', 'bad');
    const of = (hook: string): number => Number(new RegExp(`hook ${hook}[^}]*?packets (\\d+)`, 's').exec(text)?.[1] ?? 0);
    return { input: of('input'), output: of('output') };
  }

  /** Makes the cable good again. */
  clear(): void {
    // Added first, because deleting what is not there is an error.
    this.run('nft', 'add table inet bad; delete table inet bad');
  }

  /** Removes it. */
  remove(): void {
    process.off('exit', this.onExit);
    run('ip', 'netns', 'delete', this.name);
  }

  private addRule(hook: string, rule: string): void {
    this.run('nft', 'add table inet bad');
    this.run('nft', `add chain inet bad ${hook} { type filter hook ${hook} priority 0; policy accept; }`);
    this.run('nft', `add rule inet bad ${hook} ${rule}`);
  }

  /** Runs a program inside to its end, and answers what it said. */
  run(program: string, ...args: string[]): string {
    return run('ip', 'netns', 'exec', this.name, program, ...args);
  }
}

/** Namespaces need root; where the tests run as somebody else, sudo is asked. */
export const AS_ROOT = process.getuid?.() === 0 ? [] : ['sudo', '-n'];

/** What a run that was killed could not remove itself. Those of living processes are theirs. */
function removeLeftovers(): void {
  for (const line of run('ip', 'netns', 'list').split('\n')) {
    const found = /^(parlor-e2e-(\d+)[-\d]+)/.exec(line);
    if (found?.[1] !== undefined && !isAlive(Number(found[2]))) run('ip', 'netns', 'delete', found[1]);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Runs a program as root to its end, and answers what it said. */
export function run(program: string, ...args: string[]): string {
  const [first = program, ...rest] = [...AS_ROOT, program, ...args];
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  return execFileSync(first, rest, { encoding: 'utf8', env });
}
