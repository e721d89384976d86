// What the page remembers between visits. Works without storage too (private windows): it then forgets.

const PREFIX = 'parlor.';

/** A remembered text, or the fallback. */
export function recall(key: 'name' | 'channel' | 'pro' | 'shortcuts', fallback: string): string {
  try {
    return localStorage.getItem(PREFIX + key) ?? fallback;
  } catch {
    return fallback;
  }
}

/** Remembers a text. */
export function remember(key: 'name' | 'channel' | 'pro' | 'shortcuts', value: string): void {
  try {
    localStorage.setItem(PREFIX + key, value);
  } catch {
    // Nothing depends on it.
  }
}
