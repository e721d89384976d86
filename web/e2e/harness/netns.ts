// Further hosts on this machine: network namespaces, alone or on a cable of their own that can be made bad.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { temporaryDirectory } from './paths.js';
import { until } from './until.js';

/** The files that `ip netns exec` lays over those of `/etc`, in a directory for each namespace. */
const FILES = '/etc/netns';

/** What goes with this process at the latest. */
const present = new Set<Namespace>();
process.on('exit', () => present.forEach((namespace) => namespace.remove()));

/** A network of its own, without any connection. Everything of it goes when it is removed. */
export class Namespace {
  /** What `ip netns` knows it by. */
  readonly name: string;
  /** What programs inside see instead of files of `/etc`. */
  private readonly files: string;
  private readonly doors: { listener: Server; inside: ChildProcess }[] = [];

  private static count = 0;

  constructor(protected readonly index = Namespace.count++) {
    removeLeftovers();
    this.name = `parlor-e2e-${process.pid}-${index}`;
    this.files = join(FILES, this.name);
    run('ip', 'netns', 'add', this.name);
    present.add(this);
    this.run('ip', 'link', 'set', 'lo', 'up');
  }

  /** The command line that runs a program inside. */
  command(...program: string[]): string[] {
    return [...AS_ROOT, 'ip', 'netns', 'exec', this.name, ...program];
  }

  /** Runs a program inside to its end, and answers what it said. */
  run(program: string, ...args: string[]): string {
    return inside(this, program, ...args);
  }

  /** Has these rules of nftables, and no others. */
  rules(rules: string): void {
    this.run('nft', `flush ruleset\n${rules}`);
  }

  /** Lets programs that are started inside from now on know a name; said again, also those that run. */
  knows(name: string, address: string): void {
    run('mkdir', '-p', this.files);
    // Written in its place: programs inside have this very file before their eyes.
    run('sh', '-c', `printf '127.0.0.1 localhost\n%s %s\n' "$1" "$2" > "$3"`, 'sh', address, name, join(this.files, 'hosts'));
  }

  /**
   * A port of this machine's loopback that leads to the same port of the loopback inside, whatever becomes of the cable:
   * a Unix socket knows no namespaces.
   */
  async door(): Promise<number> {
    const path = join(temporaryDirectory(), 'door');
    const listener = createServer((here) => {
      const there = connect(path);
      for (const end of [here, there]) end.on('error', () => [here, there].forEach((one) => one.destroy()));
      here.pipe(there).pipe(here);
    });
    await new Promise<void>((resolve, reject) => listener.once('error', reject).listen(0, '127.0.0.1', resolve));
    const { port } = listener.address() as AddressInfo;
    const [first = '', ...rest] = this.command(process.execPath, '-e', DOOR, path, String(port));
    const inside = spawn(first, rest, { stdio: ['pipe', 'ignore', 'inherit'] });
    this.doors.push({ listener, inside });
    await until('the door is open', () => existsSync(path), 10_000);
    return port;
  }

  /** Removes the namespace. */
  remove(): void {
    present.delete(this);
    for (const { listener, inside } of this.doors.splice(0)) {
      listener.close();
      inside.stdin?.end();
    }
    run('rm', '-rf', this.files);
    run('ip', 'netns', 'delete', this.name);
  }
}

/** A namespace, joined to this one by a veth pair. */
export class NetworkNamespace extends Namespace {
  /** This machine's address on the cable. */
  readonly hostAddress: string;
  /** The namespace's address on the cable. */
  readonly address: string;
  /** This machine's end of the cable. */
  private readonly outside: string;

  private constructor() {
    super();
    const { index } = this;
    // 198.18.0.0/15 is for tests of networks (RFC 2544): nobody's real network.
    const net = `198.18.${process.pid % 256}`;
    this.hostAddress = `${net}.${index * 4 + 1}`;
    this.address = `${net}.${index * 4 + 2}`;
    const [outside, inside] = [`pe${process.pid}a${index}`, `pe${process.pid}b${index}`];
    this.outside = outside;
    run('ip', 'link', 'add', outside, 'type', 'veth', 'peer', 'name', inside, 'netns', this.name);
    run('ip', 'address', 'add', `${this.hostAddress}/30`, 'dev', outside);
    run('ip', 'link', 'set', outside, 'up');
    this.run('ip', 'address', 'add', `${this.address}/30`, 'dev', inside);
    this.run('ip', 'link', 'set', inside, 'up');
    this.run('ip', 'route', 'add', 'default', 'via', this.hostAddress);
  }

  /** Makes one, or says why this cannot be. */
  static create(): NetworkNamespace {
    return new NetworkNamespace();
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

  /** Pulls the cable out at this machine's end: programs inside see that there is no network. */
  unplug(): void {
    run('ip', 'link', 'set', this.outside, 'down');
  }

  /** Puts the cable back in. */
  plugIn(): void {
    run('ip', 'link', 'set', this.outside, 'up');
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

  private addRule(hook: string, rule: string): void {
    this.run('nft', 'add table inet bad');
    this.run('nft', `add chain inet bad ${hook} { type filter hook ${hook} priority 0; policy accept; }`);
    this.run('nft', `add rule inet bad ${hook} ${rule}`);
  }
}

/** A place where a program can be run. */
export interface Host {
  command(...program: string[]): string[];
}

/** This machine itself. */
export const HERE: Host = { command: (...program) => program };

/** Sends a signal to a program. What runs in a namespace is root's, perhaps with `sudo` around it, which hands on what it can. */
export function end(child: ChildProcess, signal: 'TERM' | 'KILL', elsewhere: boolean): void {
  if (!elsewhere) child.kill(`SIG${signal}`);
  else if (child.exitCode === null && child.pid !== undefined) run('kill', `-${signal}`, String(child.pid));
}

/** A script that runs a program there, for who takes the path of an executable only. */
export function wrapper(executable: string, host: Host): string {
  const path = join(temporaryDirectory(), 'run');
  writeFileSync(path, `#!/bin/sh\nexec ${host.command(executable).join(' ')} "$@"\n`);
  chmodSync(path, 0o755);
  return path;
}

/** The far side of a door. It ends with its input, so with the test at the latest, also where `sudo` stands between. */
const DOOR = `
  const net = require('node:net');
  const [path, port] = process.argv.slice(1);
  net.createServer((here) => {
    const there = net.connect(Number(port), '127.0.0.1');
    for (const end of [here, there]) end.on('error', () => [here, there].forEach((one) => one.destroy()));
    here.pipe(there).pipe(here);
  }).listen(path);
  process.stdin.on('end', () => process.exit()).resume();
`;

/** Namespaces need root; where the tests run as somebody else, sudo is asked. */
export const AS_ROOT = process.getuid?.() === 0 ? [] : ['sudo', '-n'];

/** What a run that was killed could not remove itself. Those of living processes are theirs. */
function removeLeftovers(): void {
  for (const line of run('ip', 'netns', 'list').split('\n')) {
    const found = /^(parlor-e2e-(\d+)[-\d]+)/.exec(line);
    if (found?.[1] === undefined || isAlive(Number(found[2]))) continue;
    run('ip', 'netns', 'delete', found[1]);
    run('rm', '-rf', join(FILES, found[1]));
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
  return toItsEnd([...AS_ROOT, program, ...args]);
}

/** Runs a program somewhere to its end, and answers what it said. */
export function inside(host: Host, ...program: string[]): string {
  return toItsEnd(host.command(...program));
}

function toItsEnd([first = '', ...rest]: string[]): string {
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
  return execFileSync(first, rest, { encoding: 'utf8', env });
}
