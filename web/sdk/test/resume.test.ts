// A socket that breaks while the server keeps the stay: media goes on, and nobody sees one leave.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { VoiceError } from '../src/errors.js';
import { AT_LARGE, FREE, joined, person, producer, settle, setup } from './fakes.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const alice = person('alice', 'Alice', { producers: [producer('voice', 'alice')] });
const bob = person('bob', 'Bob', { producers: [producer('voice-of-bob', 'bob')] });

/** In a call with Alice, camera on, on a server that keeps a stay for ten seconds. */
async function inCall() {
  const test = setup();
  test.server.join = joined({ participants: [alice], resumeGraceMs: 10_000 });
  await test.service.joinChannel('lobby');
  await test.service.toggleVideo();
  await settle();
  test.events.length = 0;
  return test;
}

describe('a stay that is resumed', () => {
  it('goes on with the same transports, producers and consumers', async () => {
    const test = await inCall();
    const states: string[] = [];
    test.service.on('state', ({ state }) => states.push(state));
    test.server.drop();
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.service.participants[0]?.media.mic).toBeDefined();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.server.payloads('voice:resume')).toEqual([{ channelId: 'lobby', resumeToken: 'token-1' }]);
    expect(test.events).toEqual(['connecting', 'connected', 'resumed']);
    expect(states).toEqual([]);
    expect(test.rtcs.length).toBe(1);
    expect([test.rtc.send?.closed, test.rtc.recv?.closed]).toEqual([false, false]);
    expect(test.rtc.producers.some((p) => p.closed)).toBe(false);
    expect(test.rtc.consumers.some((c) => c.closed)).toBe(false);
    expect(test.server.count('voice:join')).toBe(1);
    expect(test.server.count('voice:rtc:produce')).toBe(2);
    expect(test.server.count('voice:rtc:consume')).toBe(1);
  });

  it('takes the new token for the next time', async () => {
    const test = await inCall();
    test.server.resumed = { resumeToken: 'token-2' };
    for (let i = 0; i < 2; i++) {
      test.server.drop();
      await vi.advanceTimersByTimeAsync(1_000);
    }
    expect(test.server.payloads('voice:resume')).toMatchObject([{ resumeToken: 'token-1' }, { resumeToken: 'token-2' }]);
  });

  it('makes good what the others did meanwhile', async () => {
    const test = await inCall();
    const told: string[] = [];
    test.service.on('participant:left', ({ name }) => told.push(`${name} left`));
    test.service.on('participant:joined', ({ name }) => told.push(`${name} joined`));
    test.server.drop();
    test.server.resumed = { participants: [bob], own: { ...test.server.made, consumers: [] } };
    await vi.advanceTimersByTimeAsync(1_000);
    expect(told).toEqual(['Alice left', 'Bob joined']);
    expect(test.rtc.consumers.map((c) => [c.producerId, c.closed])).toEqual([
      ['voice', true],
      ['voice-of-bob', false],
    ]);
    expect(test.audio.playing.size).toBe(1);
  });

  it('receives anew what the server no longer sends, and has it forget what never arrived', async () => {
    const test = await inCall();
    test.server.drop();
    test.server.resumed = { own: { ...test.server.made, consumers: ['stray'] } };
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.rtc.consumers.map((c) => c.closed)).toEqual([true, false]);
    expect(test.server.payloads('voice:rtc:closeConsumer')).toEqual([{ consumerId: 'stray' }]);
    expect(test.service.participants[0]?.media.mic).toBeDefined();
  });

  it('ends what the server closed of one’s own, and has it forget what was made unknown to us', async () => {
    const test = await inCall();
    const [mic = ''] = test.server.made.producers;
    test.server.drop();
    test.server.resumed = { permissions: FREE, own: { ...test.server.made, producers: [mic, 'stray'] } };
    const lost: unknown[] = [];
    test.service.on('entitlement', (change) => lost.push(change.lost));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio']);
    expect(test.server.payloads('voice:rtc:closeProducer')).toEqual([{ producerId: 'stray' }]);
    expect(lost).toEqual([['VIDEO_CALLING', 'SCREEN_SHARE']]);
  });

  it('sends what was turned on in between, and tells of a mute', async () => {
    const test = await inCall();
    test.server.drop();
    await test.service.toggleScreenShare();
    expect(await test.service.toggleMute()).toBe(true);
    expect(test.rtc.producers[0]?.paused).toBe(true);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO_SCREEN');
    expect(test.server.payloads('voice:state:update')).toEqual([{ muted: true, deafened: false }]);
    expect(test.events.filter((event) => event.startsWith('error'))).toEqual([]);
  });

  it('restarts ICE at once where media had broken too', async () => {
    const test = await inCall();
    test.rtc.send?.handler.onState('connected');
    test.server.drop();
    test.rtc.send?.handler.onState('disconnected');
    await vi.advanceTimersByTimeAsync(1_001);
    expect(test.rtc.iceRestarts.length).toBe(1);
  });

  it('does not lose what the server says in one packet with the reply', async () => {
    const test = await inCall();
    test.server.drop();
    test.server.answer('voice:resume', () => {
      queueMicrotask(() => test.server.push('voice:participant:joined', bob));
      return { ...test.server.join, resumed: true, own: test.server.made };
    });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.participants.map((p) => p.name)).toEqual(['Alice', 'Bob']);
  });

  it('is what a moderator made of it', async () => {
    const test = await inCall();
    test.server.drop();
    test.server.resumed = {
      state: { muted: false, deafened: false, speaking: false, ...AT_LARGE, serverMuted: { audio: true, video: false, screen: false } },
    };
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.self.restrictions.audio).toBe(true);
    expect(test.rtc.producers[0]?.paused).toBe(true);
  });
});

