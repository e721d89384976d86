// What the tiles show: oneself and the others, in one shape.

import type { Participant, Restrictions, Role, Self } from '@parlor/client';

/** A tile of the stage. */
export interface Person {
  userId: string;
  name: string;
  isSelf: boolean;
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
  /** Has no microphone: listens only. Known of oneself. */
  listening: boolean;
  /** Nothing of them gets through at the moment. Known of oneself. */
  cutOff: boolean;
  role: Role;
  moderator: boolean;
  /** What a moderator has taken away. */
  restrictions: Restrictions;
  camera: MediaStreamTrack | undefined;
}

/** A screen that somebody shares. */
export interface Screen {
  userId: string;
  name: string;
  isSelf: boolean;
  track: MediaStreamTrack;
}

/** What somebody is in the channel. */
interface Standing {
  role: Role;
  moderator: boolean;
}

/** Oneself first, then the others as they came. */
export function peopleOf(self: Self, name: string, others: readonly Participant[], standing?: Standing): Person[] {
  const { userId, muted, deafened, speaking, microphone, cutOff, media, restrictions } = self;
  const me: Person = {
    userId,
    name,
    isSelf: true,
    muted,
    deafened,
    speaking,
    cutOff,
    restrictions,
    role: standing?.role ?? 'speaker',
    moderator: standing?.moderator ?? false,
    listening: microphone === 'unavailable' || (microphone === 'off' && !muted),
    camera: media.camera,
  };
  return [me, ...others.map(personOf)];
}

function personOf({ media: { camera }, serverMuted, serverDeafened, ...person }: Participant): Person {
  return {
    ...person,
    isSelf: false,
    listening: false,
    cutOff: false,
    restrictions: { ...serverMuted, deafened: serverDeafened },
    camera: camera && !camera.paused ? camera.track : undefined,
  };
}

/** The screens of the others come first: the user's own is on the desk already. */
export function screensOf(self: Self, name: string, others: readonly Participant[]): Screen[] {
  const screens = others.flatMap(({ userId, name, media: { screen } }) =>
    screen && !screen.paused ? [{ userId, name, isSelf: false, track: screen.track }] : [],
  );
  return self.media.screen ? [...screens, { userId: self.userId, name, isSelf: true, track: self.media.screen }] : screens;
}
