// Coming back after the connection broke: a few attempts, further and further apart, with one deadline over all. And why
// the server put one out, which says whether there is a way back.

import { isTransient, VoiceError } from './errors.js';
import { RECONNECT_DELAYS, RECONNECT_TOTAL, sleep, SOCKET_TIMEOUT } from './policy.js';
import type { LeftReason } from './protocol.js';

/** Tries until an attempt succeeds. Rejects with the last attempt's error, or at once with one that waiting cannot cure. */
export async function comeBack(attempt: () => Promise<void>, signal: AbortSignal): Promise<void> {
  let end = Date.now() + RECONNECT_TOTAL;
  let last: unknown = new VoiceError('UNREACHABLE', 'The server could not be reached again.');
  let atLeast = 0;
  for (const delay of RECONNECT_DELAYS) {
    // Where the server says how long to wait, that counts, and the deadline moves along.
    if (atLeast > 0) end = Math.max(end, Date.now() + atLeast + SOCKET_TIMEOUT);
    const left = end - Date.now() - SOCKET_TIMEOUT;
    if (left < 0) break;
    await sleep(Math.max(atLeast, Math.min(delay, left)), signal);
    try {
      await before(end, attempt());
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (!isTransient(error)) throw error;
      last = error;
      atLeast = (error instanceof VoiceError && error.retryAfterMs) || 0;
    }
  }
  throw last;
}

/** The attempt's result, unless the deadline comes first. */
async function before(end: number, attempt: Promise<void>): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new VoiceError('TIMEOUT', 'Coming back took too long.')), Math.max(0, end - Date.now()));
  });
  try {
    await Promise.race([attempt, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Where a moderator moved one to, if that is why the stay ended. */
export function movedTo({ details }: VoiceError): string | undefined {
  return details.reason === 'moved' && typeof details.to === 'string' ? details.to : undefined;
}

/** The reason that the server gave for the end of a stay, if it did. */
export function reasonOf({ details }: VoiceError): { reason?: LeftReason } {
  return typeof details.rejoin === 'boolean' ? { reason: details.reason as LeftReason } : {};
}
