// People in mesh calls: pages with a client of one of the dialects.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import type * as Mesh from '../page/mesh.js';
import { newPerson, type Person } from './chromium.js';
import { inbound } from './measure.js';
import { PAGE_SCRIPTS } from './paths.js';
import type { Server } from './server.js';
import { until } from './until.js';

declare global {
  interface Window {
    ParlorMesh: typeof Mesh;
  }
}

/** What a client speaks. */
export type Dialect = keyof typeof Mesh.DIALECTS;

const SCRIPT = `${readFileSync(join(PAGE_SCRIPTS, 'mesh.iife.js'), 'utf8')}; window.ParlorMesh = ParlorMesh;`;
/** More energy than comfort noise has in the time a test waits. */
const ENERGY_OF_SOUND = 1e-4;

/** Who comes to which room, and by which address of the server. */
export interface EnterOptions {
  dialect: Dialect;
  user: string;
  room: string;
  url?: string;
}

/** Somebody in a mesh call. */
export class MeshPerson {
  /** All that has come by WebSockets. */
  readonly received: string[] = [];

  private constructor(
    private readonly person: Person,
    private readonly user: string,
  ) {
    person.page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => this.received.push(payload.toString())));
  }

  /** Opens a page of the server's, and joins. */
  static async enter(browser: Browser, server: Server, options: EnterOptions): Promise<MeshPerson> {
    const { dialect, user, room, url = server.url } = options;
    const person = await newPerson(browser);
    const entered = new MeshPerson(person, user);
    await person.page.goto(`${url}/healthz`);
    await person.page.evaluate(SCRIPT);
    const token = await server.guestToken(user, { pro: false });
    await person.page.evaluate(([dialect, room, token]) => window.ParlorMesh.join(dialect, room, token), [dialect, room, token] as const);
    return entered;
  }

  /** The person's page in the browser. */
  get page(): Person['page'] {
    return this.person.page;
  }

  /** Waits until there are connections to this many others that work. */
  async isConnectedTo(others: number): Promise<void> {
    const connected = (): Promise<number> => this.page.evaluate(() => window.ParlorMesh.connected());
    await until(`${this.user} has a connection to ${others}`, async () => (await connected()) === others);
  }

  /** Waits until this many others are heard. */
  async hears(others: number): Promise<void> {
    await until(`${this.user} hears ${others}`, async () => {
      const sounds = (await inbound(this.page)).filter(({ kind, energy }) => kind === 'audio' && energy > ENERGY_OF_SOUND);
      return sounds.length === others;
    });
  }

  /** Ends it, as one closes a window. */
  async close(): Promise<void> {
    await this.person.context.close();
  }
}
