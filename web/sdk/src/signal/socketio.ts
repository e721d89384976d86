// Signaling over socket.io: acknowledgements with deadlines, typed refusals.

import { io, type Socket } from 'socket.io-client';

import { readWireError, VoiceError } from '../errors.js';
import { SOCKET_TIMEOUT, timeoutOf } from '../policy.js';
import { PUSH_NAMES, type Pushes, type PushName, type RequestName, type Requests } from '../protocol.js';
import type { Signal, SignalFactory, SignalHandler } from './signal.js';

/** A token, or what fetches a fresh one for each connection. */
export type TokenSource = string | (() => string | Promise<string>);

export interface SocketIoOptions {
  /** The server's origin; the page's own by default. */
  url?: string;
  token: TokenSource;
}

/** Makes socket.io connections. */
export function socketIoSignal(options: SocketIoOptions): SignalFactory {
  return (handler) => new SocketIoSignal(options, handler);
}

class SocketIoSignal implements Signal {
  readonly #socket: Socket;
  #opening: Promise<void> | undefined;
  #cancelOpening = () => {};

  constructor(
    private readonly options: SocketIoOptions,
    handler: SignalHandler,
  ) {
    const settings = {
      autoConnect: false,
      // The service follows its own policy: it must rejoin the channel after each reconnect, with a deadline over all of it.
      reconnection: false,
      timeout: SOCKET_TIMEOUT,
      // A WebSocket from the start saves the round trips of polling; polling stays for networks that break WebSockets.
      transports: ['websocket', 'polling'],
      tryAllTransports: true,
      forceNew: true,
    };
    this.#socket = options.url === undefined ? io(settings) : io(options.url, settings);
    for (const name of PUSH_NAMES) {
      this.#socket.on(name, (payload: unknown) => handler.onPush(name, payload as Pushes[PushName] as never));
    }
    this.#socket.on('disconnect', (reason) => {
      if (reason !== 'io client disconnect') handler.onDisconnect(reason);
    });
  }

  get connected(): boolean {
    return this.#socket.connected;
  }

  connect(): Promise<void> {
    if (this.#socket.connected) return Promise.resolve();
    if (!this.#opening) {
      const opening = this.#open().finally(() => this.#opening === opening && (this.#opening = undefined));
      this.#opening = opening;
    }
    return this.#opening;
  }

  async request<E extends RequestName>(event: E, payload: Requests[E]['payload']): Promise<Requests[E]['reply']> {
    // socket.io would keep the request and send it on the next connection, where nobody expects it.
    if (!this.#socket.connected) throw disconnected(event);
    let reply: unknown;
    try {
      reply = await this.#socket.timeout(timeoutOf(event)).emitWithAck(event, payload);
    } catch (cause) {
      if (!this.#socket.connected) throw disconnected(event);
      throw new VoiceError('TIMEOUT', `The server did not answer ${event} in time.`, { event }, { cause });
    }
    const refused = readWireError(reply);
    if (refused) throw refused;
    return reply as Requests[E]['reply'];
  }

  close(): void {
    this.#opening = undefined;
    this.#cancelOpening();
    this.#socket.disconnect();
  }

  async #open(): Promise<void> {
    const socket = this.#socket;
    const { token } = this.options;
    let cancelled = false;
    this.#cancelOpening = () => (cancelled = true);
    socket.auth = { token: typeof token === 'string' ? token : await token() };
    if (cancelled) throw closedEarly();
    await new Promise<void>((resolve, reject) => {
      const done = (error?: VoiceError) => {
        clearTimeout(timer);
        this.#cancelOpening = () => {};
        socket.off('connect', opened);
        socket.off('connect_error', refused);
        if (!error) return resolve();
        socket.disconnect();
        reject(error);
      };
      const opened = () => done();
      const refused = (error: Error & { data?: unknown }) => done(readWireError(error.data) ?? unreachable(error));
      // The socket's own timeout covers the first transport only; this one covers the fallback and the handshake too.
      const timer = setTimeout(() => done(unreachable(new Error('timeout'))), 2 * SOCKET_TIMEOUT);
      socket.once('connect', opened);
      socket.once('connect_error', refused);
      this.#cancelOpening = () => done(closedEarly());
      socket.connect();
    });
  }
}

function disconnected(event: string): VoiceError {
  return new VoiceError('DISCONNECTED', 'The connection to the server is gone.', { event });
}

function unreachable(cause: unknown): VoiceError {
  return new VoiceError('UNREACHABLE', 'The server cannot be reached.', {}, { cause });
}

function closedEarly(): VoiceError {
  return new VoiceError('CANCELLED', 'The connection was closed before it was open.');
}
