// The examples, started by the commands of their READMEs, used by people in Chromium.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { AppPerson } from '../harness/app.js';
import { newPerson, type Person, startChromium } from '../harness/chromium.js';
import { Command, commandsIn } from '../harness/command.js';
import { hears, sees } from '../harness/measure.js';
import { ROOT, SERVER, temporaryDirectory } from '../harness/paths.js';
import { freeHttpPort, freeMediaPort, Server } from '../harness/server.js';

const TIMEOUT = { timeout: 120_000 };
const EXAMPLES = join(ROOT, 'examples');

/** Fills in a name, and joins. */
async function enter(page: Page, name: string): Promise<void> {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Join' }).click();
}

describe('the examples', TIMEOUT, () => {
  const commands: Command[] = [];
  let browser: Browser;

  function start(...of: Parameters<typeof Command.start>): Command {
    const command = Command.start(...of);
    commands.push(command);
    return command;
  }

  before(async () => (browser = await startChromium()));
  after(async () => {
    await browser?.close();
    await Promise.all(commands.map((command) => command.stop()));
  });

  it('a page in plain HTML, one in React and one in Svelte meet in a channel', async () => {
    const names = { html: 'Hanna', react: 'Rita', svelte: 'Sven' };
    const server = await Server.start({ name: 'examples' });
    try {
      const people = await Promise.all(
        Object.entries(names).map(async ([example, name]): Promise<[string, Person]> => {
          // The packages are there.
          const typed = commandsIn(join(EXAMPLES, example, 'README.md')).replace('npm install\n', '');
          const url = await start(typed, EXAMPLES, { VITE_PARLOR_URL: server.url }).says(/Local: +(\S+)/);
          const person = await newPerson(browser);
          await person.page.goto(url);
          await enter(person.page, name);
          return [name, person];
        }),
      );
      for (const [own, { page }] of people) {
        for (const name of Object.values(names).filter((other) => other !== own)) {
          await page.getByRole('listitem').filter({ hasText: name }).waitFor();
        }
      }
      const [[, hanna], [, rita], [, sven]] = people as [[string, Person], [string, Person], [string, Person]];
      await hears(hanna.page);
      await rita.page.getByRole('button', { name: 'Camera' }).click();
      await sees(sven.page);
      await sven.page.getByRole('listitem').filter({ hasText: 'Rita' }).locator('video').waitFor();
      await hanna.page.getByRole('button', { name: 'Mute' }).click();
      await rita.page.getByText('Hanna (muted)').waitFor();
      await sven.page.getByRole('button', { name: 'Leave' }).click();
      await rita.page.getByRole('listitem').filter({ hasText: 'Sven' }).waitFor({ state: 'detached' });
      for (const [, { page, errors }] of people) {
        assert.deepEqual(errors, []);
        await page.context().close();
      }
    } finally {
      await server.stop();
    }
  });

  it('a host application sends people into a call, and hears who is there', async () => {
    const [host, parlor, media] = [await freeHttpPort(), await freeHttpPort(), await freeMediaPort()];
    // A copy, because its commands write a configuration beside it.
    const copy = join(temporaryDirectory(), 'examples/node-host');
    mkdirSync(dirname(copy), { recursive: true });
    cpSync(join(EXAMPLES, 'node-host'), copy, { recursive: true });
    symlinkSync(join(EXAMPLES, 'node_modules'), join(copy, '../node_modules'));
    mkdirSync(join(copy, '../../target/debug'), { recursive: true });
    symlinkSync(SERVER, join(copy, '../../target/debug/parlor'));
    const typed = commandsIn(join(copy, 'README.md')).replace('3000', String(host));
    const settings = { PARLOR_HTTP__LISTEN: `127.0.0.1:${parlor}`, PARLOR_MEDIA__PORT: String(media), PARLOR_STORE__URL: undefined };
    const running = start(typed, copy, { ...settings, PORT: String(host), VOICE_URL: `http://localhost:${parlor}` });
    const url = await running.says(/My application: (\S+)/);
    await running.says(/Parlor is ready/);

    const people: Person[] = [];
    for (const name of ['Anna <b>', 'Ben']) {
      const person = await newPerson(browser);
      await person.page.goto(url);
      await enter(person.page, name);
      const app = new AppPerson(person);
      await app.press('Join');
      await app.isIn();
      people.push(person);
    }
    const [anna, ben] = people as [Person, Person];
    await new AppPerson(anna).shows('Ben');
    await new AppPerson(ben).shows('Anna <b>');
    await running.says(/participant\.joined Ben/);
    assert.match(await (await fetch(url)).text(), /In the lobby: Anna &#60;b&#62;, Ben</);
    const forged = await fetch(`${url}/parlor/events`, { method: 'POST', body: '{"events":[]}', headers: { 'webhook-id': 'msg_1' } });
    assert.equal(forged.status, 401);
    await new AppPerson(anna).press('Leave');
    await running.says(/participant\.left/);
    assert.match(await (await fetch(url)).text(), /In the lobby: Ben</);
  });

  it('each has a place in the list', () => {
    const list = readFileSync(join(EXAMPLES, 'README.md'), 'utf8');
    for (const example of ['html', 'react', 'svelte', 'node-host', 'python-bot']) assert.ok(list.includes(`](${example})`), example);
  });
});
