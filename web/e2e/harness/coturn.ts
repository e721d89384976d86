// A real coturn on this machine, which takes the credentials that the server signs.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { end, HERE, type Host, inside } from './netns.js';
import { freeHttpPort } from './server.js';
import { ARTEFACTS, temporaryDirectory } from './paths.js';
import { until } from './until.js';

/** A coturn that runs. */
export class Coturn {
  private constructor(
    private readonly child: ChildProcess,
    private readonly elsewhere: boolean,
    private readonly address: string,
    readonly port: number,
    private readonly secret: string,
  ) {}

  /** Starts it on loopback, or at an address elsewhere, and waits until it listens. */
  static async start(name: string, elsewhere?: { host: Host; address: string }): Promise<Coturn> {
    const { host, address } = elsewhere ?? { host: HERE, address: '127.0.0.1' };
    const [port, secret, directory] = [await freeHttpPort(), randomBytes(16).toString('hex'), temporaryDirectory()];
    const out = openSync(join(ARTEFACTS, `coturn-${name}.log`), 'w');
    const settings = {
      'static-auth-secret': secret,
      realm: 'parlor.test',
      'listening-ip': address,
      'relay-ip': address,
      'listening-port': port,
      'log-file': 'stdout',
      userdb: join(directory, 'turndb'),
      pidfile: join(directory, 'pid'),
    };
    const flags = [
      '-n',
      '--use-auth-secret',
      '--no-cli',
      '--no-tls',
      '--no-dtls',
      '--fingerprint',
      '--allow-loopback-peers',
      '--simple-log',
    ];
    const args = [...flags, ...Object.entries(settings).map(([key, value]) => `--${key}=${value}`)];
    const [program = '', ...rest] = host.command('turnserver', ...args);
    const child = spawn(program, rest, { cwd: directory, stdio: ['ignore', out, out] });
    closeSync(out);
    const kill = (): void => end(child, 'KILL', elsewhere !== undefined);
    process.on('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    await until('coturn listens', () => inside(host, 'ss', '-Hltn', `sport = :${port}`) !== '', 10_000);
    return new Coturn(child, elsewhere !== undefined, address, port, secret);
  }

  /** The `[turn]` table of a server whose people use it. */
  toml(transport: 'udp' | 'tcp', ttl = '1h'): string {
    const url = `turn:${this.address}:${this.port}?transport=${transport}`;
    return `[turn]\nprovider = "coturn"\nurls = ["${url}"]\nsecret = "${this.secret}"\nttl = "${ttl}"\n`;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    end(this.child, 'KILL', this.elsewhere);
    await exited;
  }
}
