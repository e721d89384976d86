// What others decide over one: the tier that ends, moderators, and channels that close.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Pushes, Restrictions } from '../src/protocol.js';
import { AT_LARGE, FREE, joined, person, PRO, settle, setup } from './fakes.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function inCall() {
  const test = setup();
  test.server.join = joined({ participants: [person('alice', 'Alice')] });
  await test.service.joinChannel('lobby');
  test.events.length = 0;
  return test;
}

function moderation(more: Partial<Restrictions>, action: Pushes['voice:moderation']['action'] = 'mute', reason: string | null = null) {
  const restrictions = { audio: false, video: false, screen: false, deafened: false, ...more };
  return { action, byUserId: 'mod', restrictions, reason };
}

describe('a tier that changes in mid-call', () => {
  it('stops camera and screen, and sound goes on with less', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    await test.service.toggleScreenShare();
    const changes: unknown[] = [];
    test.service.on('entitlement', ({ lost, gained, reason }) => changes.push([lost, gained, reason]));
    test.server.push('voice:entitlement', { permissions: FREE, reason: 'expired' });
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio']);
    expect(test.rtc.producers.map((p) => p.closed)).toEqual([false, true, true]);
    expect(test.rtc.producers[0]?.maxBitrate).toBe(32_000);
    expect(changes).toEqual([[['VIDEO_CALLING', 'SCREEN_SHARE'], [], 'expired']]);
    // The server has closed them on its side.
    expect(test.server.count('voice:rtc:closeProducer')).toBe(0);
    expect(await test.service.toggleVideo()).toBe(false);
    expect(test.events).toEqual([]);
  });

  it('is the same whichever is told first: the producers or the permissions', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    const id = test.rtc.producers[1]?.id ?? '';
    const closed: unknown[] = [];
    test.service.on('producer:closed', (event) => closed.push(event));
    test.server.push('voice:producerClosed', { producerId: id, userId: 'me', reason: 'entitlement' });
    test.server.push('voice:entitlement', { permissions: FREE, reason: 'expired' });
    expect(closed).toEqual([{ slot: 'camera', reason: 'entitlement' }]);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });

  it('for the better opens what was locked', async () => {
    const test = setup();
    test.server.join = joined({ permissions: FREE });
    await test.service.joinChannel('lobby');
    const gained: unknown[] = [];
    test.service.on('entitlement', (change) => gained.push(change.gained));
    test.server.push('voice:entitlement', { permissions: PRO, reason: 'changed' });
    expect(gained).toEqual([['VIDEO_CALLING', 'SCREEN_SHARE']]);
    expect(test.service.channel?.permissions.video).toBe(true);
    expect(test.rtc.producers[0]?.maxBitrate).toBe(64_000);
    expect(await test.service.toggleVideo()).toBe(true);
  });
});

