// Every error has a sentence, and numbers a person can use are in it.

import { CLIENT_ERROR_CODES, SERVER_ERROR_CODES, VoiceError } from '@parlor/client';
import { describe, expect, it } from 'vitest';

import { en } from '../src/i18n/en.js';
import { sentenceFor, t } from '../src/i18n/index.js';

const DEVICES = ['microphone', 'camera', 'screen'] as const;

it.each([...SERVER_ERROR_CODES, ...CLIENT_ERROR_CODES])('%s is a sentence of our own', (code) => {
  for (const device of DEVICES) {
    const sentence = sentenceFor(new VoiceError(code, 'raw text of a server', { device }));
    expect(sentence).toMatch(/^[A-Z].*\.$/);
    expect(sentence).not.toContain('raw text');
    expect(sentence).not.toContain('{');
  }
});

describe('numbers', () => {
  it('a rate limit says how many whole seconds to wait', () => {
    expect(sentenceFor(new VoiceError('RATE_LIMITED', '', { retryAfterMs: 4_200 }))).toContain('5 seconds');
  });

  it('full video slots say how many there are', () => {
    expect(sentenceFor(new VoiceError('VIDEO_LIMIT_REACHED', '', { current: 4, max: 4 }))).toContain('4/4');
  });

  it('a wait that is no number is left out', () => {
    expect(sentenceFor(new VoiceError('RATE_LIMITED', '', { retryAfterMs: 'soon' } as never))).toBe(en['error.RATE_LIMITED']);
  });
});

it('what is filled in is taken as it is, however strange a name', () => {
  expect(t('announce.joined', { name: '$& {name} <b>' })).toBe('$& {name} <b> joined');
});
