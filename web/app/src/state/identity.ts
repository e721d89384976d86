// The user of the page: a token from the host in the address (#token=…), or a guest token of a server in development mode.

import { readWireError, VoiceError } from '@parlor/client';

export type Identity =
  /** The host signed the person in. */
  | { kind: 'host'; token: string; name: string }
  /** The server hands out guest tokens. */
  | { kind: 'guest' }
  /** Neither: the page can only say how to get in. */
  | { kind: 'none' };

const KEPT = 'parlor.token';
/** Gives guest tokens. It exists in development mode only, as does its neighbour. */
const DEV_TOKEN = '/api/dev/token';
const DEV_STATS = '/api/dev/stats';
/** The longest any request may take: a join must not wait for ever. */
const TOKEN_TIMEOUT = 5_000;

/** What the address says. The token is taken out of it, so that it is not shared with the address. */
export function readAddress(location: Location, history: History): { token?: string; channel?: string } {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const query = new URLSearchParams(location.search);
  const channel = fragment.get('channel') ?? query.get('channel') ?? undefined;
  const token = fragment.get('token') ?? undefined;
  if (token !== undefined) {
    keep(token);
    fragment.delete('token');
    const rest = fragment.toString();
    history.replaceState(null, '', location.pathname + location.search + (rest ? `#${rest}` : ''));
  }
  const known = token ?? kept();
  return { ...(known !== undefined && { token: known }), ...(channel !== undefined && { channel }) };
}

/** Finds out how the user can get in. */
export async function findIdentity(token: string | undefined): Promise<Identity> {
  if (token !== undefined) return { kind: 'host', token, name: nameIn(token) || subjectOf(token) };
  try {
    // The token's own route takes POST only, and asking it would make a token for nobody.
    const { ok, headers } = await fetch(DEV_STATS, { method: 'HEAD' });
    if (ok && headers.get('content-type')?.includes('json')) return { kind: 'guest' };
  } catch {
    // Not reachable: the join will say so, with a sentence.
    return { kind: 'guest' };
  }
  return { kind: 'none' };
}

/** A guest token of a server in development mode. */
export async function guestToken(user: string, name: string, pro: boolean): Promise<string> {
  let response: Response;
  try {
    response = await fetch(DEV_TOKEN, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user, name, pro }),
      signal: AbortSignal.timeout(TOKEN_TIMEOUT),
    });
  } catch (cause) {
    throw new VoiceError('UNREACHABLE', 'The server cannot be reached.', {}, { cause });
  }
  if (response.status === 404) throw new VoiceError('UNAUTHENTICATED', 'This server hands out no guest tokens.');
  const body: unknown = await response.json().catch(() => undefined);
  // Says which field it is.
  const refused = response.ok ? undefined : readWireError(body);
  if (refused) throw refused;
  if (response.status === 400 || response.status === 422) throw new VoiceError('INVALID_REQUEST', 'The server does not accept this name.');
  if (typeof body === 'object' && body !== null && 'token' in body && typeof body.token === 'string') return body.token;
  throw new VoiceError('SERVER_ERROR', `The server answered ${response.status} instead of a token.`);
}

/** The name in a token, to show it. Only the server verifies the token; nothing that matters depends on it here. */
export function nameIn(token: string): string {
  return claimIn(token, 'name');
}

/** The user id in a token. */
export function subjectOf(token: string): string {
  return claimIn(token, 'sub');
}

function claimIn(token: string, claim: 'name' | 'sub'): string {
  try {
    const payload = token.split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(payload.replace(/-/g, '+').replace(/_/g, '/')), (c) => c.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    const value = typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>)[claim] : undefined;
    if (typeof value === 'string') return value;
  } catch {
    // Shown without a name; the server will refuse a token that is none.
  }
  return '';
}

/** A reload of the page must not sign one out; closing the tab does. */
function keep(token: string): void {
  try {
    sessionStorage.setItem(KEPT, token);
  } catch {
    // Without storage a reload needs the link again.
  }
}

function kept(): string | undefined {
  try {
    return sessionStorage.getItem(KEPT) ?? undefined;
  } catch {
    return undefined;
  }
}
