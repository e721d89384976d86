// Every number of waiting and retrying, in one place (milliseconds).

import { VoiceError } from './errors.js';
import type { RequestName } from './protocol.js';

/** The longest a request may take before it counts as failed. */
export function timeoutOf(request: RequestName): number {
  switch (request) {
    case 'voice:join':
    case 'voice:resume':
    case 'voice:rtc:connectTransport':
      return 10_000;
    default:
      return 5_000;
  }
}

/** Waits before the 1st, 2nd… retry of a join that timed out. */
export const JOIN_RETRIES: readonly number[] = [1_000, 2_000, 4_000];
/** Waits before the retries of a transport that could not be made. */
export const TRANSPORT_RETRIES: readonly number[] = [1_000, 1_000];
/** Waits before the retries of a connection (DTLS, or a new round of ICE) that failed. */
export const CONNECT_RETRIES: readonly number[] = [1_000, 1_000];
/** Waits before the attempts to come back after the connection broke; the last one again and again. */
export const RECONNECT_DELAYS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000];
/** The longest one attempt to come back may take as a whole. */
export const RECONNECT_ATTEMPT = 30_000;
/** The longest one attempt to open the socket may take. */
export const SOCKET_TIMEOUT = 5_000;
/**
 * The longest the first connection of a transport may take before that is said, and ICE is restarted. By TCP or by a relay, on a
 * network that loses half of everything, it takes half of that; a browser that finds no way at all may wait for one for ever.
 */
export const FIRST_CONNECTION = 10_000;
/** `disconnected` often heals by itself within a second: only then ICE is restarted. */
export const ICE_GRACE = 1_000;
/** The longest a restarted ICE may take to connect before it is restarted again. */
export const ICE_RESTART_TIMEOUT = 8_000;
/** After this part of a TURN credential's life the next one is fetched: the rest is time for further tries. */
export const RENEW_AT = 0.8;
/** The wait before another try to fetch one. */
export const RENEW_RETRY = 30_000;

/** Waits; rejects with the signal's reason when that aborts first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}

/** Tries, and tries again after each of the waits, or what the server asks to wait, as long as `again` says that it is worth it. */
export async function withRetries<T>(
  attempt: (n: number) => Promise<T>,
  waits: readonly number[],
  again: (error: unknown) => boolean,
  signal?: AbortSignal,
): Promise<T> {
  for (let n = 0; ; n++) {
    try {
      return await attempt(n);
    } catch (error) {
      const wait = waits[n];
      if (wait === undefined || !again(error)) throw error;
      await sleep(Math.max(wait, (error instanceof VoiceError && error.retryAfterMs) || 0), signal);
    }
  }
}
