// What a moderator asks for, and what is said to those whom it concerns.

import { VoiceError } from '@parlor/client';
import { expect, it } from 'vitest';

import { commandFor, moderationRefusal, restrictionNews } from '../src/state/moderating.js';

const free = { audio: false, video: false, screen: false, deafened: false };
const answer = { reason: '', ms: undefined, to: '' };
const bob = { userId: 'bob', name: 'Bob' };

it('each change is one sentence, and none without a change', () => {
  expect(restrictionNews(free, free)).toEqual([]);
  const news = restrictionNews(free, { ...free, audio: true, deafened: true });
  expect(news.map(({ bad }) => bad)).toEqual([true, true]);
  expect(news[0]?.text).toMatch(/muted you/);
});

it('who is let speak again is told that the microphone is not on by that', () => {
  const [news] = restrictionNews({ ...free, audio: true, video: true }, free);
  expect(news).toMatchObject({ what: 'audio', bad: false, text: expect.stringContaining('muted until you unmute') as string });
});

it('a ban ends when its time is over, or never', () => {
  const ban = { kind: 'ban', ...bob } as const;
  expect(commandFor(ban, { ...answer, ms: 600_000 }, 0)).toEqual({ action: 'ban', userId: 'bob', until: '1970-01-01T00:10:00.000Z' });
  expect(commandFor(ban, answer, 0)).toEqual({ action: 'ban', userId: 'bob' });
});

it('a reason is one line, and left out when there is none', () => {
  const kick = { kind: 'kick', ...bob } as const;
  expect(commandFor(kick, { ...answer, reason: ' too \n loud ' }, 0)).toEqual({ action: 'kick', userId: 'bob', reason: 'too loud' });
  expect(commandFor(kick, { ...answer, reason: '  ' }, 0)).toEqual({ action: 'kick', userId: 'bob' });
  expect(commandFor({ kind: 'end-call' }, { ...answer, reason: 'night' }, 0)).toEqual({ action: 'end-call', reason: 'night' });
});

it('a channel to move to is taken without the space around it', () => {
  expect(commandFor({ kind: 'move', ...bob }, { ...answer, to: ' den ' }, 0)).toEqual({ action: 'move', userId: 'bob', to: 'den' });
});

it('a refusal fits what was tried', () => {
  expect(moderationRefusal(new VoiceError('PERMISSION_DENIED', 'no'))).toMatch(/moderators/);
  expect(moderationRefusal(new VoiceError('NOT_FOUND', 'no'))).toMatch(/person/);
  expect(moderationRefusal(new Error('x'))).toMatch(/server/);
});
