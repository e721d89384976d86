// The queue for video slots: waiting, one's turn, and changing one's mind.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import type { Slot, VideoSource } from '../src/protocol.js';
import { FREE, joined, settle, setup } from './fakes.js';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function inCall() {
  const test = setup();
  await test.service.joinChannel('lobby');
  const queue: unknown[] = [];
  test.service.on('slot:queue', (now) => queue.push(now));
  return { ...test, rtc: test.rtc, queue };
}

/** In a call whose slots are all taken, and waiting for one. */
async function waiting(source: VideoSource = 'camera') {
  const test = await inCall();
  test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED', { current: 4, max: 4 });
  expect(await (source === 'camera' ? test.service.toggleVideo() : test.service.toggleScreenShare())).toBe('queued');
  return test;
}

const granted = (source: VideoSource) => ({ source, current: 4, max: 4 });
const live = (test: { capture: { live: { kind: string }[] } }) => test.capture.live.map((track) => track.kind);

describe('a camera when the slots are full', () => {
  it('waits, with its light off, and says where in the queue', async () => {
    const test = await waiting();
    expect(test.service.videoQueue).toEqual({ camera: { position: 2, current: 4, max: 4 } });
    expect(live(test)).toEqual(['audio']);
    expect(test.service.self.media.camera).toBeUndefined();
    test.server.push('voice:slot:queue', { source: 'camera', position: 1, current: 4, max: 4 });
    expect(test.queue.at(-1)).toEqual({ camera: { position: 1, current: 4, max: 4 } });
  });

  it('begins by itself when it is its turn', async () => {
    const test = await waiting();
    const turns: string[] = [];
    test.service.on('slot:granted', ({ source }) => turns.push(source));
    test.server.push('voice:slot:granted', granted('camera'));
    await settle();
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.service.self.media.camera).toBeDefined();
    expect(test.service.videoQueue).toEqual({});
    expect(turns).toEqual(['camera']);
    expect(test.server.count('voice:slot:release')).toBe(0);
  });

  it('gives up its place at the second click, and a turn that comes all the same begins nothing', async () => {
    const test = await waiting();
    expect(await test.service.toggleVideo()).toBe(true);
    test.server.push('voice:slot:granted', granted('camera'));
    await settle();
    expect(test.server.payloads('voice:slot:release')).toEqual([{ source: 'camera' }]);
    expect(test.service.videoQueue).toEqual({});
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(live(test)).toEqual(['audio']);
  });

  it('begins at once if a slot was freed in between', async () => {
    const test = await inCall();
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED');
    const slot: Slot = { source: 'camera', status: 'granted', position: null, current: 4, max: 4 };
    test.server.answer('voice:slot:request', () => slot);
    expect(await test.service.toggleVideo()).toBe(true);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.queue).toEqual([]);
  });

  it('begins if its turn comes before the answer is read', async () => {
    const test = await inCall();
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED');
    test.server.answer('voice:slot:request', () => {
      test.server.push('voice:slot:granted', granted('camera'));
      return { source: 'camera', status: 'queued', position: 1, current: 4, max: 4 };
    });
    expect(await test.service.toggleVideo()).toBe(true);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
  });

  it('that does not start in its turn gives the slot back, and says why', async () => {
    const test = await waiting();
    test.capture.camera = () => Promise.reject(new Error('busy'));
    test.server.push('voice:slot:granted', granted('camera'));
    await settle();
    expect(test.server.count('voice:slot:release')).toBe(1);
    expect(test.events.at(-1)).toBe('error TRANSPORT_FAILED');
    expect(test.service.videoQueue).toEqual({});
  });

  it('is refused a slot it was granted: said, not asked for again without end', async () => {
    const test = await waiting();
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED');
    test.server.push('voice:slot:granted', granted('camera'));
    await settle();
    expect(test.server.count('voice:slot:request')).toBe(1);
    expect(test.events.at(-1)).toBe('error VIDEO_LIMIT_REACHED');
    expect(live(test)).toEqual(['audio']);
  });

  it('is refused where there is no queue', async () => {
    const test = await inCall();
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED', { current: 4, max: 4 });
    test.server.refuse('voice:slot:request', 'UNKNOWN_EVENT');
    await expect(test.service.toggleVideo()).rejects.toMatchObject({ code: 'VIDEO_LIMIT_REACHED', details: { max: 4 } });
    expect(live(test)).toEqual(['audio']);
  });
});

describe('a screen when the slots are full', () => {
  it('stays chosen, is shown to nobody, and is sent in its turn', async () => {
    const test = await waiting('screen');
    expect(live(test)).toEqual(['audio', 'video']);
    expect(test.service.self.media.screen).toBeUndefined();
    test.server.push('voice:slot:granted', granted('screen'));
    await settle();
    expect(test.service.state).toBe('PRODUCING_AUDIO_SCREEN');
    expect(test.capture.tracks.length).toBe(2);
  });

  it('gives up its place when the browser’s own button ends it', async () => {
    const test = await waiting('screen');
    test.capture.tracks.find((track) => track.kind === 'video')?.end();
    expect(test.server.payloads('voice:slot:release')).toEqual([{ source: 'screen' }]);
    expect(test.service.videoQueue).toEqual({});
  });

  it('waits beside a camera, each in its own place', async () => {
    const test = await waiting('screen');
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED');
    await test.service.toggleVideo();
    expect(Object.keys(test.service.videoQueue).sort()).toEqual(['camera', 'screen']);
    test.server.push('voice:slot:granted', granted('camera'));
    await settle();
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(Object.keys(test.service.videoQueue)).toEqual(['screen']);
  });
});

describe('who waits', () => {
  it('waits again, at the back, after the connection was restored', async () => {
    const test = await waiting();
    test.server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.server.count('voice:slot:request')).toBe(2);
    expect(test.service.videoQueue.camera).toBeDefined();
  });

  it('and has a camera that lost its slot to a break waits, too', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    test.server.drop();
    test.server.answer('voice:rtc:produce', () => ({ producerId: 'mic' }));
    test.server.refuse('voice:rtc:produce', 'VIDEO_LIMIT_REACHED');
    await vi.advanceTimersByTimeAsync(1_000);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.service.videoQueue.camera?.position).toBe(2);
    expect(live(test)).toEqual(['audio']);
  });

  it('waits no more after leaving', async () => {
    const test = await waiting();
    await test.service.leaveChannel();
    expect(test.queue.at(-1)).toEqual({});
    await test.service.joinChannel('lobby');
    expect(test.server.count('voice:slot:request')).toBe(1);
  });

  it('waits no more when the tier no longer includes it', async () => {
    const test = await waiting('screen');
    test.server.push('voice:entitlement', { permissions: FREE, reason: 'expired' });
    expect(test.service.videoQueue).toEqual({});
    expect(live(test)).toEqual(['audio']);
    // The server has taken one out of the queue itself.
    expect(test.server.count('voice:slot:release')).toBe(0);
  });
});

it('what the tier lacks never waits', async () => {
  const test = setup();
  test.server.join = joined({ permissions: FREE });
  await test.service.joinChannel('lobby');
  expect(await test.service.toggleVideo()).toBe(false);
  expect(test.server.count('voice:slot:request')).toBe(0);
});
