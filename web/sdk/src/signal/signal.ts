// What the service needs of a signaling connection. socket.io is one; tests have another.

import type { Pushes, PushName, RequestName, Requests } from '../protocol.js';

/** What a connection tells its owner. */
export interface SignalHandler {
  /** The server said something unasked. */
  onPush<E extends PushName>(event: E, payload: Pushes[E]): void;
  /** The connection broke. Not called for `close()`. */
  onDisconnect(reason: string): void;
}

/** One authenticated connection to the server, opened again by its owner after it broke. */
export interface Signal {
  readonly connected: boolean;
  /** Opens the connection; resolves at once if it is open. Rejects with UNREACHABLE, TIMEOUT or what the server refused with. */
  connect(): Promise<void>;
  /** Asks, and waits for the acknowledgement within the request's own deadline. */
  request<E extends RequestName>(event: E, payload: Requests[E]['payload']): Promise<Requests[E]['reply']>;
  /** Closes the connection for good or until the next `connect()`. */
  close(): void;
}

/** Makes a connection that reports to the handler. */
export type SignalFactory = (handler: SignalHandler) => Signal;
