// The web app as a person uses it: by what it shows, never by its insides.

import type { Browser, Locator } from 'playwright-core';
import { newPerson, type Person } from './chromium.js';
import type { Server } from './server.js';
import { until } from './until.js';

/** The way in which somebody comes in. */
export interface JoinOptions {
  /** The address of the app. */
  url: string;
  /** The name typed into the form. */
  name: string;
  channel: string;
  /** Whether camera and screen are allowed; true unless said otherwise. */
  pro?: boolean;
}

/** Opens the app in a context of its own. */
export async function openApp(browser: Browser, url: string, options?: Parameters<Browser['newContext']>[0]): Promise<AppPerson> {
  const person = await newPerson(browser, options);
  await person.page.goto(url);
  return new AppPerson(person);
}

/** Opens the app and joins. */
export async function joinApp(browser: Browser, options: JoinOptions): Promise<AppPerson> {
  const person = await openApp(browser, options.url);
  await person.fillIn(options);
  await person.press('Join');
  await person.isIn();
  return person;
}

/** Opens the app as somebody whom the host signed in, and joins. */
export async function joinSigned(
  browser: Browser,
  server: Server,
  { name, channel, url = server.url, options, ...claims }: SignedOptions,
): Promise<AppPerson> {
  const token = server.signedToken({ sub: name.toLowerCase(), name, pro: true, ...claims });
  const person = await openApp(browser, `${url}/?debug#token=${token}&channel=${encodeURIComponent(channel)}`, options);
  await person.press('Join');
  await person.isIn();
  return person;
}

/** The way in which somebody comes in whom the host signed in. */
export interface SignedOptions {
  name: string;
  channel: string;
  pro?: boolean;
  /** The user id; the name in small letters unless given. */
  sub?: string;
  /** The address of the app, if not that of the server itself. */
  url?: string;
  /** Of the browser: colours, size… */
  options?: Parameters<Browser['newContext']>[0];
}

/** Somebody in front of the app. */
export class AppPerson {
  constructor(private readonly person: Person) {}

  /** The person's page in the browser. */
  get page(): Person['page'] {
    return this.person.page;
  }

  /** Uncaught errors of the page so far. */
  get errors(): string[] {
    return this.person.errors;
  }

  /** Fills in the form of the first view. */
  async fillIn({ name, channel, pro = true }: Omit<JoinOptions, 'url'>): Promise<void> {
    await this.page.getByLabel('Your name').fill(name);
    await this.page.getByLabel('Channel').fill(channel);
    await this.page.getByLabel('Pro account').setChecked(pro);
  }

  /** Presses a button by the beginning of its name. */
  async press(label: string): Promise<void> {
    await this.button(label).click();
  }

  /** A button by the beginning of its name: after it may come a key in parentheses. */
  button(label: string): Locator {
    return this.page.getByRole('button', { name: new RegExp(`^${label}( \\(|$)`) });
  }

  /** Waits until a sentence can be read. */
  async reads(sentence: RegExp): Promise<void> {
    await this.page.getByText(sentence).first().waitFor();
  }

  /** Opens the menu about somebody, as moderators have it, and chooses. */
  async choose(name: string, action: string): Promise<void> {
    await this.tile(name).hover();
    await this.page.getByRole('button', { name: `Manage ${name}` }).click();
    await this.page.getByRole('group', { name: 'As a moderator' }).getByRole('button', { name: action }).click();
  }

  /** Waits until the call is shown as connected. */
  async isIn(): Promise<void> {
    await this.button('Leave').waitFor();
    await this.page.getByTitle(/^Connected to /).waitFor({ state: 'attached' });
  }

  /** The tile of somebody, by name. */
  tile(name: string): Locator {
    return this.page.getByRole('region', { name: 'People in the channel' }).getByRole('listitem').filter({ hasText: name });
  }

  /** Waits until somebody is shown. */
  async shows(name: string): Promise<void> {
    await this.tile(name).first().waitFor();
  }

  /** Waits until somebody is no longer shown. */
  async showsNoMore(name: string, patience: number): Promise<void> {
    await this.tile(name).first().waitFor({ state: 'detached', timeout: patience });
  }

  /** Waits until a tile says this of somebody, in words: `muted`, `deafened`, `speaking`. */
  async says(name: string, state: string, wanted = true): Promise<void> {
    await until(`${name} is ${wanted ? '' : 'not '}shown as ${state}`, async () => {
      const text = await this.tile(name).first().textContent();
      return text !== null && text.includes(state) === wanted;
    });
  }

  /** A second window of the same browser, with the same storage. */
  async secondWindow(url: string): Promise<AppPerson> {
    const page = await this.page.context().newPage();
    await page.goto(url);
    return new AppPerson({ ...this.person, page });
  }

  /** Ends it, as one closes a window. */
  async close(): Promise<void> {
    await this.person.context.close();
  }
}
