// Joining and leaving: the order of things, refusals, retries, and that nothing stays behind.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import { VoiceError } from '../src/errors.js';
import { joined, person, producer, settle, setup } from './fakes.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const alice = person('alice', 'Alice');

describe('a join', () => {
  it('sends join and both transports at once, then connects and produces without waiting', async () => {
    const { server, service, withoutMedia } = setup();
    withoutMedia();
    let answer = (_: unknown) => {};
    server.answer('voice:join', () => new Promise((resolve) => (answer = resolve as never)));
    const done = service.joinChannel('lobby');
    await settle();
    expect(server.requests.map(({ event }) => event)).toEqual(['voice:join', 'voice:rtc:createTransport', 'voice:rtc:createTransport']);
    // The server never answers the connect: the producer is asked for all the same.
    server.answer('voice:rtc:connectTransport', () => new Promise(() => {}));
    answer(joined());
    await settle();
    expect(server.requests.slice(3).map(({ event }) => event)).toEqual(['voice:rtc:connectTransport', 'voice:rtc:produce']);
    done.catch(() => {});
    await service.leaveChannel();
  });

  it('ends in PRODUCING_AUDIO, with the channel, the people and a green light', async () => {
    const { server, service, events } = setup();
    server.join = joined({ participants: [{ ...alice, producers: [] }] });
    await service.joinChannel('lobby');
    expect(service.state).toBe('PRODUCING_AUDIO');
    expect(service.channel?.name).toBe('Lobby');
    expect(service.participants.map((p) => p.name)).toEqual(['Alice']);
    expect(events).toEqual(['connecting', 'connected', 'joined']);
  });

  it('consumes everybody in parallel', async () => {
    const { server, service, audio } = setup();
    const waiting: (() => void)[] = [];
    for (let i = 0; i < 3; i++)
      server.answer('voice:rtc:consume', () => new Promise((_, reject) => waiting.push(() => reject(new Error('x')))));
    server.join = joined({ participants: [{ ...alice, producers: ['a', 'b', 'c'].map((id) => producer(id, 'alice')) }] });
    await service.joinChannel('lobby');
    expect(waiting.length).toBe(3);
    expect(audio.playing.size).toBe(0);
  });

  it('does not lose what the server says in one packet with the join reply', async () => {
    const { server, service } = setup();
    server.answer('voice:join', () => {
      const reply = joined();
      // In the same turn as the reply, so before anybody could read it.
      queueMicrotask(() => server.push('voice:participant:joined', { ...alice, producers: [producer('early', 'alice')] }));
      return reply;
    });
    await service.joinChannel('lobby');
    await settle();
    expect(service.participants.map((p) => p.userId)).toEqual(['alice']);
    expect(server.payloads('voice:rtc:consume')).toMatchObject([{ producerId: 'early' }]);
  });

  it('of another channel leaves the first one before', async () => {
    const { server, service } = setup();
    await service.joinChannel('lobby');
    await service.joinChannel('garden');
    const order = server.requests.filter(({ event }) => event === 'voice:join' || event === 'voice:leave').map(({ event }) => event);
    expect(order).toEqual(['voice:join', 'voice:leave', 'voice:join']);
  });
});

describe('a join that times out', () => {
  it('is tried three times more, after 1, 2 and 4 seconds', async () => {
    const { server, service, capture } = setup();
    server.refuse('voice:join', 'TIMEOUT', {}, 4);
    const done = expect(service.joinChannel('lobby')).rejects.toMatchObject({ code: 'TIMEOUT' });
    const counts: number[] = [];
    for (const wait of [0, 999, 1, 1_999, 1, 3_999, 1]) {
      await vi.advanceTimersByTimeAsync(wait);
      counts.push(server.count('voice:join'));
    }
    expect(counts).toEqual([1, 1, 2, 2, 3, 3, 4]);
    await done;
    expect(service.state).toBe('DISCONNECTED');
    expect(capture.live).toEqual([]);
  });

  it('leaves before each further try: the one before may have got through', async () => {
    const { server, service } = setup();
    server.refuse('voice:join', 'TIMEOUT');
    const done = service.joinChannel('lobby');
    await vi.advanceTimersByTimeAsync(1_000);
    await done;
    const order = server.requests.map(({ event }) => event).filter((event) => /join|leave/.test(event));
    expect(order).toEqual(['voice:join', 'voice:leave', 'voice:join']);
  });
});

