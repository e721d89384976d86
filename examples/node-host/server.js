// A host application: it knows who people are, sends them into a call with a token, and hears by webhooks who is there.

import { createHmac, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';

import { Webhook } from 'standardwebhooks';

const { PORT = '3000', VOICE_URL: parlor = 'http://localhost:7400', AUTH_SECRET, WEBHOOK_SECRET } = process.env;
if (!AUTH_SECRET || !WEBHOOK_SECRET) throw new Error('Set AUTH_SECRET and WEBHOOK_SECRET: see README.md.');

const CHANNEL = 'lobby';
const TOKEN_SECONDS = 3600;
/** Longer than Parlor sends: at most 100 events. */
const MAX_BODY = 1 << 20;

const webhook = new Webhook(WEBHOOK_SECRET);
/** Names by session. Yours belong into a database, together with `lastSequence`. */
const people = new Map();
let lastSequence = 0;

/** Signs a token: Parlor believes what it says. */
function token(user, name) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const exp = Math.floor(Date.now() / 1000) + TOKEN_SECONDS;
  const message = `${part({ alg: 'HS256', typ: 'JWT' })}.${part({ sub: user, name, exp, channels: [CHANNEL] })}`;
  return `${message}.${createHmac('sha256', AUTH_SECRET).update(message).digest('base64url')}`;
}

/** Takes one event. It may come again, and then changes nothing. */
function take({ sequence, type, data }) {
  if (sequence <= lastSequence) return;
  lastSequence = sequence;
  if (type === 'participant.joined') people.set(data.sessionId, data.name);
  if (type === 'participant.left') people.delete(data.sessionId);
  console.log(`${type} ${data.name ?? data.userId ?? ''}`);
}

const escape = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const page = () => `<!doctype html><html lang="en"><meta charset="utf-8"><title>A host application</title>
<h1>My application</h1>
<p>In the ${CHANNEL}: ${[...people.values()].map(escape).join(', ') || 'nobody'}</p>
<form method="post" action="/join"><label>Your name <input name="name" required></label> <button>Join</button></form>`;

async function read(request) {
  const parts = [];
  let length = 0;
  for await (const part of request) {
    length += part.length;
    if (length > MAX_BODY) throw new Error('too long');
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

const routes = {
  'GET /': async () => [200, { 'content-type': 'text/html' }, page()],

  // Yours takes the user from its own session. The token is in the fragment, which browsers send to no server.
  'POST /join': async (request) => {
    const name = new URLSearchParams(await read(request)).get('name') ?? '';
    return [303, { location: `${parlor}/#token=${token(randomUUID(), name)}&channel=${CHANNEL}` }];
  },

  'POST /parlor/events': async (request) => {
    const body = await read(request);
    let events;
    try {
      ({ events } = webhook.verify(body, request.headers));
    } catch {
      return [401, {}, 'Parlor did not sign this.\n'];
    }
    events.forEach(take);
    return [204, {}];
  },
};

createServer(async (request, response) => {
  const route = routes[`${request.method} ${request.url}`] ?? (() => [404, {}, 'There is nothing here.\n']);
  const [status, headers, body] = await Promise.resolve(route(request)).catch((error) => [400, {}, `${error.message}\n`]);
  response.writeHead(status, headers).end(body);
}).listen(Number(PORT), 'localhost', () => console.log(`My application: http://localhost:${PORT}`));
