// Looks up sentences, and finds the one for an error.

import type { VoiceError } from '@parlor/client';

import { en } from './en.js';

export type MessageKey = keyof typeof en;
type Values = Record<string, string | number>;

/** The sentence, with `{…}` filled in. */
export function t(key: MessageKey, values: Values = {}): string {
  return en[key].replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** What a person is told about an error. */
export function sentenceFor(error: VoiceError): string {
  const { details } = error;
  const sentence = withNumbers(error) ?? withReason(error) ?? plain(error);
  const note = details.note ?? details.banReason;
  return typeof note === 'string' && note !== '' ? t('error.note', { sentence, note }) : sentence;
}

/** How long to wait before it is no longer too often; 0 when that is over. */
export function waitSentence(seconds: number): string {
  if (seconds <= 0) return t('error.RATE_LIMITED.over');
  return seconds === 1 ? t('error.RATE_LIMITED.second') : t('error.RATE_LIMITED.seconds', { seconds });
}

/** Where there are numbers or times that a person can use. */
function withNumbers({ code, details, retryAfterMs }: VoiceError): string | undefined {
  switch (code) {
    case 'RATE_LIMITED':
      return retryAfterMs === undefined ? undefined : waitSentence(Math.max(1, Math.ceil(retryAfterMs / 1000)));
    case 'CHANNEL_FULL':
      if (details.role === 'spectator') return t('error.CHANNEL_FULL.listeners');
      if (details.max === 1) return t('error.CHANNEL_FULL.one');
      return details.max === undefined ? undefined : t('error.CHANNEL_FULL.max', { max: details.max });
    case 'VIDEO_LIMIT_REACHED':
      if (details.max === undefined) return undefined;
      return t('error.VIDEO_LIMIT_REACHED.max', { current: details.current ?? details.max, max: details.max });
    case 'PERMISSION_DENIED': {
      const until = details.reason === 'banned' ? readTime(details.until) : undefined;
      return until && t('error.PERMISSION_DENIED.banned.until', { until: spoken(until) });
    }
    case 'CHANNEL_CLOSED': {
      const [opens, closed] = [readTime(details.opensAt), readTime(details.closesAt)];
      const now = new Date();
      if (opens && opens > now) return t('error.CHANNEL_CLOSED.opens', { opens: dated(opens) });
      return closed && closed <= now ? t('error.CHANNEL_CLOSED.closed', { closed: dated(closed) }) : undefined;
    }
    default:
      return undefined;
  }
}

/** Where the reason, the device, what is wrong with a request or a token, or the restriction has a sentence of its own. */
function withReason({ code, details }: VoiceError): string | undefined {
  for (const which of [details.reason, details.device, details.field, details.claim]) {
    const key = `error.${code}.${which}`;
    if (which !== undefined && key in en) return t(key as MessageKey);
  }
  // The same words as when it happened.
  return code === 'MODERATED' && details.restriction ? t(`moderated.${details.restriction}`) : undefined;
}

function plain({ code, message }: VoiceError): string {
  const key = `error.${code}`;
  return key in en ? t(key as MessageKey) : message;
}

function readTime(value: unknown): Date | undefined {
  const time = typeof value === 'string' ? new Date(value) : undefined;
  return time && !Number.isNaN(time.getTime()) ? time : undefined;
}

/** A moment in the person's own time zone and notation: `6:30 PM` today, with its date on another day. */
function spoken(time: Date): string {
  const today = time.toDateString() === new Date().toDateString();
  return new Intl.DateTimeFormat(undefined, { timeStyle: 'short', ...(!today && { dateStyle: 'medium' }) }).format(time);
}

/** The same within a sentence: `today at 6:30 PM`, `on Nov 22, 2026, 6:30 PM`. */
function dated(time: Date): string {
  const today = time.toDateString() === new Date().toDateString();
  return t(today ? 'time.today' : 'time.on', { time: spoken(time) });
}
