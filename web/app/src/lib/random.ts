// Names that nobody else has.

/** Digits nobody else comes up with. Not a UUID: browsers make those on secure pages only. */
export function randomDigits(): string {
  return crypto.getRandomValues(new Uint32Array(2)).join('');
}
