// What can go wrong, as one typed error: the server's closed list of codes and the client's own.

import { SERVER_ERROR_CODES } from './protocol.generated.js';
import type { Restrictions } from './protocol.js';

export { SERVER_ERROR_CODES };

/** Codes that only the client itself uses. */
export const CLIENT_ERROR_CODES = [
  /** The server did not answer the connection attempt. */
  'UNREACHABLE',
  /** The connection broke while the request was under way, or there is none. */
  'DISCONNECTED',
  /** The person left before the operation was done. */
  'CANCELLED',
  /** A moderator has silenced it, and only a moderator can undo that; `details.restriction` says what. */
  'MODERATED',
  /** A spectator listens and watches only. */
  'SPECTATOR',
  /** The person or the browser did not allow the device; `details.device` says which. */
  'DEVICE_DENIED',
  /** There is no such device. */
  'DEVICE_MISSING',
  /** The device is there but does not start: another program holds it. */
  'DEVICE_BUSY',
  /** The browser has no WebRTC, or the page is not on a secure origin. */
  'UNSUPPORTED',
] as const;

/** A code that the server refuses with. */
export type ServerErrorCode = (typeof SERVER_ERROR_CODES)[number];
/** A code of the client's own. */
export type ClientErrorCode = (typeof CLIENT_ERROR_CODES)[number];
/** Every code that an error of this package can have. */
export type ErrorCode = ServerErrorCode | ClientErrorCode;

/** A capture device, as errors name it. */
export type DeviceName = 'microphone' | 'camera' | 'screen';

/** What a program can read of an error. Which fields are there depends on the code. */
export interface ErrorDetails {
  capability?: 'VIDEO_CALLING' | 'SCREEN_SHARE';
  current?: number;
  max?: number;
  retryAfterMs?: number;
  field?: string;
  /** UNAUTHENTICATED: the claim of the token that is to blame. */
  claim?: string;
  reason?: string;
  device?: DeviceName;
  /** What a moderator has silenced. */
  restriction?: keyof Restrictions;
  /** CHANNEL_CLOSED: when it opens and closes (RFC 3339). */
  opensAt?: string | null;
  closesAt?: string | null;
  /** A ban: when it ends (RFC 3339). */
  until?: string | null;
  [key: string]: unknown;
}

/** Every error this package throws or reports. */
export class VoiceError extends Error {
  override readonly name = 'VoiceError';

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** How many milliseconds the server asks to wait before the next try. */
  get retryAfterMs(): number | undefined {
    const wait = this.details.retryAfterMs;
    return typeof wait === 'number' && Number.isFinite(wait) && wait >= 0 ? wait : undefined;
  }
}

/** Whether it is a VoiceError with one of these codes. */
export function hasCode(error: unknown, ...codes: ErrorCode[]): error is VoiceError {
  return error instanceof VoiceError && codes.includes(error.code);
}

/** Whether a later try of the same thing may succeed without anybody doing anything. */
export function isTransient(error: unknown): boolean {
  return error instanceof VoiceError && TRANSIENT.has(error.code);
}

const TRANSIENT = new Set<ErrorCode>([
  'TIMEOUT',
  'DISCONNECTED',
  'UNREACHABLE',
  'SHUTTING_DOWN',
  'SERVER_ERROR',
  'TRANSPORT_FAILED',
  'RATE_LIMITED',
  // The entry of the connection that broke clears by itself; the next try of the policy succeeds.
  'ALREADY_IN_CHANNEL',
]);

const KNOWN = new Set<string>([...SERVER_ERROR_CODES]);

/** Reads `{error, code, details}`; anything else is undefined. A code this version does not know is SERVER_ERROR. */
export function readWireError(value: unknown): VoiceError | undefined {
  if (typeof value !== 'object' || value === null || !('code' in value) || !('error' in value)) return undefined;
  const { code, error, details } = value as { code: unknown; error: unknown; details?: unknown };
  if (typeof code !== 'string' || typeof error !== 'string') return undefined;
  const known = KNOWN.has(code) ? (code as ServerErrorCode) : 'SERVER_ERROR';
  const read = typeof details === 'object' && details !== null ? (details as ErrorDetails) : {};
  return new VoiceError(known, error, known === code ? read : { ...read, reason: code });
}

/** Any thrown value as a VoiceError. */
export function toVoiceError(cause: unknown): VoiceError {
  if (cause instanceof VoiceError) return cause;
  const message = cause instanceof Error ? cause.message : String(cause);
  return new VoiceError('TRANSPORT_FAILED', message, {}, { cause });
}
