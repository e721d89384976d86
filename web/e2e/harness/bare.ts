// Pages that hold bare clients, and what is asked of them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, JSHandle, Page } from 'playwright-core';
import type { BareClient, Joined, ProduceOptions, ProducerInfo } from '../page/bare.js';
import { newPerson, type Person } from './chromium.js';
import { PAGE_SCRIPTS } from './paths.js';
import type { Server } from './server.js';
import { until } from './until.js';

const SCRIPT = readFileSync(join(PAGE_SCRIPTS, 'bare.iife.js'), 'utf8');

/** An empty page of the server's own origin, with the bare client in it. */
export async function barePage(browser: Browser, url: string, options?: Parameters<typeof newPerson>[1]): Promise<Person> {
  const person = await newPerson(browser, options);
  await person.page.goto(`${url}/healthz`);
  await person.page.evaluate(SCRIPT);
  return person;
}

/** A bare client, seen from the test. */
export class Bare {
  private constructor(
    readonly page: Page,
    readonly client: JSHandle<BareClient>,
  ) {}

  /** Connects with a token; the user's guest token unless another is given. */
  static async connect(page: Page, server: Server, user: string, { pro = true, url = server.url } = {}): Promise<Bare> {
    return await Bare.connectWith(page, url, await server.guestToken(user, { pro }));
  }

  /** Connects with any token. */
  static async connectWith(page: Page, url: string, token: unknown, transports?: ('polling' | 'websocket')[]): Promise<Bare> {
    const argument = { url, token, transports: transports ?? ['websocket' as const] };
    const client = await page.evaluateHandle(({ url, token, transports }) => window.BareClient.connect(url, token, transports), argument);
    return new Bare(page, client);
  }

  /** Joins a channel, ready to send and receive. */
  join(channel: string, protocol?: 'udp' | 'tcp'): Promise<Joined> {
    return this.client.evaluate((client, { channel, protocol }) => client.join(channel, protocol), { channel, protocol });
  }

  /** Sends a device; answers the producer's id. */
  produce(options: ProduceOptions): Promise<string> {
    return this.client.evaluate((client, options) => client.produce(options), options);
  }

  /** Begins to receive a producer. */
  consume(producerId: string): Promise<{ consumerId: string; track: string; type: string }> {
    return this.client.evaluate((client, id) => client.consume(id), producerId);
  }

  /** Sends a request with an acknowledgement. */
  request<T = Record<string, unknown>>(event: string, payload: unknown = {}): Promise<T> {
    return this.client.evaluate((client, { event, payload }) => client.request<T>(event, payload), { event, payload });
  }

  /** The code with which a request is refused; `NONE` when it is not. */
  async refusalOf(event: string, payload: unknown = {}): Promise<string> {
    return (await this.client.evaluate((client, { event, payload }) => client.refusalOf(event, payload), { event, payload })).code;
  }

  /** Sends a request without an acknowledgement, and waits for an event of this name that came after it. */
  async exchange(event: string, payload: unknown, answer: string): Promise<Record<string, unknown>> {
    const before = await this.client.evaluate((client) => client.events.length);
    await this.client.evaluate((client, { event, payload }) => client.emit(event, payload), { event, payload });
    return await this.pushed(answer, () => true, before);
  }

  /** Waits for a pushed event. */
  async pushed(
    name: string,
    fits: (payload: Record<string, unknown>) => boolean = () => true,
    after = 0,
    patience?: number,
  ): Promise<Record<string, unknown>> {
    return await until(
      `${name} arrives`,
      async () => {
        const events = await this.client.evaluate((client, after) => client.events.slice(after), after);
        return events.find((event) => event.name === name && fits(event.payload))?.payload;
      },
      patience,
    );
  }

  /** Waits for the announcement of somebody's new producer. */
  async announced(source: string, after = 0): Promise<ProducerInfo> {
    const payload = await this.pushed('voice:newProducer', (info) => (info as unknown as ProducerInfo).appData.source === source, after);
    return payload as unknown as ProducerInfo;
  }

  /** What carries the socket's messages: `polling`, `websocket`, or `none` when it is closed. */
  carrier(): Promise<string> {
    return this.client.evaluate((client) => client.carrier());
  }

  /** How many events have been pushed so far: the `after` of `pushed`. */
  mark(): Promise<number> {
    return this.client.evaluate((client) => client.events.length);
  }

  /** Ends the client. */
  close(): Promise<void> {
    return this.client.evaluate((client) => client.close());
  }
}
