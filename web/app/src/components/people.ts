// What the tiles show: oneself and the others, in one shape.

import type { Participant, Self } from '@parlor/client';

/** One tile. */
export interface Person {
  userId: string;
  name: string;
  isSelf: boolean;
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
  /** Has no microphone: listens only. Known of oneself. */
  listening: boolean;
  camera: MediaStreamTrack | undefined;
}

/** One shared screen. */
export interface Screen {
  userId: string;
  name: string;
  isSelf: boolean;
  track: MediaStreamTrack;
}

/** Oneself first, then the others as they came. */
export function peopleOf(self: Self, name: string, others: readonly Participant[]): Person[] {
  const { userId, muted, deafened, speaking, microphone, media } = self;
  const me: Person = {
    userId,
    name,
    isSelf: true,
    muted,
    deafened,
    speaking,
    listening: microphone === 'unavailable',
    camera: media.camera,
  };
  return [
    me,
    ...others.map(({ userId, name, muted, deafened, speaking, media: { camera } }) => {
      const picture = camera && !camera.paused ? camera.track : undefined;
      return { userId, name, isSelf: false, muted, deafened, speaking, listening: false, camera: picture };
    }),
  ];
}

/** The screens of the others first: one's own is on the desk already. */
export function screensOf(self: Self, name: string, others: readonly Participant[]): Screen[] {
  const screens = others.flatMap(({ userId, name, media: { screen } }) =>
    screen && !screen.paused ? [{ userId, name, isSelf: false, track: screen.track }] : [],
  );
  return self.media.screen ? [...screens, { userId: self.userId, name, isSelf: true, track: self.media.screen }] : screens;
}
