// Firefox with a fake camera and microphone, driven by puppeteer-core over WebDriver BiDi.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import puppeteer, { type Browser, type Page } from 'puppeteer-core';
import { type NetworkNamespace, wrapper } from './netns.js';
import { PAGE_SCRIPTS, temporaryDirectory } from './paths.js';
import { until } from './until.js';

const EXECUTABLE = '/usr/bin/firefox-esr';

const PREFERENCES = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.autoplay.default': 0,
  'media.autoplay.blocking_policy': 0,
  'media.autoplay.block-webaudio': false,
};

/** What a Firefox is started with. */
export interface FirefoxOptions {
  /** The network it is in; that of this machine unless given. */
  namespace?: NetworkNamespace;
}

/** A Firefox with the sound server it needs. */
export class Firefox {
  private constructor(
    private readonly browser: Browser,
    private readonly sound: ChildProcess,
  ) {}

  /** Starts both. They end with `close()`, or with this process. */
  static async start({ namespace }: FirefoxOptions = {}): Promise<Firefox> {
    const { sound, address } = await startSoundServer();
    // Pages of this machine are to get a microphone in the namespace too, over plain HTTP.
    const secure = namespace && { 'dom.securecontext.allowlist': namespace.hostAddress };
    try {
      const browser = await puppeteer.launch({
        browser: 'firefox',
        executablePath: namespace ? wrapper(EXECUTABLE, namespace) : EXECUTABLE,
        headless: true,
        extraPrefsFirefox: { ...PREFERENCES, ...secure },
        ...(namespace && { debuggingPort: await namespace.door() }),
        env: { ...process.env, PULSE_SERVER: address, HOME: temporaryDirectory() },
      });
      return new Firefox(browser, sound);
    } catch (error) {
      sound.kill('SIGKILL');
      throw error;
    }
  }

  /** A page with the probe in it. */
  async newPage(): Promise<Page> {
    const page = await this.browser.newPage();
    await page.evaluateOnNewDocument(readFileSync(join(PAGE_SCRIPTS, 'probe.iife.js'), 'utf8'));
    return page;
  }

  /** Ends the browser and its sound. */
  async close(): Promise<void> {
    try {
      await this.browser.close();
    } finally {
      this.sound.kill('SIGTERM');
    }
  }
}

/** Somebody in front of the app in Firefox. */
export class FirefoxPerson {
  constructor(readonly page: Page) {}

  /** Opens the app and joins. */
  async join(url: string, name: string, channel: string): Promise<void> {
    await this.page.goto(url);
    await this.fill('Your name', name);
    await this.fill('Channel', channel);
    await this.press('Join');
  }

  /** Types into the field that has this label. */
  async fill(label: string, text: string): Promise<void> {
    const id = await until(`Firefox shows the field ${label}`, () =>
      this.page.evaluate(
        (label) => [...document.querySelectorAll('label')].find((one) => one.textContent?.trim() === label)?.htmlFor,
        label,
      ),
    );
    await this.page.locator(`#${id}`).fill(text);
  }

  /** Presses a button by the beginning of its name. */
  async press(label: string): Promise<void> {
    await until(`Firefox shows the button ${label}`, () =>
      this.page.evaluate((label) => {
        const fits = (button: HTMLElement): boolean => {
          const name = (button.getAttribute('aria-label') ?? button.textContent ?? '').trim();
          return name === label || name.startsWith(`${label} (`);
        };
        const button = [...document.querySelectorAll('button')].find((button) => fits(button) && !button.disabled);
        button?.click();
        return button !== undefined;
      }, label),
    );
  }
}

/** Without a sound server, Firefox leaves every AudioContext suspended. This one plays into nothing. */
async function startSoundServer(): Promise<{ sound: ChildProcess; address: string }> {
  const home = temporaryDirectory();
  const socket = join(home, 'native');
  const load = (module: string): string[] => ['-L', module];
  const sound = spawn(
    'pulseaudio',
    [
      ...['-n', '--daemonize=no', '--exit-idle-time=-1', '--use-pid-file=no'],
      ...load('module-null-sink sink_name=null'),
      ...load(`module-native-protocol-unix auth-anonymous=1 socket=${socket}`),
    ],
    { env: { ...process.env, HOME: home, XDG_RUNTIME_DIR: home, PULSE_RUNTIME_PATH: home }, stdio: 'ignore' },
  );
  const kill = (): void => void sound.kill('SIGKILL');
  process.on('exit', kill);
  sound.once('exit', () => process.off('exit', kill));
  await until('the sound server listens', () => existsSync(socket), 10_000);
  return { sound, address: `unix:${socket}` };
}
