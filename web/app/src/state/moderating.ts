// What moderators can be asked for, and what is said to those whom it concerns.

import { VoiceError, type ModerationCommand, type Restrictions } from '@parlor/client';

import { sentenceFor, t, type MessageKey } from '../i18n/index.js';

/** What asks once more before it is done. */
export type Question = { kind: 'kick' | 'ban' | 'move'; userId: string; name: string } | { kind: 'end-call' };

/** The durations of a ban; undefined is for good. */
export const BANS: readonly { key: MessageKey; ms: number | undefined }[] = [
  { key: 'moderate.ban.10m', ms: 10 * 60_000 },
  { key: 'moderate.ban.1h', ms: 60 * 60_000 },
  { key: 'moderate.ban.1d', ms: 24 * 60 * 60_000 },
  { key: 'moderate.ban.1w', ms: 7 * 24 * 60 * 60_000 },
  { key: 'moderate.ban.ever', ms: undefined },
];

/** What the person is told of a change of what a moderator allows; one sentence each. */
export function restrictionNews(before: Restrictions, now: Restrictions): { text: string; bad: boolean; what: keyof Restrictions }[] {
  return (['audio', 'video', 'screen', 'deafened'] as const)
    .filter((what) => before[what] !== now[what])
    .map((what) => ({ what, bad: now[what], text: t(now[what] ? `moderated.${what}` : `moderated.${what}.free`) }));
}

/** Why it could not be done, in the words that fit moderation. */
export function moderationRefusal(cause: unknown): string {
  const error = cause instanceof VoiceError ? cause : new VoiceError('SERVER_ERROR', String(cause));
  if (error.code === 'PERMISSION_DENIED') return t('moderate.denied');
  if (error.code === 'NOT_FOUND') return t('moderate.gone');
  return sentenceFor(error);
}

/** The command for an answered question. */
export function commandFor(
  question: Question,
  answer: { reason: string; ms: number | undefined; to: string },
  now: number,
): ModerationCommand {
  const reason = answer.reason.trim().replace(/\s+/gu, ' ');
  const why = reason === '' ? {} : { reason };
  switch (question.kind) {
    case 'kick':
      return { action: 'kick', userId: question.userId, ...why };
    case 'ban':
      return {
        action: 'ban',
        userId: question.userId,
        ...(answer.ms !== undefined && { until: new Date(now + answer.ms).toISOString() }),
        ...why,
      };
    case 'move':
      return { action: 'move', userId: question.userId, to: answer.to.trim() };
    case 'end-call':
      return { action: 'end-call', ...why };
  }
}
