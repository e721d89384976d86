// Every error has a sentence, and numbers a person can use are in it.

import { CLIENT_ERROR_CODES, SERVER_ERROR_CODES, VoiceError } from '@parlor/client';
import { describe, expect, it } from 'vitest';

import { en } from '../src/i18n/en.js';
import { sentenceFor, t, waitSentence } from '../src/i18n/index.js';

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

  it('what is one is not many', () => {
    expect(sentenceFor(new VoiceError('CHANNEL_FULL', '', { current: 1, max: 1 }))).toBe(en['error.CHANNEL_FULL.one']);
    expect(sentenceFor(new VoiceError('CHANNEL_FULL', '', { current: 8, max: 8 }))).toContain('all 8 places');
    expect(sentenceFor(new VoiceError('CHANNEL_FULL', '', { current: 1, max: 1, role: 'spectator' }))).toContain('listeners');
    expect(sentenceFor(new VoiceError('RATE_LIMITED', '', { retryAfterMs: 700 }))).toContain('Wait 1 second and');
    expect(waitSentence(0)).toBe(en['error.RATE_LIMITED.over']);
  });

  it('full video slots say how many there are', () => {
    expect(sentenceFor(new VoiceError('VIDEO_LIMIT_REACHED', '', { current: 4, max: 4 }))).toContain('4/4');
  });

  it('a wait that is no number is left out', () => {
    expect(sentenceFor(new VoiceError('RATE_LIMITED', '', { retryAfterMs: 'soon' } as never))).toBe(en['error.RATE_LIMITED']);
  });
});

it('what is wrong with a name or an id is said of it', () => {
  for (const field of ['name', 'user', 'channelId'] as const) {
    expect(sentenceFor(new VoiceError('INVALID_REQUEST', '', { field, reason: 'is too long' }))).toBe(en[`error.INVALID_REQUEST.${field}`]);
  }
  for (const claim of ['name', 'sub'] as const) {
    expect(sentenceFor(new VoiceError('UNAUTHENTICATED', '', { claim, reason: 'is too long' }))).toBe(en[`error.UNAUTHENTICATED.${claim}`]);
  }
});

describe('a refusal says what to do', () => {
  const inAnHour = new Date(Date.now() + 3_600_000);
  const anHourAgo = new Date(Date.now() - 3_600_000);
  const local = (time: Date) => new Intl.DateTimeFormat(undefined, { timeStyle: 'short' }).format(time);

  it('a channel that is not open yet: when it opens, by the clock of the person', () => {
    const sentence = sentenceFor(new VoiceError('CHANNEL_CLOSED', '', { opensAt: inAnHour.toISOString(), closesAt: null }));
    expect(sentence).toMatch(/not open yet/);
    expect(sentence).toContain(local(inAnHour));
  });

  it('a channel that has closed: since when', () => {
    const details = { opensAt: new Date(0).toISOString(), closesAt: anHourAgo.toISOString() };
    const sentence = sentenceFor(new VoiceError('CHANNEL_CLOSED', '', details));
    expect(sentence).toMatch(/has closed/);
    expect(sentence).toContain(local(anHourAgo));
  });

  it('a time that is none is left out', () => {
    expect(sentenceFor(new VoiceError('CHANNEL_CLOSED', '', { opensAt: 'soon' }))).toBe(en['error.CHANNEL_CLOSED']);
  });

  it('a ban: until when, and why', () => {
    const details = { reason: 'banned', until: inAnHour.toISOString(), banReason: 'spam' };
    const sentence = sentenceFor(new VoiceError('PERMISSION_DENIED', '', details));
    expect(sentence).toMatch(/banned from this channel until/);
    expect(sentence).toContain(local(inAnHour));
    expect(sentence).toMatch(/Reason given: spam$/);
    expect(sentenceFor(new VoiceError('PERMISSION_DENIED', '', { reason: 'banned', until: null }))).toMatch(
      /^You are banned.*Ask a moderator/,
    );
  });

  it.each([
    'not_a_member',
    'not_invited',
    'no_seat',
    'not_granted',
    'e2ee_unavailable',
    'auto_unavailable',
    'mesh_has_no_spectators',
    'silenced',
  ])('%s: whom to ask', (reason) => {
    const sentence = sentenceFor(new VoiceError('PERMISSION_DENIED', '', { reason }));
    expect(sentence).not.toBe(en['error.PERMISSION_DENIED']);
    expect(sentence).toMatch(/^[A-Z].*\.$/);
  });

  it.each(['kicked', 'banned', 'call-ended', 'session-revoked', 'channel-deleted', 'access-lost', 'moved-device', 'replaced'])(
    '%s: what happened',
    (reason) => {
      const sentence = sentenceFor(new VoiceError('NOT_IN_CHANNEL', '', { reason, rejoin: false }));
      expect(sentence).not.toBe(en['error.NOT_IN_CHANNEL']);
      expect(sentence).toMatch(/^[A-Z].*\.$/);
    },
  );
});

it('what is filled in is taken as it is, however strange a name', () => {
  expect(t('announce.joined', { name: '$& {name} <b>' })).toBe('$& {name} <b> joined');
});