describe.each(['CHANNEL_FULL', 'PERMISSION_DENIED', 'CHANNEL_NOT_FOUND', 'RATE_LIMITED', 'ALREADY_IN_CHANNEL'] as const)(
  'a join refused with %s',
  (code) => {
    it('is thrown once, not tried again, told to no listener, and leaves nothing open', async () => {
      const { server, service, capture, events } = setup();
      vi.spyOn(console, 'info').mockImplementation(() => {});
      server.refuse('voice:join', code, { retryAfterMs: 3_000 });
      await expect(service.joinChannel('lobby')).rejects.toMatchObject({ code, retryAfterMs: 3_000 });
      await vi.advanceTimersByTimeAsync(60_000);
      expect(server.count('voice:join')).toBe(1);
      expect(events).toEqual(['connecting', 'disconnected']);
      expect(service.state).toBe('DISCONNECTED');
      expect(capture.live).toEqual([]);
      expect(server.connected).toBe(false);
    });
  },
);

describe('a channel whose calls go from client to client', () => {
  it('is refused in words a person understands, and left again', async () => {
    const { server, service, events } = setup();
    const mesh = joined({ topology: 'mesh' });
    delete mesh.sfuEndpoint;
    delete mesh.routerRtpCapabilities;
    server.join = mesh;
    const refusal = { code: 'INVALID_STATE', details: { reason: 'mesh' } };
    await expect(service.joinChannel('lobby')).rejects.toMatchObject(refusal);
    expect(events).toEqual(['connecting', 'disconnected']);
    expect(server.connected).toBe(false);
  });
});

describe('a join that fails half-way', () => {
  it('tries a transport twice more and then comes back as after a loss', async () => {
    const { server, service, events } = setup();
    server.refuse('voice:rtc:createTransport', 'TRANSPORT_FAILED', {}, 5);
    const done = service.joinChannel('lobby');
    await vi.advanceTimersByTimeAsync(2_000);
    // Three for the one that gives up first, which ends the tries of the other.
    expect(server.count('voice:rtc:createTransport')).toBe(5);
    await vi.advanceTimersByTimeAsync(1_000);
    await done;
    expect(service.state).toBe('PRODUCING_AUDIO');
    expect(events).toContain('left TRANSPORT_FAILED, rejoining');
    expect(events.at(-1)).toBe('joined again');
  });

  it('takes a transport as connected that says so at the second try', async () => {
    const { server, service, events } = setup();
    server.refuse('voice:rtc:connectTransport', 'TIMEOUT');
    server.refuse('voice:rtc:connectTransport', 'INVALID_STATE');
    const done = service.joinChannel('lobby');
    await vi.advanceTimersByTimeAsync(1_000);
    await done;
    expect(service.state).toBe('PRODUCING_AUDIO');
    expect(events).toEqual(['connecting', 'connected', 'joined']);
  });

  it('says UNREACHABLE when the server is not there', async () => {
    const { server, service, capture } = setup();
    server.refuseConnects.push('UNREACHABLE');
    await expect(service.joinChannel('lobby')).rejects.toMatchObject({ code: 'UNREACHABLE' });
    await settle();
    expect(capture.live).toEqual([]);
  });

  it('can be tried again at once', async () => {
    const { server, service } = setup();
    server.refuse('voice:join', 'CHANNEL_FULL');
    await expect(service.joinChannel('lobby')).rejects.toBeInstanceOf(VoiceError);
    await service.joinChannel('lobby');
    expect(service.state).toBe('PRODUCING_AUDIO');
  });
});