describe('what a moderator has silenced', () => {
  it('is closed, device and all, and cannot be turned on again', async () => {
    const test = await inCall();
    test.server.push('voice:moderation', moderation({ audio: true }));
    expect(test.rtc.producers[0]?.closed).toBe(true);
    expect(test.capture.live).toEqual([]);
    expect(test.service.self).toMatchObject({ muted: true, microphone: 'off', restrictions: { audio: true } });
    await expect(test.service.toggleMute()).rejects.toMatchObject({ code: 'MODERATED', details: { restriction: 'audio' } });
    expect(test.server.count('voice:state:update')).toBe(0);
    // Nor by a device that is plugged in meanwhile.
    test.capture.changeDevices();
    await settle();
    expect(test.capture.live).toEqual([]);
  });

  it('stays off when it is given back: one is asked, and turns it on oneself', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    await test.service.toggleScreenShare();
    test.server.push('voice:moderation', moderation({ audio: true, video: true, screen: true }));
    test.server.push('voice:moderation', moderation({}));
    await settle();
    expect(test.capture.live).toEqual([]);
    expect(test.service.self).toMatchObject({ muted: true, media: {} });
    expect(await test.service.toggleMute()).toBe(false);
    expect(test.rtc.producers.at(-1)).toMatchObject({ kind: 'audio', paused: false, closed: false });
    expect(test.server.payloads('voice:state:update').at(-1)).toEqual({ muted: false });
    expect(await test.service.toggleVideo()).toBe(true);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
  });

  it('may be a camera, or what waits for a slot for it', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    test.server.push('voice:moderation', moderation({ video: true }));
    expect(test.rtc.producers[1]?.closed).toBe(true);
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio']);
    await expect(test.service.toggleVideo()).rejects.toMatchObject({ code: 'MODERATED', details: { restriction: 'video' } });
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED');
    expect(await test.service.toggleScreenShare()).toBe('queued');
    test.server.push('voice:moderation', moderation({ screen: true }));
    expect(test.service.videoQueue).toEqual({});
    expect(test.server.payloads('voice:slot:release')).toEqual([{ source: 'screen' }]);
  });

  it('can be all one hears', async () => {
    const test = await inCall();
    test.server.push('voice:moderation', moderation({ deafened: true }, 'deafen'));
    expect(test.audio.deafened).toBe(true);
    await expect(test.service.toggleDeafen()).rejects.toMatchObject({ code: 'MODERATED' });
    test.server.push('voice:moderation', moderation({}, 'deafen'));
    expect(test.audio.deafened).toBe(false);
  });

  it('outlives leaving: it is so from the join on', async () => {
    const test = setup();
    const state = {
      muted: false,
      deafened: false,
      speaking: false,
      ...AT_LARGE,
      serverMuted: { audio: true, video: false, screen: false },
    };
    test.server.join = joined({ state });
    await test.service.joinChannel('lobby');
    await settle();
    expect(test.rtc.producers).toEqual([]);
    expect(test.capture.live).toEqual([]);
    expect(test.service.self).toMatchObject({ muted: true, microphone: 'off' });
    // Not taken back by what is told after the join.
    expect(test.server.payloads('voice:state:update')).toEqual([{ muted: true, deafened: false }]);
    await test.service.leaveChannel();
    expect(test.service.self.restrictions.audio).toBe(false);
  });

  it('is seen of others', async () => {
    const { server, service } = await inCall();
    const serverMuted = { audio: true, video: false, screen: false };
    server.push('voice:participant:state', {
      userId: 'alice',
      muted: false,
      deafened: false,
      speaking: true,
      serverMuted,
      serverDeafened: true,
    });
    expect(service.participants[0]).toMatchObject({ serverMuted, serverDeafened: true, speaking: false });
  });
});

describe('a moderator', () => {
  it('asks the server, and is told when it refuses', async () => {
    const test = await inCall();
    await test.service.moderate({ action: 'mute', userId: 'alice', audio: true });
    expect(test.server.payloads('voice:moderate')).toEqual([{ action: 'mute', userId: 'alice', audio: true }]);
    test.server.refuse('voice:moderate', 'PERMISSION_DENIED');
    await expect(test.service.moderate({ action: 'end-call' })).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
  });
});

describe('out of the channel by a moderator or the host', () => {
  it.each(['kicked', 'banned', 'call-ended', 'session-revoked', 'channel-deleted', 'access-lost', 'replaced'] as const)(
    '%s: stays out, with the reason',
    async (reason) => {
      const test = await inCall();
      const left: unknown[] = [];
      test.service.on('left', (event) => left.push(event));
      test.server.push('voice:left', { channelId: 'lobby', reason, rejoin: false });
      await vi.advanceTimersByTimeAsync(60_000);
      expect(left).toMatchObject([
        { channelId: 'lobby', reason, rejoining: false, error: { code: 'NOT_IN_CHANNEL', details: { reason } } },
      ]);
      expect(test.server.count('voice:join')).toBe(1);
      expect(test.capture.live).toEqual([]);
      expect(test.server.connected).toBe(false);
    },
  );

  it('says what the moderator gave as the reason', async () => {
    const test = await inCall();
    const notes: unknown[] = [];
    test.service.on('left', ({ error }) => notes.push(error?.details.note));
    test.server.push('voice:moderation', moderation({}, 'kick', 'too loud'));
    test.server.push('voice:left', { channelId: 'lobby', reason: 'kicked', rejoin: false });
    expect(notes).toEqual(['too loud']);
  });

  it('a join that ends like that rejects', async () => {
    const test = setup();
    test.capture.asking = new Promise(() => {});
    const done = expect(test.service.joinChannel('lobby')).rejects.toMatchObject({ details: { reason: 'kicked' } });
    await settle();
    test.server.push('voice:left', { channelId: 'lobby', reason: 'kicked', rejoin: false });
    await done;
  });
});

