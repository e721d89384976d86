// The server, and people at places of their own who call each other through it.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { Bare, barePage } from '../harness/bare.js';
import { startChromium } from '../harness/chromium.js';
import { Lab, type Place } from '../harness/lab.js';
import { PAGE_SCRIPTS } from '../harness/paths.js';
import { Server } from '../harness/server.js';
import type { Joined } from '../page/bare.js';
import type { Look } from '../page/quality.js';
import { picture, voices } from './material.js';

const SCRIPT = readFileSync(join(PAGE_SCRIPTS, 'quality.iife.js'), 'utf8');

// Every place, browser and directory is removed at the exit, should it come early.
process.setMaxListeners(100);

/** A browser at a place, with one page. */
export interface Person {
  name: string;
  place: Place;
  page: Page;
}

/** Everything that one measurement needs. */
export class Stage {
  private readonly browsers: Browser[] = [];

  private constructor(
    private readonly lab: Lab,
    private readonly server: Server,
  ) {}

  static async set(name: string): Promise<Stage> {
    const lab = Lab.create();
    try {
      // Made after the lab, so that the address there is among those it offers.
      return new Stage(lab, await Server.start({ name: `quality-${name}`, listen: '0.0.0.0' }));
    } catch (error) {
      await lab.remove();
      throw error;
    }
  }

  /** Somebody with a browser at a place of their own. */
  async person(name: string): Promise<Person> {
    const place = await this.lab.place();
    const browser = await startChromium({ namespace: place, secureOrigin: this.url, sound: voices(), picture: picture() });
    this.browsers.push(browser);
    // The recorder is a script that the server's own pages would not be allowed.
    const { page } = await barePage(browser, this.url, { bypassCSP: true });
    await page.evaluate(SCRIPT);
    return { name, place, page };
  }

  /** Somebody comes into a channel. A person may be in several at once, under different names. */
  async join(person: Person, channel: string): Promise<Bare> {
    return (await this.enter(person, channel)).client;
  }

  /** The same, with what there is in the channel. */
  async enter(person: Person, channel: string): Promise<{ client: Bare; joined: Joined }> {
    const client = await Bare.connect(person.page, this.server, `${person.name}-${channel}`, { url: this.url });
    return { client, joined: await client.join(channel) };
  }

  /** A token for somebody who connects by themselves. */
  token(user: string): Promise<string> {
    return this.server.guestToken(user);
  }

  /** Where the server is, as the places see it. */
  get url(): string {
    return `http://${this.lab.hostAddress}:${this.server.port}`;
  }

  /** Ends the stage and everything on it. */
  async clear(): Promise<void> {
    await Promise.allSettled(this.browsers.map((browser) => browser.close()));
    await this.server.stop().finally(() => this.lab.remove());
  }
}

/** Begins to collect what a page sees. */
export async function watch({ page }: Person): Promise<void> {
  await page.evaluate(() => window.quality.watch());
}

/** Ends that. */
export async function unwatch({ page }: Person): Promise<Look[]> {
  return await page.evaluate(() => window.quality.unwatch());
}

/** What a page sees at this moment. */
export async function look({ page }: Person): Promise<Look> {
  return await page.evaluate(() => window.quality.look());
}
