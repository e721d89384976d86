// A real coturn on this machine, which takes the credentials that the server signs.

import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { freeHttpPort } from './server.js';
import { ARTEFACTS, temporaryDirectory } from './paths.js';
import { canConnect, until } from './until.js';

/** A coturn that runs. */
export class Coturn {
  private constructor(
    private readonly child: ChildProcess,
    readonly port: number,
    private readonly secret: string,
  ) {}

  /** Starts it on loopback, and waits until it listens. */
  static async start(name: string): Promise<Coturn> {
    const [port, secret, directory] = [await freeHttpPort(), randomBytes(16).toString('hex'), temporaryDirectory()];
    const out = openSync(join(ARTEFACTS, `coturn-${name}.log`), 'w');
    const settings = {
      'static-auth-secret': secret,
      realm: 'parlor.test',
      'listening-ip': '127.0.0.1',
      'relay-ip': '127.0.0.1',
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
    const child = spawn('turnserver', args, { cwd: directory, stdio: ['ignore', out, out] });
    closeSync(out);
    const kill = (): void => void child.kill('SIGKILL');
    process.on('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    await until('coturn listens', () => canConnect(port), 10_000);
    return new Coturn(child, port, secret);
  }

  /** The `[turn]` table of a server whose people use it. */
  toml(transport: 'udp' | 'tcp', ttl = '1h'): string {
    const url = `turn:127.0.0.1:${this.port}?transport=${transport}`;
    return `[turn]\nprovider = "coturn"\nurls = ["${url}"]\nsecret = "${this.secret}"\nttl = "${ttl}"\n`;
  }

  /** Ends it. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const exited = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await exited;
  }
}