describe('moved to another channel', () => {
  it('joins it by itself, with the same devices', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    const tracks = [...test.capture.live];
    test.server.join = joined({ channelId: 'garden', channelName: 'Garden' });
    test.server.push('voice:left', { channelId: 'lobby', reason: 'moved', rejoin: false, to: 'garden' });
    await settle();
    expect(test.server.payloads('voice:join').at(-1)).toEqual({ channelId: 'garden' });
    expect(test.events).toEqual(['connecting', 'moved to garden', 'connected', 'joined']);
    expect(test.service.channel?.name).toBe('Garden');
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.capture.live).toEqual(tracks);
  });

  it('arrives as one left: muted, if by oneself', async () => {
    const test = await inCall();
    await test.service.toggleMute();
    test.server.push('voice:left', { channelId: 'lobby', reason: 'moved', rejoin: false, to: 'garden' });
    await settle();
    expect(test.service.self).toMatchObject({ muted: true, microphone: 'on' });
    expect(test.server.payloads('voice:state:update').at(-1)).toEqual({ muted: true, deafened: false });
    expect(test.rtc.producers.at(-1)).toMatchObject({ kind: 'audio', paused: true });
  });

  it('arrives as one left: muted, if by a moderator who has no say there', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    test.server.push('voice:moderation', moderation({ audio: true, video: true }));
    test.server.push('voice:left', { channelId: 'lobby', reason: 'moved', rejoin: false, to: 'garden' });
    await settle();
    const { muted, restrictions, media } = test.service.self;
    expect(test.capture.live).toEqual([]);
    expect({ muted, restrictions, media }).toEqual({ muted: true, restrictions: moderation({}).restrictions, media: {} });
    expect(test.server.payloads('voice:state:update').at(-1)).toEqual({ muted: true, deafened: false });
    expect(test.rtc.producers.filter(({ closed, paused }) => !closed && !paused)).toEqual([]);
    expect(await test.service.toggleMute()).toBe(false);
  });

  it('that lets one in no more is out, with the reason', async () => {
    const test = await inCall();
    test.server.refuse('voice:join', 'CHANNEL_FULL');
    test.server.push('voice:left', { channelId: 'lobby', reason: 'moved', rejoin: false, to: 'garden' });
    await settle();
    expect(test.events.at(-1)).toBe('left CHANNEL_FULL');
    expect(test.capture.live).toEqual([]);
  });

  it('whose first answer is that it is too early waits, and joins', async () => {
    const test = await inCall();
    test.server.refuse('voice:join', 'RATE_LIMITED', { retryAfterMs: 3_000 });
    test.server.push('voice:left', { channelId: 'lobby', reason: 'moved', rejoin: false, to: 'garden' });
    await vi.advanceTimersByTimeAsync(4_000);
    expect(test.server.payloads('voice:join').at(-1)).toEqual({ channelId: 'garden' });
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });
});

describe('a spectator', () => {
  it('listens, sends no microphone, and is told why', async () => {
    const test = setup();
    const permissions = { ...FREE, audio: false };
    test.server.join = joined({ role: 'spectator', permissions, participants: [person('alice', 'Alice')] });
    await test.service.joinChannel('lobby');
    await settle();
    expect(test.service.state).toBe('READY');
    expect(test.capture.live).toEqual([]);
    expect(test.service.self.microphone).toBe('off');
    expect(test.service.channel?.role).toBe('spectator');
    expect(test.server.count('voice:rtc:produce')).toBe(0);
    await expect(test.service.toggleMute()).rejects.toMatchObject({ code: 'SPECTATOR' });
    expect(test.events.filter((event) => event.startsWith('error'))).toEqual([]);
  });

  it('is not kept waiting by the question for the microphone', async () => {
    const test = setup();
    let answer = () => {};
    test.capture.asking = new Promise((resolve) => (answer = resolve));
    test.server.join = joined({ role: 'spectator' });
    await test.service.joinChannel('lobby');
    answer();
    await settle();
    expect(test.capture.tracks.length).toBe(1);
    expect(test.capture.live).toEqual([]);
  });
});
