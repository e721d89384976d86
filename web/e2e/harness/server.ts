// The server under test: started on free ports in a directory of its own, stopped by its process id.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { closeSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { end, type Namespace } from './netns.js';
import { ARTEFACTS, SERVER, temporaryDirectory } from './paths.js';
import { until, within } from './until.js';

/** The choices for starting a server. */
export interface ServerOptions {
  /** The name of its log. */
  name: string;
  /** More of parlor.toml, in TOML; its tables must not be `http` or `media`. */
  toml?: string;
  /** More lines of the `[media]` table. */
  media?: string;
  /** The first media port; any that is free unless given. */
  mediaPort?: number;
  /** Development mode, with guest tokens and channels made on first join; true unless said otherwise. */
  dev?: boolean;
  /** More arguments of the command line. */
  args?: string[];
  /** Further variables of its environment. */
  env?: Record<string, string>;
  /** The HTTP address to listen on; loopback unless said otherwise. */
  listen?: string;
  /** The network it is in, and its HTTP addresses there; that of this machine unless given. It listens on loopback as well. */
  inside?: { namespace: Namespace; listen: string[] };
  /** Keeps its channels in a file, and has a key for the REST API. */
  api?: boolean;
}

/** The part of the counters that is looked at here. */
export interface Counters {
  sessions: number;
  rooms: number;
  workers: { restarts: number; sfu: { routers: number; transports: number; producers: number; consumers: number } }[];
}

/** A server that runs. */
export class Server {
  private child: ChildProcess;

  private constructor(
    private readonly spawn: () => ChildProcess,
    /** The HTTP port of the server. */
    readonly port: number,
    /** The first of its media ports, UDP and TCP. */
    readonly mediaPort: number,
    private readonly log: string,
    private readonly secret: string,
    private readonly key: string,
    private readonly inside: boolean,
  ) {
    this.child = spawn();
  }

  /** Starts it, and waits until it says it is healthy. */
  static async start(options: ServerOptions): Promise<Server> {
    const { name, toml = '', media = '', dev = true, args = [], env = {}, listen = '127.0.0.1', inside, api = false } = options;
    const port = inside === undefined ? await freeHttpPort() : await inside.namespace.door();
    const mediaPort = options.mediaPort ?? (await freeMediaPort());
    const addresses = inside === undefined ? [`${listen}:${port}`] : [`127.0.0.1:${port}`, ...inside.listen];
    const secret = randomBytes(32).toString('hex');
    const directory = temporaryDirectory();
    writeFileSync(
      join(directory, 'parlor.toml'),
      `[http]\nlisten = ${JSON.stringify(addresses)}\n\n[media]\nport = ${mediaPort}\n${media}\n\n` +
        `[auth]\nsecret = "${secret}"\n\n` +
        (api ? `[store]\nurl = "sqlite:${join(directory, 'parlor.db')}"\n\n` : '') +
        `${toml}\n`,
    );
    const log = join(ARTEFACTS, `server-${name}.log`);
    rmSync(log, { force: true });
    const key = api ? makeKey(directory) : '';
    const start = (): ChildProcess => {
      const out = openSync(log, 'a');
      const command = [SERVER, 'serve', ...(dev ? ['--dev'] : []), ...args];
      const [program = SERVER, ...rest] = inside === undefined ? command : inside.namespace.command(...command);
      const child = spawn(program, rest, {
        cwd: directory,
        env: { ...ownEnvironment(), ...env },
        stdio: ['ignore', out, out],
      });
      closeSync(out);
      const kill = (): void => end(child, 'KILL', inside !== undefined);
      process.on('exit', kill);
      child.once('exit', () => process.off('exit', kill));
      return child;
    };
    const server = new Server(start, port, mediaPort, log, secret, key, inside !== undefined);
    await server.ready();
    return server;
  }

  /** Where the web app is, on this machine. `localhost` makes it a secure context. */
  get url(): string {
    return `http://localhost:${this.port}`;
  }

  /** What it has logged so far. */
  logged(): string {
    return readFileSync(this.log, 'utf8');
  }

