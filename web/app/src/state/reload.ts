// A reload of the page stays in the call: what it was, kept for as long as the tab is open.

const KEPT = 'parlor.call';

/** The call the user is in, and their state there. */
export interface KeptCall {
  channel: string;
  name: string;
  pro: boolean;
  muted: boolean;
  deafened: boolean;
}

/** Keeps it, or forgets it. */
export function keepCall(call: KeptCall | undefined): void {
  try {
    if (call) sessionStorage.setItem(KEPT, JSON.stringify(call));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Without storage one joins again by hand.
  }
}

/** What a reloaded page was in. Nothing when the page was opened in another way: then a call does not begin by itself. */
export function keptCall(): KeptCall | undefined {
  const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[];
  if (navigation?.type !== 'reload') return undefined;
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(KEPT) ?? 'null');
    return isCall(kept) ? kept : undefined;
  } catch {
    return undefined;
  }
}

function isCall(value: unknown): value is KeptCall {
  if (typeof value !== 'object' || value === null) return false;
  const { channel, name, pro, muted, deafened } = value as Partial<Record<keyof KeptCall, unknown>>;
  return typeof channel === 'string' && typeof name === 'string' && [pro, muted, deafened].every((flag) => typeof flag === 'boolean');
}

/** The guest of this tab, also after a reload. Two tabs are two people, who can talk to each other. */
export function guestId(): string {
  try {
    const known = sessionStorage.getItem('parlor.guest');
    if (known) return known;
  } catch {
    // A new one each time then.
  }
  const made = `guest-${crypto.getRandomValues(new Uint32Array(2)).join('')}`;
  try {
    sessionStorage.setItem('parlor.guest', made);
  } catch {
    // As above.
  }
  return made;
}