describe('a stay that cannot be resumed', () => {
  it('is replaced by another at once when the server has forgotten it', async () => {
    const test = await inCall();
    test.server.refuse('voice:resume', 'SESSION_EXPIRED');
    test.server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.events).toEqual(['connecting', 'left SESSION_EXPIRED, rejoining', 'connected', 'joined again']);
    expect(test.rtcs.length).toBe(2);
    expect(test.rtcs[0]?.send?.closed).toBe(true);
    expect(test.server.count('voice:join')).toBe(2);
  });

  it('is replaced when a transport did not survive the break', async () => {
    const test = await inCall();
    test.server.resumed = { own: { ...test.server.made, transports: [] } };
    test.server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.server.count('voice:leave')).toBe(1);
    expect(test.rtcs.length).toBe(2);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
  });

  it('is given up when the server keeps it no longer', async () => {
    const test = await inCall();
    test.server.refuseConnects.push('UNREACHABLE', 'UNREACHABLE', 'UNREACHABLE');
    test.server.drop();
    await vi.advanceTimersByTimeAsync(9_900);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    await vi.advanceTimersByTimeAsync(200);
    expect(test.service.state).toBe('DISCONNECTED');
    expect(test.events).toEqual(['connecting', 'left DISCONNECTED, rejoining']);
    expect(test.service.participants[0]?.media.mic).toBeUndefined();
    await vi.advanceTimersByTimeAsync(5_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.server.count('voice:resume')).toBe(0);
  });

  it('is resumed after all when the connection breaks once more on the way', async () => {
    const test = await inCall();
    test.server.answer('voice:resume', () => {
      test.server.drop();
      return Promise.reject(new VoiceError('DISCONNECTED', 'gone'));
    });
    test.server.drop();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(test.events).toEqual(['connecting', 'connected', 'resumed']);
    expect(test.server.count('voice:resume')).toBe(2);
    expect(test.rtcs.length).toBe(1);
  });

  it('waits as long as the server asks, and resumes then', async () => {
    const test = await inCall();
    test.server.refuse('voice:resume', 'RATE_LIMITED', { retryAfterMs: 5_000 });
    test.server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    await vi.advanceTimersByTimeAsync(4_900);
    expect(test.server.count('voice:resume')).toBe(1);
    await vi.advanceTimersByTimeAsync(100);
    expect(test.events).toEqual(['connecting', 'connected', 'resumed']);
  });

  it('is left by who leaves meanwhile', async () => {
    const test = await inCall();
    test.server.drop();
    await test.service.leaveChannel();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(test.server.count('voice:resume')).toBe(0);
    expect(test.capture.live).toEqual([]);
    expect(test.rtc.send?.closed).toBe(true);
  });

  it('ends with media that cannot be restored, and then it is joined anew as soon as that can be', async () => {
    const test = await inCall();
    test.server.connect = () => new Promise(() => {});
    test.server.drop();
    test.rtc.send?.handler.onState('failed');
    await vi.advanceTimersByTimeAsync(9_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(test.events.at(-1)).toBe('left DISCONNECTED, rejoining');
    expect(test.service.connection).toBe('connecting');
    expect(test.capture.live.length).toBe(2);
  });

  it('ends for good with who may not come back', async () => {
    const test = await inCall();
    test.server.refuse('voice:resume', 'PERMISSION_DENIED');
    test.server.refuse('voice:join', 'PERMISSION_DENIED');
    test.server.drop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(test.events.at(-1)).toBe('left PERMISSION_DENIED');
    expect(test.server.count('voice:join')).toBe(2);
    expect(test.capture.live).toEqual([]);
  });
});