  /** A guest token, as the app gets it in development mode. */
  async guestToken(user: string, { name = user, pro = true } = {}): Promise<string> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/dev/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user, name, pro }),
    });
    if (!response.ok) throw new Error(`no guest token: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { token: string }).token;
  }

  /** What the server holds and has counted, in development mode. */
  async counters(): Promise<Counters> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/dev/stats`);
    if (!response.ok) throw new Error(`no counters: ${response.status}`);
    return (await response.json()) as Counters;
  }

  /** Makes every media worker panic; needs the argument `--dev-crash-route`. */
  async crashWorkers(): Promise<void> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api/dev/crash`, { method: 'POST' });
    if (!response.ok) throw new Error(`the workers live on: ${response.status}`);
  }

  /** Waits until nothing is left of any call. */
  async holdsNothing(): Promise<void> {
    await until('the server holds no room and no media any more', async () => {
      const { sessions, rooms, workers } = await this.counters();
      const held = workers.map(({ sfu }) => sfu.routers + sfu.transports + sfu.producers + sfu.consumers);
      return sessions === 0 && rooms === 0 && held.every((count) => count === 0);
    });
  }

  /** Asks the REST API, as a host application does. */
  async api<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`http://127.0.0.1:${this.port}/api${path}`, {
      method,
      headers: { authorization: `Bearer ${this.key}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return (text === '' ? {} : JSON.parse(text)) as T;
  }

  /** A token signed as a host application would sign it. */
  signedToken(claims: Record<string, unknown>, secret = this.secret): string {
    const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');
    const exp = Math.floor(Date.now() / 1000) + 3600;
    const body = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ exp, ...claims })}`;
    return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
  }

  /** Stops it and starts it again, as an update does. */
  async restart(): Promise<void> {
    await this.stop();
    this.child = this.spawn();
    await this.ready();
  }

  /** Stops it as an operator would, and answers its exit code. */
  async stop(): Promise<number | null> {
    if (this.child.exitCode !== null) return this.child.exitCode;
    const exited = new Promise<number | null>((resolve) => this.child.once('exit', resolve));
    end(this.child, 'TERM', this.inside);
    try {
      return await within('stopping the server', 15_000, exited);
    } catch (error) {
      end(this.child, 'KILL', this.inside);
      throw error;
    }
  }

  private async ready(): Promise<void> {
    await until(
      'the server is healthy',
      async () => {
        if (this.child.exitCode !== null) return { dead: true };
        return (await fetch(`http://127.0.0.1:${this.port}/healthz`)).ok ? { dead: false } : null;
      },
      20_000,
    ).then(({ dead }) => {
      if (dead) throw new Error(`the server ended at once:\n${this.logged()}`);
    });
  }
}

/** A key that may do everything, made before the server runs. */
function makeKey(directory: string): string {
  const options = { cwd: directory, env: ownEnvironment(), stdio: ['ignore', 'pipe', 'ignore'] as const, encoding: 'utf8' as const };
  const [key] =
    /parlor_\S+/.exec(execFileSync(SERVER, ['key', 'create', 'tests', '--scope', '*'], { ...options, stdio: [...options.stdio] })) ?? [];
  if (key === undefined) throw new Error('no key was made');
  return key;
}

/** This process's environment without what would configure a server: tests must not depend on who runs them. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(PARLOR|TURN)_/.test(name)));
}

/** A port of TCP that nobody listens on. */
export async function freeHttpPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

/** As many ports in a row as workers could be, below the range that outgoing connections use. */
export async function freeMediaPort(): Promise<number> {
  const workers = 8;
  for (let attempt = 0; attempt < 50; attempt++) {
    const first = 20_000 + Math.floor(Math.random() * 1_000) * workers;
    const ports = Array.from({ length: workers }, (_, i) => first + i);
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first;
  }
  throw new Error('no free media ports');
}

async function isFree(port: number): Promise<boolean> {
  const tcp = createServer();
  const udp = createSocket('udp4');
  try {
    await new Promise<void>((resolve, reject) => tcp.once('error', reject).listen(port, '0.0.0.0', resolve));
    await new Promise<void>((resolve, reject) => udp.once('error', reject).bind(port, '0.0.0.0', resolve));
    return true;
  } catch {
    return false;
  } finally {
    tcp.close();
    udp.close();
  }
}
