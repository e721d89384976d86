// @vitest-environment happy-dom
// How sound is played: one element a track, the volume a person's, and what the browser blocks.

import { beforeEach, describe, expect, it, vi } from 'vitest';

import { pageAudio } from '../src/rtc/playback.js';

/** An audio element of a browser that plays sound, or not before somebody clicks. */
class FakeElement {
  static readonly all: FakeElement[] = [];
  static allowed = true;
  srcObject: unknown = null;
  volume = 1;
  muted = false;
  playing = false;
  constructor() {
    FakeElement.all.push(this);
  }
  play(): Promise<void> {
    if (!FakeElement.allowed) return Promise.reject(new DOMException('blocked', 'NotAllowedError'));
    this.playing = true;
    return Promise.resolve();
  }
  pause(): void {
    this.playing = false;
  }
}

const track = {} as MediaStreamTrack;

beforeEach(() => {
  FakeElement.all.length = 0;
  FakeElement.allowed = true;
  vi.stubGlobal('Audio', FakeElement);
  vi.stubGlobal('MediaStream', class {});
});

function output() {
  const blocked: boolean[] = [];
  return { audio: pageAudio((is) => blocked.push(is)), blocked };
}

describe('sound', () => {
  it('plays at once, and stops when it is removed', () => {
    const { audio } = output();
    audio.add('c1', 'alice', track);
    expect(FakeElement.all[0]?.playing).toBe(true);
    audio.remove('c1');
    expect(FakeElement.all[0]).toMatchObject({ playing: false, srcObject: null });
  });

  it('has the volume of its person, also what begins later, and never more than 1', () => {
    const { audio } = output();
    audio.add('c1', 'alice', track);
    audio.setVolume('alice', 0.3);
    audio.add('c2', 'alice', track);
    audio.add('c3', 'bob', track);
    audio.setVolume('bob', 7);
    expect(FakeElement.all.map((element) => element.volume)).toEqual([0.3, 0.3, 1]);
  });

  it('is silent when one is deaf, also what begins later', () => {
    const { audio } = output();
    audio.add('c1', 'alice', track);
    audio.setDeafened(true);
    audio.add('c2', 'bob', track);
    expect(FakeElement.all.map((element) => element.muted)).toEqual([true, true]);
    audio.setDeafened(false);
    expect(FakeElement.all.map((element) => element.muted)).toEqual([false, false]);
  });
});

describe('sound the browser blocks', () => {
  it('is said once, and again when it plays after a click', async () => {
    const { audio, blocked } = output();
    FakeElement.allowed = false;
    audio.add('c1', 'alice', track);
    audio.add('c2', 'bob', track);
    await vi.waitFor(() => expect(blocked).toEqual([true]));
    expect(await audio.resume()).toBe(false);
    FakeElement.allowed = true;
    expect(await audio.resume()).toBe(true);
    expect(blocked).toEqual([true, false]);
    expect(FakeElement.all.every((element) => element.playing)).toBe(true);
  });

  it('is no longer a matter when nobody is left to be heard', async () => {
    const { audio, blocked } = output();
    FakeElement.allowed = false;
    audio.add('c1', 'alice', track);
    await vi.waitFor(() => expect(blocked).toEqual([true]));
    audio.clear();
    expect(blocked).toEqual([true, false]);
  });
});
