// After a loss: the waits, what is restored, and what is not worth trying.

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

  it('it is tried after 1, 2, 4, 8 and 16 seconds, and then every 16, as long as the page is open', async () => {
    const { server, service, capture, events } = setup();
    await service.joinChannel('lobby');
    const start = Date.now();
    const times: number[] = [];
    const { connect } = server;
    server.connect = () => {
      times.push(Math.round((Date.now() - start) / 1000));
      return Promise.reject(new VoiceError('UNREACHABLE', 'no'));
    };
    server.drop();
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(times.slice(0, 7)).toEqual([1, 3, 7, 15, 31, 47, 63]);
    expect(service.connection).toBe('connecting');
    expect(capture.live.length).toBe(1);
    server.connect = connect;
    await vi.advanceTimersByTimeAsync(16_000);
    expect(events.at(-1)).toBe('joined again');
  });

  it('it is tried at once when the browser has a network again', async () => {
    const { server, service, network, events } = setup();
    await service.joinChannel('lobby');
    network.set(false);
    server.refuseConnects.push(...Array<'UNREACHABLE'>(5).fill('UNREACHABLE'));
    server.drop();
    await vi.advanceTimersByTimeAsync(32_000);
    expect(service.connection).toBe('connecting');
    network.set(true);
    await settle();
    expect(events.at(-1)).toBe('joined again');
    await service.leaveChannel();
    expect(network.watchers.size).toBe(0);
  });

  it('an attempt that hangs is begun anew at once when the network comes back', async () => {
    const { server, service, network, events } = setup();
    await service.joinChannel('lobby');
    const { connect } = server;
    server.connect = () => new Promise(() => {});
    network.set(false);
    server.drop();
    await vi.advanceTimersByTimeAsync(5_000);
    server.connect = connect;
    network.set(true);
    await settle();
    expect(events.at(-1)).toBe('joined again');
  });

  it('one that has reached the server is not begun anew', async () => {
    const { server, service, network, events } = setup();
    await service.joinChannel('lobby');
    let answer = () => {};
    server.answer('voice:join', () => new Promise((resolve) => (answer = () => resolve(server.join))));
    network.set(false);
    server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    const { closes } = server;
    network.set(true);
    await settle();
    expect([server.count('voice:join'), server.closes]).toEqual([2, closes]);
    answer();
    await settle();
    expect(events.at(-1)).toBe('joined again');
  });

  it('an attempt that hangs is followed by another', async () => {
    const { server, service, events } = setup();
    await service.joinChannel('lobby');
    const { connect } = server;
    server.connect = () => new Promise(() => {});
    server.drop();
    await vi.advanceTimersByTimeAsync(30_000);
    server.connect = connect;
    expect(service.connection).toBe('connecting');
    await vi.advanceTimersByTimeAsync(3_100);
    expect(events.at(-1)).toBe('joined again');
  });

  it('one that succeeds after all changes nothing any more', async () => {
    const { server, service, rtcs } = setup();
    await service.joinChannel('lobby');
    let open = () => {};
    const { connect } = server;
    server.connect = () => new Promise((resolve) => (open = resolve));
    server.drop();
    await vi.advanceTimersByTimeAsync(30_000);
    server.connect = connect;
    await vi.advanceTimersByTimeAsync(4_000);
    expect(service.state).toBe('PRODUCING_AUDIO');
    open();
    await settle();
    expect(service.state).toBe('PRODUCING_AUDIO');
    expect(rtcs.length).toBe(2);
  });

  it('another device that has taken over ends the tries', async () => {
    const { server, service, events } = setup();
    await service.joinChannel('lobby');
    server.refuse('voice:join', 'ALREADY_IN_CHANNEL', {}, 9);
    server.drop();
    await vi.advanceTimersByTimeAsync(120_000);
    expect(server.count('voice:join')).toBe(6);
    expect(events.at(-1)).toBe('left ALREADY_IN_CHANNEL');
  });

  it('who took a call over asked once: coming back by itself never takes it over again', async () => {
    const { server, service, events } = setup();
    server.refuse('voice:join', 'ALREADY_IN_CHANNEL');
    await expect(service.joinChannel('lobby')).rejects.toMatchObject({ code: 'ALREADY_IN_CHANNEL' });
    await service.joinChannel('lobby', { takeOver: true });
    server.refuse('voice:join', 'ALREADY_IN_CHANNEL', {}, 9);
    server.drop();
    await vi.advanceTimersByTimeAsync(120_000);
    const wishes = server.requests.filter(({ event }) => event === 'voice:join').map(({ payload }) => payload);
    expect(wishes.slice(0, 3)).toEqual([{ channelId: 'lobby' }, { channelId: 'lobby', takeOver: true }, { channelId: 'lobby' }]);
    expect(wishes.slice(2).every((wish) => !('takeOver' in (wish as object)))).toBe(true);
    expect(events.at(-1)).toBe('left ALREADY_IN_CHANNEL');
  });

  it('who is told that they moved to another device does not come back by themselves', async () => {
    const { server, service, events } = setup();
    await service.joinChannel('lobby');
    server.push('voice:left', { channelId: 'lobby', reason: 'moved-device', rejoin: false });
    await vi.advanceTimersByTimeAsync(120_000);
    expect(server.count('voice:join')).toBe(1);
    expect(events.at(-1)).toBe('left NOT_IN_CHANNEL');
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

describe('one who is cut off', () => {
  it('is told so by the media connection, not by that of signaling', async () => {
    const test = setup();
    await test.service.joinChannel('lobby');
    expect(test.service.self.cutOff).toBe(false);
    const { send } = test.rtc;
    const told: boolean[] = [];
    test.service.on('self', ({ cutOff }) => told.push(cutOff));
    if (send) send.state = 'disconnected';
    send?.handler.onState('disconnected');
    expect(told.at(-1)).toBe(true);
    if (send) send.state = 'connected';
    send?.handler.onState('connected');
    expect(told.at(-1)).toBe(false);
  });

  it('is told so at once when the browser has no network, and while there is no stay', async () => {
    const test = setup();
    await test.service.joinChannel('lobby');
    test.network.set(false);
    expect(test.service.self.cutOff).toBe(true);
    test.network.set(true);
    expect(test.service.self.cutOff).toBe(false);
    test.server.drop();
    expect(test.service.self.cutOff).toBe(true);
    await test.service.leaveChannel();
    expect(test.service.self.cutOff).toBe(false);
  });
});

describe('one whose media never connects', () => {
  /** In the channel of a server whose media nobody reaches. */
  async function unreached() {
    const test = setup();
    test.withoutMedia();
    await test.service.joinChannel('lobby');
    return test;
  }

  it('is told after ten seconds, and before that is not', async () => {
    const test = await unreached();
    await vi.advanceTimersByTimeAsync(9_000);
    expect(test.service.self).toMatchObject({ unreached: false, cutOff: false });
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.self).toMatchObject({ unreached: true, cutOff: true });
  });

  it('stays so through every stay that follows, until media flows', async () => {
    const test = await unreached();
    const told = new Set<boolean>();
    await vi.advanceTimersByTimeAsync(10_000);
    test.service.on('self', ({ unreached }) => told.add(unreached));
    await vi.advanceTimersByTimeAsync(120_000);
    expect(test.events.filter((event) => event === 'joined again').length).toBeGreaterThan(1);
    expect([...told]).toEqual([true]);
    if (test.rtc.send) test.rtc.send.state = 'connected';
    test.rtc.send?.handler.onState('connected');
    expect(test.service.self).toMatchObject({ unreached: false, cutOff: false });
  });

  it('is nothing of the kind any more after leaving', async () => {
    const test = await unreached();
    await vi.advanceTimersByTimeAsync(10_000);
    await test.service.leaveChannel();
    expect(test.service.self).toMatchObject({ unreached: false, cutOff: false });
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
