// What the tiles show of oneself and the others.

import type { Participant, Self } from '@parlor/client';
import { expect, it } from 'vitest';

import { peopleOf, screensOf } from '../src/components/people.js';
import { hueOf, initials } from '../src/lib/person.js';

const track = (id: string) => ({ id }) as MediaStreamTrack;
const restrictions = { audio: false, video: false, screen: false, deafened: false };
const self: Self = {
  userId: 'me',
  muted: false,
  deafened: false,
  speaking: false,
  microphone: 'on',
  cutOff: false,
  unreached: false,
  restrictions,
  media: {},
};
const bob: Participant = {
  userId: 'bob',
  name: 'Bob',
  role: 'speaker',
  moderator: false,
  muted: true,
  deafened: false,
  speaking: false,
  serverMuted: { audio: true, video: false, screen: false },
  serverDeafened: true,
  media: {},
};

it('oneself comes first', () => {
  expect(peopleOf(self, 'Ann', [bob]).map((p) => [p.name, p.isSelf])).toEqual([
    ['Ann', true],
    ['Bob', false],
  ]);
});

it('a camera that is paused shows the initials, not a frozen picture', () => {
  const paused = { ...bob, media: { camera: { track: track('c'), paused: true } } };
  const running = { ...bob, media: { camera: { track: track('c'), paused: false } } };
  expect(peopleOf(self, 'Ann', [paused])[1]?.camera).toBeUndefined();
  expect(peopleOf(self, 'Ann', [running])[1]?.camera).toEqual({ id: 'c' });
});

it('what moderators have taken from somebody, and what they are here, is of the person', () => {
  const [me, him] = peopleOf(self, 'Ann', [bob], { role: 'spectator', moderator: true });
  expect(me).toMatchObject({ role: 'spectator', moderator: true, restrictions: { audio: false, deafened: false } });
  expect(him).toMatchObject({ role: 'speaker', moderator: false, restrictions: { audio: true, video: false, deafened: true } });
});

it('the screens of the others come before one’s own', () => {
  const others = [{ ...bob, media: { screen: { track: track('s'), paused: false } } }];
  expect(screensOf({ ...self, media: { screen: track('mine') } }, 'Ann', others).map((s) => s.userId)).toEqual(['bob', 'me']);
});

it.each([
  ['Ann', 'A'],
  ['ann lee', 'AL'],
  ['  Jean  Luc Picard ', 'JP'],
  ['𝒵oe', '𝒵'],
  ['Zoë (she/her)', 'Z'],
  ['"The Rock" Johnson', 'RJ'],
  ['José', 'J'],
  // A letter with its marks, an emoji with its parts: Malayalam, Persian, a family, a flag, a region.
  ['ശ്രീ കുമാർ', 'ശ്രീകു'],
  ['علی\u200cرضا', 'ع'],
  ['👨\u200d👩\u200d👧 Brown', '👨\u200d👩\u200d👧B'],
  ['🏳\ufe0f\u200d🌈', '🏳\ufe0f\u200d🌈'],
  ['🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}', '🏴\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}'],
  ['', '?'],
])('the initials of %j are %s', (name, letters) => {
  expect(initials(name)).toBe(letters);
});

it('a colour is the same for the same user, and in the circle', () => {
  expect(hueOf('bob')).toBe(hueOf('bob'));
  for (const id of ['a', 'b', 'guest-1', 'ü'.repeat(128)]) expect(hueOf(id)).toSatisfy((hue: number) => hue >= 0 && hue < 360);
});