describe('without a microphone', () => {
  it('one joins and listens', async () => {
    const test = setup();
    test.capture.microphoneError = new VoiceError('DEVICE_DENIED', 'no', { device: 'microphone' });
    test.server.join = joined({ participants: [{ ...alice, producers: [producer('voice', 'alice')] }] });
    await test.service.joinChannel('lobby');
    await settle();
    expect(test.service.state).toBe('READY');
    expect(test.service.self.microphone).toBe('unavailable');
    expect(test.events).toContain('error DEVICE_DENIED');
    expect([...test.audio.playing.values()]).toEqual(['alice']);
  });

  it('one hears the others while the question is still open', async () => {
    const test = setup();
    let answer = () => {};
    test.capture.asking = new Promise((resolve) => (answer = resolve));
    test.server.join = joined({ participants: [{ ...alice, producers: [producer('voice', 'alice')] }] });
    const done = test.service.joinChannel('lobby');
    await settle();
    expect(test.service.connection).toBe('connected');
    expect(test.audio.playing.size).toBe(1);
    answer();
    await done;
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });
});

describe('leaving', () => {
  it('closes everything on both sides and stops every device', async () => {
    const test = setup();
    test.capture.withScreenAudio = true;
    test.server.join = joined({ participants: [{ ...alice, producers: [producer('voice', 'alice')] }] });
    await test.service.joinChannel('lobby');
    await test.service.toggleVideo();
    await test.service.toggleScreenShare();
    await settle();
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO_SCREEN');
    expect(test.capture.live.length).toBe(4);
    await test.service.leaveChannel();
    expect(test.service.state).toBe('DISCONNECTED');
    expect(test.capture.live).toEqual([]);
    expect(test.rtc.producers.every((p) => p.closed)).toBe(true);
    expect(test.rtc.consumers.every((c) => c.closed)).toBe(true);
    expect([test.rtc.send?.closed, test.rtc.recv?.closed]).toEqual([true, true]);
    expect(test.audio.playing.size).toBe(0);
    expect(test.server.count('voice:leave')).toBe(1);
    expect(test.service.participants).toEqual([]);
  });

  it('ends a join that waits for the microphone, and stops the microphone that comes too late', async () => {
    const { service, capture } = setup();
    let answer = () => {};
    capture.asking = new Promise((resolve) => (answer = resolve));
    const done = expect(service.joinChannel('lobby')).rejects.toMatchObject({ code: 'CANCELLED' });
    await settle();
    await service.leaveChannel();
    await done;
    answer();
    await settle();
    expect(capture.tracks.length).toBe(1);
    expect(capture.live).toEqual([]);
  });

  it('ends a join that the server does not answer', async () => {
    const { server, service } = setup();
    server.answer('voice:join', () => new Promise(() => {}));
    const done = expect(service.joinChannel('lobby')).rejects.toMatchObject({ code: 'CANCELLED' });
    await settle();
    await service.leaveChannel();
    await done;
    expect(service.state).toBe('DISCONNECTED');
    await service.joinChannel('lobby');
    expect(service.state).toBe('PRODUCING_AUDIO');
  });

  it('and joining at once waits for the leave, and joins', async () => {
    const { server, service } = setup();
    await service.joinChannel('lobby');
    void service.leaveChannel();
    await Promise.all([service.joinChannel('garden').catch(() => {}), service.joinChannel('kitchen')]);
    expect(service.state).toBe('PRODUCING_AUDIO');
    expect(server.payloads('voice:join').at(-1)).toEqual({ channelId: 'kitchen' });
    expect(server.count('voice:join') - server.count('voice:leave')).toBe(1);
  });

  it('does nothing when there is no channel', async () => {
    const { server, service, events } = setup();
    await service.leaveChannel();
    expect(server.requests).toEqual([]);
    expect(events).toEqual([]);
  });
});
