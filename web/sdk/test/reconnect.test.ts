// After a loss: the waits, the deadline over all, what is restored, and what is not worth trying.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { VoiceError } from '../src/errors.js';
import { joined, person, producer, settle, setup } from './fakes.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('when the connection breaks', () => {
  it('the service is back after a second, with the same tracks', async () => {
    const test = setup();
    await test.service.joinChannel('lobby');
    await test.service.toggleVideo();
    const tracks = [...test.capture.live];
    test.server.drop();
    expect(test.service.state).toBe('DISCONNECTED');
    expect(test.service.connection).toBe('connecting');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.events.slice(-4)).toEqual(['connecting', 'left DISCONNECTED, rejoining', 'connected', 'joined again']);
    expect(test.capture.live).toEqual(tracks);
    expect(test.rtcs.length).toBe(2);
    expect(test.rtc.producers.map((p) => p.options.track)).toEqual(tracks);
  });

  it('the people stay in view, what they sent is gone until it is received anew', async () => {
    const { server, service, audio } = setup();
    const alice = person('alice', 'Alice');
    server.join = joined({ participants: [{ ...alice, producers: [producer('voice', 'alice')] }] });
    await service.joinChannel('lobby');
    await settle();
    expect(service.participants[0]?.media.mic).toBeDefined();
    server.drop();
    expect(service.participants.map((p) => [p.name, p.media.mic])).toEqual([['Alice', undefined]]);
    expect(audio.playing.size).toBe(0);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.participants[0]?.media.mic).toBeDefined();
    expect(audio.playing.size).toBe(1);
  });

  it('it is tried after 1, 2, 4 and 8 seconds and once more within 30 seconds, then given up', async () => {
    const { server, service, capture, events } = setup();
    await service.joinChannel('lobby');
    const start = Date.now();
    const times: number[] = [];
    server.connect = () => {
      times.push(Math.round((Date.now() - start) / 1000));
      return Promise.reject(new VoiceError('UNREACHABLE', 'no'));
    };
    server.drop();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(times).toEqual([1, 3, 7, 15, 25]);
    expect(events.slice(-2)).toEqual(['disconnected', 'left UNREACHABLE']);
    expect(capture.live).toEqual([]);
    expect(service.channel).toBeUndefined();
  });

  it('30 seconds is the end, also of an attempt that hangs', async () => {
    const { server, service, events } = setup();
    await service.joinChannel('lobby');
    server.connect = () => new Promise(() => {});
    server.drop();
    await vi.advanceTimersByTimeAsync(29_900);
    expect(service.connection).toBe('connecting');
    await vi.advanceTimersByTimeAsync(200);
    expect(service.connection).toBe('disconnected');
    expect(events.at(-1)).toBe('left TIMEOUT');
  });

  it('an attempt that succeeds after it was given up changes nothing any more', async () => {
    const { server, service, rtcs } = setup();
    await service.joinChannel('lobby');
    let open = () => {};
    server.connect = () => new Promise((resolve) => (open = resolve));
    server.drop();
    await vi.advanceTimersByTimeAsync(31_000);
    open();
    await settle();
    expect(service.state).toBe('DISCONNECTED');
    expect(rtcs.length).toBe(1);
  });

  it('the time the server asks to wait is waited', async () => {
    const { server, service } = setup();
    await service.joinChannel('lobby');
    server.refuse('voice:join', 'RATE_LIMITED', { retryAfterMs: 5_000 });
    server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(server.count('voice:join')).toBe(2);
    await vi.advanceTimersByTimeAsync(4_900);
    expect(server.count('voice:join')).toBe(2);
    await vi.advanceTimersByTimeAsync(100);
    expect(server.count('voice:join')).toBe(3);
    expect(service.state).toBe('PRODUCING_AUDIO');
  });

  it('an old entry of the same user is waited out', async () => {
    const { server, service, events } = setup();
    await service.joinChannel('lobby');
    server.refuse('voice:join', 'ALREADY_IN_CHANNEL');
    server.drop();
    await vi.advanceTimersByTimeAsync(3_000);
    expect(service.state).toBe('PRODUCING_AUDIO');
    expect(events.some((event) => event.startsWith('error'))).toBe(false);
  });

  it.each(['PERMISSION_DENIED', 'CHANNEL_FULL', 'UNAUTHENTICATED'] as const)(
    '%s ends the tries: waiting does not cure it',
    async (code) => {
      const { server, service, events, capture } = setup();
      await service.joinChannel('lobby');
      server.refuse('voice:join', code);
      server.drop();
      await vi.advanceTimersByTimeAsync(60_000);
      expect(server.count('voice:join')).toBe(2);
      expect(events.at(-1)).toBe(`left ${code}`);
      expect(capture.live).toEqual([]);
    },
  );

  it('leaving ends the tries', async () => {
    const { server, service, events } = setup();
    await service.joinChannel('lobby');
    server.drop();
    await service.leaveChannel();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.count('voice:join')).toBe(1);
    expect(service.connection).toBe('disconnected');
    expect(events.at(-1)).toBe('left by choice');
  });

  it('a break during the rejoin is one more failed try, not a second row of tries', async () => {
    const { server, service } = setup();
    await service.joinChannel('lobby');
    server.answer('voice:rtc:connectTransport', () => {
      server.drop();
      return new Promise(() => {});
    });
    server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.state).toBe('DISCONNECTED');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(service.state).toBe('PRODUCING_AUDIO');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.count('voice:join')).toBe(3);
  });
});

describe('when the server puts one out', () => {
  it('with rejoin, the service rejoins on the same connection', async () => {
    const { server, service } = setup();
    await service.joinChannel('lobby');
    server.push('voice:left', { channelId: 'lobby', reason: 'media-lost', rejoin: true });
    expect(service.state).toBe('DISCONNECTED');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(service.state).toBe('PRODUCING_AUDIO');
  });

  it('without rejoin, it stays out', async () => {
    const { server, service, events, capture } = setup();
    await service.joinChannel('lobby');
    server.push('voice:left', { channelId: 'lobby', reason: 'kicked', rejoin: false });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(server.count('voice:join')).toBe(1);
    expect(events.at(-1)).toBe('left NOT_IN_CHANNEL');
    expect(capture.live).toEqual([]);
  });
});

describe('when the media connection breaks', () => {
  it('ICE is restarted with the new credentials of the server', async () => {
    const test = setup();
    await test.service.joinChannel('lobby');
    test.rtc.send?.handler.onState('connected');
    test.rtc.send?.handler.onState('failed');
    await vi.advanceTimersByTimeAsync(0);
    expect(test.server.count('voice:rtc:restartIce')).toBe(1);
    expect(test.rtc.iceRestarts.length).toBe(1);
    test.rtc.send?.handler.onState('connected');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(test.server.count('voice:rtc:restartIce')).toBe(1);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });

  it('and does not come back by three restarts, the channel is joined anew', async () => {
    const test = setup();
    await test.service.joinChannel('lobby');
    test.rtc.send?.handler.onState('failed');
    await vi.advanceTimersByTimeAsync(26_000);
    expect(test.server.count('voice:rtc:restartIce')).toBe(3);
    expect(test.events).toContain('left TRANSPORT_FAILED, rejoining');
    // The socket is still there, and with it the entry that is to be given up first.
    expect(test.server.count('voice:leave')).toBe(1);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.rtcs.length).toBe(2);
  });
});
