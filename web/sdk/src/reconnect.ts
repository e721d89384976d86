// Coming back after the connection broke: attempts further and further apart, as long as one stays. And why the server
// put one out, which says whether there is a way back.

import { hasCode, isTransient, VoiceError } from './errors.js';
import type { Network } from './network.js';
import { RECONNECT_ATTEMPT, RECONNECT_DELAYS, sleep } from './policy.js';
import type { LeftReason } from './protocol.js';

/** One way back. */
export interface WayBack {
  /** Tries it. The signal aborts when the attempt is given up. */
  readonly attempt: (late: AbortSignal) => Promise<void>;
  /** Whether an attempt has reached the server. */
  readonly connected: () => boolean;
  /** Cleans up behind an attempt that is given up. */
  readonly giveUp: () => void;
}

/**
 * Tries until an attempt succeeds, at once when the network comes back. Rejects only with an error that waiting cannot
 * cure. An attempt that hangs is given up.
 */
export async function comeBack(way: WayBack, network: Network, signal: AbortSignal): Promise<void> {
  let atLeast = 0;
  let elsewhere = 0;
  for (let n = 0; ; n++) {
    // A time to wait that the server names counts, whatever the network does.
    if (atLeast > 0) await sleep(atLeast, signal);
    else await sleepUntilOnline(RECONNECT_DELAYS[Math.min(n, RECONNECT_DELAYS.length - 1)] ?? 0, network, signal);
    try {
      while (!(await bounded(way, network))) signal.throwIfAborted();
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isTransient(error)) throw error;
      // The entry of the connection that broke would be gone by then: it is another that is in.
      elsewhere = hasCode(error, 'ALREADY_IN_CHANNEL') ? elsewhere + 1 : 0;
      if (elsewhere >= RECONNECT_DELAYS.length) throw error;
      atLeast = (error instanceof VoiceError && error.retryAfterMs) || 0;
    }
  }
}

/** Waits, no longer than until the network comes back. */
async function sleepUntilOnline(ms: number, network: Network, signal: AbortSignal): Promise<void> {
  const early = new AbortController();
  const end = network.watch((online) => online && early.abort());
  const stop = () => early.abort();
  signal.addEventListener('abort', stop, { once: true });
  try {
    await sleep(ms, early.signal);
  } catch {
    signal.throwIfAborted();
  } finally {
    signal.removeEventListener('abort', stop);
    end();
  }
}

/**
 * One attempt. False when it is to be begun anew at once: the network came back before it had reached the server. What was
 * sent into the cut is repeated by TCP after seconds only, and the server does not wait for long.
 */
async function bounded({ attempt, connected, giveUp }: WayBack, network: Network): Promise<boolean> {
  const controller = new AbortController();
  const stop = (error: VoiceError) => {
    controller.abort(error);
    giveUp();
  };
  const anew = new VoiceError('UNREACHABLE', 'The network came back meanwhile.');
  const end = network.watch((online) => online && !connected() && stop(anew));
  const timer = setTimeout(() => stop(new VoiceError('TIMEOUT', 'Coming back took too long.')), RECONNECT_ATTEMPT);
  const late = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
  });
  try {
    await Promise.race([late, attempt(controller.signal)]);
    return true;
  } catch (error) {
    if (error !== anew) throw error;
    return false;
  } finally {
    clearTimeout(timer);
    end();
  }
}

/** The channel a moderator moved the user to, if that is why the stay ended. */
export function movedTo({ details }: VoiceError): string | undefined {
  return details.reason === 'moved' && typeof details.to === 'string' ? details.to : undefined;
}

/** The reason that the server gave for the end of a stay, if it did. */
export function reasonOf({ details }: VoiceError): { reason?: LeftReason } {
  return typeof details.rejoin === 'boolean' ? { reason: details.reason as LeftReason } : {};
}
