// How a person without a picture is shown: initials on a colour of their own.

/** One or two letters of a name, each as a person sees it: a letter with all its marks, an emoji with all its parts. */
export function initials(name: string): string {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  // What stands in parentheses or quotes comes after the name, mostly.
  const spoken = words.filter((word) => /^[\p{L}\p{N}\p{Extended_Pictographic}\p{Regional_Indicator}]/u.test(word));
  const shown = spoken.length > 0 ? spoken : words;
  const [first = '?'] = shown;
  const last = shown.length > 1 ? shown[shown.length - 1] : undefined;
  return [first, last]
    .filter((word) => word !== undefined)
    .map((word) => firstGrapheme(word).toLocaleUpperCase())
    .join('');
}

const graphemes = 'Segmenter' in Intl ? new Intl.Segmenter(undefined, { granularity: 'grapheme' }) : undefined;

/** In a browser that cannot tell them apart, the first code point. */
function firstGrapheme(word: string): string {
  const [first] = graphemes ? [...graphemes.segment(word)].map(({ segment }) => segment) : [...word];
  return first ?? '';
}

/** A hue, the same for the same user everywhere. */
export function hueOf(userId: string): number {
  let hash = 0;
  for (const char of userId) hash = (hash * 31 + (char.codePointAt(0) ?? 0)) >>> 0;
  // The golden angle spreads ids that differ in one letter.
  return Math.round((hash % 360) * 137.508) % 360;
}
