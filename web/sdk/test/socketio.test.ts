// Signaling against a real socket.io server: refusals, deadlines, and connections that break.

import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';

import { Server } from 'socket.io';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Signal } from '../src/signal/signal.js';
import { socketIoSignal, type TokenSource } from '../src/signal/socketio.js';

type Acknowledge = (answer: unknown) => void;

let http: HttpServer;
let server: Server;
let url: string;
const opened: Signal[] = [];

beforeEach(async () => {
  http = createServer();
  server = new Server(http);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
});

afterEach(async () => {
  for (const signal of opened.splice(0)) signal.close();
  await server.close();
});

function open(token: TokenSource = 'good', at = url) {
  const pushes: unknown[] = [];
  const breaks: string[] = [];
  const signal = socketIoSignal({ url: at, token })({
    onPush: (event, payload) => pushes.push([event, payload]),
    onDisconnect: (reason) => breaks.push(reason),
  });
  opened.push(signal);
  return { signal, pushes, breaks };
}

describe('connecting', () => {
  it('shows the token, a fresh one for every connection', async () => {
    const seen: unknown[] = [];
    server.use((socket, next) => {
      seen.push(socket.handshake.auth);
      next();
    });
    let n = 0;
    const { signal } = open(() => Promise.resolve(`token-${++n}`));
    await signal.connect();
    signal.close();
    await signal.connect();
    expect(seen).toEqual([{ token: 'token-1' }, { token: 'token-2' }]);
  });

  it('rejects with what the server refused with', async () => {
    server.use((_, next) => {
      const refusal = { error: 'Sign in again.', code: 'UNAUTHENTICATED', details: { reason: 'expired' } };
      next(Object.assign(new Error('Sign in again.'), { data: refusal }));
    });
    const { signal } = open('expired');
    await expect(signal.connect()).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
      message: 'Sign in again.',
      details: { reason: 'expired' },
    });
    expect(signal.connected).toBe(false);
  });

  it('rejects with UNREACHABLE where there is no server', async () => {
    await expect(open('good', 'http://127.0.0.1:1').signal.connect()).rejects.toMatchObject({ code: 'UNREACHABLE' });
  });

  it('is one connection, however often it is asked for', async () => {
    const { signal } = open();
    await Promise.all([signal.connect(), signal.connect()]);
    await signal.connect();
    expect(server.engine.clientsCount).toBe(1);
  });

  it('that is closed half-way rejects, and can be opened anew', async () => {
    const { signal } = open();
    const first = expect(signal.connect()).rejects.toMatchObject({ code: 'CANCELLED' });
    signal.close();
    await first;
    await signal.connect();
    expect(signal.connected).toBe(true);
  });
});

describe('a request', () => {
  it('is answered by its acknowledgement', async () => {
    server.on('connection', (socket) => {
      socket.on('voice:rtc:pauseProducer', (payload: unknown, ack: Acknowledge) => ack(payload));
    });
    const { signal } = open();
    await signal.connect();
    expect(await signal.request('voice:rtc:pauseProducer', { producerId: 'p' })).toEqual({ producerId: 'p' });
  });

  it('that is refused rejects with the code and the details', async () => {
    server.on('connection', (socket) => {
      socket.on('voice:join', (_: unknown, ack: Acknowledge) =>
        ack({ error: 'Too often.', code: 'RATE_LIMITED', details: { retryAfterMs: 1500 } }),
      );
    });
    const { signal } = open();
    await signal.connect();
    await expect(signal.request('voice:join', { channelId: 'x' })).rejects.toMatchObject({ code: 'RATE_LIMITED', retryAfterMs: 1500 });
  });

  it('with a code this version does not know is a SERVER_ERROR that names it', async () => {
    server.on('connection', (socket) => {
      socket.on('voice:join', (_: unknown, ack: Acknowledge) => ack({ error: 'New.', code: 'FROM_THE_FUTURE', details: {} }));
    });
    const { signal } = open();
    await signal.connect();
    await expect(signal.request('voice:join', { channelId: 'x' })).rejects.toMatchObject({
      code: 'SERVER_ERROR',
      details: { reason: 'FROM_THE_FUTURE' },
    });
  });

  it('that is not answered rejects with TIMEOUT after its own deadline', async () => {
    const { signal } = open();
    await signal.connect();
    const start = Date.now();
    await expect(signal.request('voice:state:update', { muted: true })).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(Date.now() - start).toBeGreaterThanOrEqual(4_900);
  }, 10_000);

  it('rejects with DISCONNECTED when the connection breaks, and is not sent on the next one', async () => {
    let joins = 0;
    server.on('connection', (socket) => {
      socket.on('voice:join', () => {
        joins++;
        socket.disconnect(true);
      });
    });
    const { signal, breaks } = open();
    await signal.connect();
    await expect(signal.request('voice:join', { channelId: 'x' })).rejects.toMatchObject({ code: 'DISCONNECTED' });
    await vi.waitUntil(() => breaks.length === 1);
    await expect(signal.request('voice:leave', {})).rejects.toMatchObject({ code: 'DISCONNECTED' });
    await signal.connect();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(joins).toBe(1);
  });
});

it('pushes arrive in order, and closing by oneself is no break', async () => {
  server.on('connection', (socket) => {
    socket.emit('voice:participant:left', { userId: 'a' });
    socket.emit('voice:activeSpeakers', { speakers: [] });
  });
  const { signal, pushes, breaks } = open();
  await signal.connect();
  await vi.waitUntil(() => pushes.length === 2);
  expect(pushes).toEqual([
    ['voice:participant:left', { userId: 'a' }],
    ['voice:activeSpeakers', { speakers: [] }],
  ]);
  signal.close();
  await vi.waitUntil(() => server.engine.clientsCount === 0);
  expect(breaks).toEqual([]);
});
