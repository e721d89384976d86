// Chromium with a fake camera and microphone, driven by playwright-core.

import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import { type Host, wrapper } from './netns.js';
import { ARTEFACTS, PAGE_SCRIPTS } from './paths.js';
import { speech } from './speech.js';

const EXECUTABLE = '/usr/bin/chromium';

const FLAGS = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  // Several pages take part at once, and all but one are in the background.
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

/** What a Chromium is started with. */
export interface ChromiumOptions {
  /** The network it is in; that of this machine unless given. */
  namespace?: Host;
  /** A plain-HTTP origin that is to count as secure, so that the page gets a microphone; or several, with commas. */
  secureOrigin?: string;
  /** More of its command line. */
  flags?: string[];
  /** What the fake microphone hears: a WAV file, again and again. */
  sound?: string;
  /** What the fake camera sees: a Y4M file, again and again. */
  picture?: string;
}

/** Starts one. It ends with `close()`, or with this process. */
export async function startChromium({
  namespace,
  secureOrigin,
  flags = [],
  sound = speech(),
  picture,
}: ChromiumOptions = {}): Promise<Browser> {
  const args = [...FLAGS, ...flags, `--use-file-for-fake-audio-capture=${sound}`];
  if (picture !== undefined) args.push(`--use-file-for-fake-video-capture=${picture}`);
  // Chromium's own sandbox does not run as root.
  if (process.getuid?.() === 0) args.push('--no-sandbox');
  if (secureOrigin !== undefined) args.push(`--unsafely-treat-insecure-origin-as-secure=${secureOrigin}`);
  const executablePath = namespace === undefined ? EXECUTABLE : wrapper(EXECUTABLE, namespace);
  return await chromium.launch({ executablePath, args, headless: true });
}

/** A page of a person of its own: no cookies or storage are shared. Errors in the page fail the test by `errors`. */
export async function newPerson(browser: Browser, options: Parameters<Browser['newContext']>[0] = {}): Promise<Person> {
  const context = await browser.newContext(options);
  await context.addInitScript({ path: join(PAGE_SCRIPTS, 'probe.iife.js') });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  return { context, page, errors };
}

/** A browser context, its page, and the uncaught errors of that page. */
export interface Person {
  context: BrowserContext;
  page: Page;
  errors: string[];
}

/** Leaves a picture of the page for people to look at. */
export async function screenshot(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: join(ARTEFACTS, `${name}.png`), fullPage: true });
}
