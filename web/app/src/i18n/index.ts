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
  const { code, details } = error;
  const seconds = error.retryAfterMs === undefined ? undefined : Math.max(1, Math.ceil(error.retryAfterMs / 1000));
  if (code === 'RATE_LIMITED' && seconds !== undefined) return t('error.RATE_LIMITED.seconds', { seconds });
  if (code === 'CHANNEL_FULL' && details.max !== undefined) return t('error.CHANNEL_FULL.max', { max: details.max });
  if (code === 'VIDEO_LIMIT_REACHED' && details.max !== undefined) {
    return t('error.VIDEO_LIMIT_REACHED.max', { current: details.current ?? details.max, max: details.max });
  }
  const device = `error.${code}.${details.device}`;
  if (device in en) return t(device as MessageKey);
  const plain = `error.${code}`;
  return plain in en ? t(plain as MessageKey) : error.message;
}
