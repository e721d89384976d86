// Far-away places, each at the end of a cable of its own that can be made bad in either direction while it carries.

import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { AS_ROOT, NetworkNamespace, run } from './netns.js';
import { ROOT } from './paths.js';
import { within } from './until.js';

const CABLE = join(ROOT, 'web', 'e2e', 'harness', 'link.py');

/** What one direction of a cable does to packets; nothing unless said. */
export interface Impairment {
  /** The share of packets that is lost, in percent. */
  loss?: number;
  /** The delay of one way, in ms. */
  delay?: number;
  /** In ms, uniform around the delay; nothing overtakes. */
  jitter?: number;
  /** The capacity, in kbit/s. */
  rate?: number;
  /** What waits for the bottleneck, in ms at its rate; 200 unless said. */
  queue?: number;
}

/** What a direction has not delivered so far. */
export interface Dropped {
  lost: number;
  overflowed: number;
}

/**
 * A hub with places around it. The hub is joined to this machine, where the server runs; packets between two places
 * go over both their cables, and never here.
 */
export class Lab {
  private readonly hub: NetworkNamespace;
  private readonly net: string;
  private readonly places: Place[] = [];

  private constructor() {
    this.hub = NetworkNamespace.create();
    // The upper half of the range for tests of networks; the hub's own cable is in the lower.
    this.net = `198.19.${process.pid % 256}`;
    this.hub.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1');
    run('ip', 'route', 'add', `${this.net}.0/24`, 'via', this.hub.address);
  }

  /** Makes a lab without places. */
  static create(): Lab {
    return new Lab();
  }

  /** This machine's address as the places see it. */
  get hostAddress(): string {
    return this.hub.hostAddress;
  }

  /** Adds a place to the lab. */
  async place(): Promise<Place> {
    const place = await Place.create(this.hub, this.net, this.places.length);
    this.places.push(place);
    return place;
  }

  /** Removes the lab with all its places. */
  async remove(): Promise<void> {
    for (const place of this.places) await place.remove();
    this.hub.remove();
  }
}

/** A host of its own at the end of a cable. */
export class Place {
  private readonly answers: ((line: string) => void)[] = [];

  private constructor(
    private readonly name: string,
    /** The address of the place. */
    readonly address: string,
    private readonly cable: ChildProcess,
  ) {
    process.on('exit', this.onExit);
    createInterface({ input: cable.stdout ?? process.stdin }).on('line', (line) => this.answers.shift()?.(line));
  }

  static async create(hub: NetworkNamespace, net: string, index: number): Promise<Place> {
    const name = `${hub.name}-${index}`;
    const [inside, outside] = [`pp${process.pid}i${index}`, `pp${process.pid}o${index}`];
    const [there, gateway] = [`${net}.${index * 4 + 2}`, `${net}.${index * 4 + 1}`];
    run('ip', 'netns', 'add', name);
    const [program = 'python3', ...args] = [...AS_ROOT, 'python3', CABLE, inside, outside];
    const cable = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
    const place = new Place(name, there, cable);
    await place.answer();
    for (const [device, address, namespace] of [
      [inside, there, name],
      [outside, gateway, hub.name],
    ] as const) {
      run('ip', 'link', 'set', device, 'netns', namespace);
      run('ip', '-n', namespace, 'address', 'add', `${address}/30`, 'dev', device);
      run('ip', '-n', namespace, 'link', 'set', device, 'up');
    }
    run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    run('ip', '-n', name, 'route', 'add', 'default', 'via', gateway);
    return place;
  }

  /** The command line that runs a program there. */
  command(...program: string[]): string[] {
    return [...AS_ROOT, 'ip', 'netns', 'exec', this.name, ...program];
  }

  /** Sets what the cable does from now on; what is not given becomes perfect. Answers what it has dropped. */
  async set({ up = {}, down = {} }: { up?: Impairment; down?: Impairment }): Promise<{ up: Dropped; down: Dropped }> {
    const answered = this.answer();
    this.cable.stdin?.write(`${JSON.stringify({ there: up, back: down })}\n`);
    const { there, back } = JSON.parse(await answered) as { there: Dropped; back: Dropped };
    return { up: there, down: back };
  }

  /** Removes the place. */
  async remove(): Promise<void> {
    process.off('exit', this.onExit);
    const ended = new Promise((resolve) => this.cable.once('exit', resolve));
    this.cable.stdin?.end();
    await within('the end of a cable', 5_000, ended).catch(() => this.cable.kill('SIGKILL'));
    run('ip', 'netns', 'delete', this.name);
  }

  private readonly onExit = (): void => {
    this.cable.kill('SIGKILL');
    run('ip', 'netns', 'delete', this.name);
  };

  private answer(): Promise<string> {
    return within('an answer of the cable', 5_000, new Promise<string>((resolve) => this.answers.push(resolve)));
  }
}
