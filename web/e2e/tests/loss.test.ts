// What socket.io-client, as it comes from npm, makes of connections that break: it comes back and goes on with the call.

import assert from 'node:assert/strict';
import { createServer, request, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { connect, type AddressInfo, type Socket as TcpSocket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { io, type Socket } from 'socket.io-client';
import { Server } from '../harness/server.js';
import { until } from '../harness/until.js';

const TIMEOUT = { timeout: 60_000 };

/** Passes everything on to the server, and can be as bad as proxies are. */
class Proxy {
  private readonly pairs = new Set<[TcpSocket, TcpSocket]>();
  private failing = 0;

  private constructor(
    private readonly http: HttpServer,
    port: number,
  ) {
    http.on('request', (incoming, answer) => {
      if (incoming.method === 'GET' && this.failing > 0 && incoming.url?.includes('sid=')) {
        this.failing--;
        return void answer.writeHead(502).end();
      }
      const { method, headers, url } = incoming;
      const onward = request({ port, host: '127.0.0.1', method, headers, path: url }, (response: IncomingMessage) => {
        answer.writeHead(response.statusCode ?? 500, response.headers);
        response.pipe(answer);
      });
      onward.on('error', () => answer.destroy());
      answer.on('close', () => onward.destroy());
      incoming.pipe(onward);
    });
    http.on('upgrade', (incoming, client: TcpSocket, head) => {
      const server = connect(port, '127.0.0.1', () => {
        const lines = [`${incoming.method} ${incoming.url} HTTP/1.1`];
        for (let i = 0; i < incoming.rawHeaders.length; i += 2) lines.push(`${incoming.rawHeaders[i]}: ${incoming.rawHeaders[i + 1]}`);
        server.write(`${lines.join('\r\n')}\r\n\r\n`);
        server.write(head);
        server.pipe(client);
        client.pipe(server);
      });
      const pair: [TcpSocket, TcpSocket] = [client, server];
      this.pairs.add(pair);
      for (const end of pair) end.on('error', () => {}).on('close', () => (this.pairs.delete(pair), pair.forEach((one) => one.destroy())));
    });
  }

  static async start(port: number): Promise<Proxy> {
    const http = createServer();
    const proxy = new Proxy(http, port);
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  /** Answers one waiting poll with 502. */
  failOnePoll(): void {
    this.failing = 1;
  }

  /** Ends all WebSockets: with this code to both sides, or without a word. */
  reload(code?: number): void {
    for (const [client, server] of this.pairs) {
      if (code !== undefined) {
        client.write(Buffer.from([0x88, 2, code >> 8, code & 0xff]));
        // To the server the proxy is a client, and masks, here with zeros.
        server.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, code >> 8, code & 0xff]));
      }
      client.end();
      server.end();
    }
  }

  stop(): void {
    this.http.closeAllConnections();
    this.http.close();
    this.reload();
  }
}

describe('socket.io-client over connections that break', () => {
  let server: Server;
  let proxy: Proxy;

  before(async () => {
    server = await Server.start({ name: 'loss', toml: '[limits]\njoins_per_minute = 1000\nreconnect_interval_ms = 0\n' });
    proxy = await Proxy.start(server.port);
  }, TIMEOUT);

  after(async () => {
    proxy?.stop();
    await server?.stop();
  });

  async function ask(socket: Socket, event: string, payload: object): Promise<Record<string, unknown>> {
    return (await socket.timeout(12_000).emitWithAck(event, payload)) as Record<string, unknown>;
  }

  async function enter(
    url: string,
    user: string,
    transports: string[],
  ): Promise<{ socket: Socket; joined: Record<string, unknown>; heard: string[] }> {
    const socket = io(url, { transports, auth: { token: await server.guestToken(user) }, forceNew: true });
    const heard: string[] = [];
    socket.onAny((name: string) => heard.push(name));
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('connect_error', reject));
    return { socket, heard, joined: await ask(socket, 'voice:join', { channelId: 'loss' }) };
  }

  const ways: [string, string[], () => void][] = [
    ['a poll that a proxy answers with 502', ['polling'], () => proxy.failOnePoll()],
    ['a proxy that closes with 1001 when it is reloaded, as Caddy does', ['websocket'], () => proxy.reload(1001)],
    ['a proxy that closes with 1012', ['websocket'], () => proxy.reload(1012)],
    ['a proxy that ends connections without a word, as nginx does', ['websocket'], () => proxy.reload()],
  ];
  for (const [what, transports, happen] of ways) {
    it(`goes on after ${what}, and nobody sees anything`, TIMEOUT, async () => {
      const alice = await enter(server.url, 'alice', ['websocket']);
      const bob = await enter(proxy.url, 'bob', transports);
      const again = new Promise<void>((resolve) => bob.socket.once('disconnect', () => bob.socket.once('connect', resolve)));
      happen();
      await again;
      const { channelId, resumeToken } = bob.joined;
      const back = await ask(bob.socket, 'voice:resume', { channelId, resumeToken });
      assert.equal(back.resumed, true, JSON.stringify(back));
      assert.ok(!alice.heard.includes('voice:participant:left'), String(alice.heard));
      bob.socket.disconnect();
      await until('a goodbye is told at once', () => Promise.resolve(alice.heard.includes('voice:participant:left')));
      alice.socket.disconnect();
      await server.holdsNothing();
    });
  }

  it('comes back by itself to a server that was restarted', TIMEOUT, async () => {
    const alice = await enter(server.url, 'alice', ['websocket']);
    const again = new Promise<void>((resolve) => alice.socket.once('disconnect', () => alice.socket.once('connect', resolve)));
    // Tokens of the development mode are signed with the configured secret, so the new process takes them.
    await server.restart();
    await again;
    const joined = await ask(alice.socket, 'voice:join', { channelId: 'loss' });
    assert.equal(joined.channelId, 'loss', JSON.stringify(joined));
    assert.ok(alice.heard.includes('voice:left'), 'and was told before');
    alice.socket.disconnect();
  });
});