it('a break in the moment of success is repaired like the first', async () => {
  const test = await inCall();
  test.service.once('resumed', () => test.server.drop());
  test.server.drop();
  await vi.advanceTimersByTimeAsync(3_000);
  expect(test.service.connection).toBe('connected');
  expect(test.server.connected).toBe(true);
  expect(test.server.count('voice:resume')).toBe(2);
  expect(test.rtcs.length).toBe(1);
});

describe('a picture whose slot was given on during the loss', () => {
  /** Back, without one's own picture; others have every slot. */
  async function back(test: Awaited<ReturnType<typeof inCall>>, lost: number) {
    const producers = test.server.made.producers.filter((_, i) => i !== lost);
    test.server.drop();
    test.server.resumed = { own: { ...test.server.made, producers } };
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED', { current: 4, max: 4 });
    await vi.advanceTimersByTimeAsync(1_000);
  }

  it('is waited for again, with the light off, and begins by itself when it is its turn', async () => {
    const test = await inCall();
    await back(test, 1);
    expect(test.service.videoQueue).toEqual({ camera: { position: 2, current: 4, max: 4 } });
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio']);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    test.server.push('voice:slot:granted', { source: 'camera', current: 4, max: 4 });
    await settle();
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.service.self.media.camera).toBeDefined();
    expect(test.server.count('voice:slot:release')).toBe(0);
  });

  it('goes on at once where a slot is free again', async () => {
    const test = await inCall();
    const [mic = ''] = test.server.made.producers;
    test.server.drop();
    test.server.resumed = { own: { ...test.server.made, producers: [mic] } };
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.server.count('voice:rtc:produce')).toBe(3);
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio', 'video']);
  });

  it('is a screen that is chosen still, and whose sound is not heard alone', async () => {
    const test = await inCall();
    test.capture.withScreenAudio = true;
    await test.service.toggleScreenShare();
    await settle();
    const [screen, sound] = test.server.made.producers.slice(2);
    await back(test, 2);
    expect(test.service.videoQueue).toEqual({ screen: { position: 2, current: 4, max: 4 } });
    expect(test.server.payloads('voice:rtc:closeProducer')).toEqual([{ producerId: sound }]);
    expect([screen, sound].map((id) => test.rtc.producers.find((p) => p.id === id)?.closed)).toEqual([true, true]);
    test.server.push('voice:slot:granted', { source: 'screen', current: 4, max: 4 });
    await settle();
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO_SCREEN');
    expect(test.rtc.producers.filter((p) => p.source === 'screen' && !p.closed).length).toBe(2);
  });

  it('stays off when a moderator has turned it off meanwhile', async () => {
    const test = await inCall();
    const [mic = ''] = test.server.made.producers;
    test.server.drop();
    const serverMuted = { audio: false, video: true, screen: false };
    const state = { muted: false, deafened: false, speaking: false, ...AT_LARGE, serverMuted };
    test.server.resumed = { state, own: { ...test.server.made, producers: [mic] } };
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio']);
    expect([test.server.count('voice:rtc:produce'), test.server.count('voice:slot:request')]).toEqual([2, 0]);
  });
});
