// In a call: mute, deafen, camera, screen, what the others send, and what the tier lacks.

import { describe, expect, it, vi } from 'vitest';

import { VoiceError } from '../src/errors.js';
import { AT_LARGE, FREE, joined, person, producer, settle, setup } from './fakes.js';

const alice = person('alice', 'Alice');

async function inCall() {
  const test = setup();
  test.server.join = joined({ participants: [alice] });
  await test.service.joinChannel('lobby');
  return test;
}

describe('mute', () => {
  it('pauses the microphone and tells the server, which enforces it', async () => {
    const test = await inCall();
    expect(await test.service.toggleMute()).toBe(true);
    expect(test.rtc.producers[0]?.paused).toBe(true);
    expect(test.server.payloads('voice:state:update')).toEqual([{ muted: true }]);
    expect(await test.service.toggleMute()).toBe(false);
    expect(test.rtc.producers[0]?.paused).toBe(false);
  });

  it('holds at once, before the server has answered', async () => {
    const test = await inCall();
    test.server.answer('voice:state:update', () => new Promise(() => {}));
    void test.service.toggleMute();
    expect(test.rtc.producers[0]?.paused).toBe(true);
    expect(test.service.self.muted).toBe(true);
  });

  it('stays when the server does not agree to unmute', async () => {
    const test = await inCall();
    await test.service.toggleMute();
    test.server.refuse('voice:state:update', 'TIMEOUT');
    await expect(test.service.toggleMute()).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(test.rtc.producers[0]?.paused).toBe(true);
    expect(test.service.self.muted).toBe(true);
  });

  it('pressed twice before the server has answered is as before', async () => {
    const test = await inCall();
    await test.service.toggleMute();
    const answers: (() => void)[] = [];
    const slow = () => new Promise<never>((resolve) => answers.push(() => resolve({} as never)));
    test.server.answer('voice:state:update', slow, slow);
    const presses = [test.service.toggleMute(), test.service.toggleMute()];
    answers.forEach((answer) => answer());
    await settle();
    answers.forEach((answer) => answer());
    await Promise.all(presses);
    expect(test.server.payloads('voice:state:update')).toEqual([{ muted: true }, { muted: false }, { muted: true }]);
    expect(test.service.self.muted).toBe(true);
    expect(test.rtc.producers[0]?.paused).toBe(true);
  });

  it('before the join is told to the server before anything is sent', async () => {
    const test = setup();
    await test.service.toggleMute();
    await test.service.joinChannel('lobby');
    const order = test.server.requests.map(({ event }) => event);
    expect(order.indexOf('voice:state:update')).toBeLessThan(order.indexOf('voice:rtc:produce'));
    expect(test.rtc.producers[0]?.paused).toBe(true);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });
});

it('deafen silences the output and tells the server', async () => {
  const test = await inCall();
  expect(await test.service.toggleDeafen()).toBe(true);
  expect(test.audio.deafened).toBe(true);
  expect(test.server.payloads('voice:state:update')).toEqual([{ deafened: true }]);
  expect(test.rtc.producers[0]?.paused).toBe(false);
});

it('deaf stays deaf when the server does not agree to end it', async () => {
  const test = await inCall();
  await test.service.toggleDeafen();
  test.server.refuse('voice:state:update', 'TIMEOUT');
  await expect(test.service.toggleDeafen()).rejects.toMatchObject({ code: 'TIMEOUT' });
  expect(test.audio.deafened).toBe(true);
  expect(test.service.self.deafened).toBe(true);
  expect(await test.service.toggleDeafen()).toBe(false);
  expect(test.audio.deafened).toBe(false);
});

describe('camera and screen', () => {
  it('go on and off with their devices', async () => {
    const test = await inCall();
    expect(await test.service.toggleVideo()).toBe(true);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
    expect(test.service.self.media.camera).toBeDefined();
    expect(await test.service.toggleVideo()).toBe(true);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.server.count('voice:rtc:closeProducer')).toBe(1);
    expect(test.capture.live.length).toBe(1);
  });

  it('two clicks at once turn the camera on, once', async () => {
    const test = await inCall();
    await Promise.all([test.service.toggleVideo(), test.service.toggleVideo()]);
    expect(test.server.count('voice:rtc:produce')).toBe(2);
    expect(test.service.state).toBe('PRODUCING_AUDIO_VIDEO');
  });

  it('the sound of a screen is sent with it and ends with it', async () => {
    const test = await inCall();
    test.capture.withScreenAudio = true;
    await test.service.toggleScreenShare();
    expect(test.server.payloads('voice:rtc:produce').slice(1)).toMatchObject([
      { kind: 'video', appData: { source: 'screen' } },
      { kind: 'audio', appData: { source: 'screen' } },
    ]);
    // The browser's own "stop sharing".
    test.capture.tracks.find((track) => track.kind === 'video')?.end();
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.capture.live.length).toBe(1);
    expect(test.server.count('voice:rtc:closeProducer')).toBe(2);
  });

  it('that end while the server is asked are not sent', async () => {
    const test = await inCall();
    let allow = () => {};
    test.server.answer('voice:rtc:produce', () => new Promise((resolve) => (allow = () => resolve({ producerId: 'late' }))));
    const shared = test.service.toggleScreenShare();
    await settle();
    test.capture.tracks.find((track) => track.kind === 'video')?.end();
    allow();
    await shared;
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.server.payloads('voice:rtc:closeProducer')).toEqual([{ producerId: 'late' }]);
    expect(test.rtc.producers[1]?.closed).toBe(true);
  });

  it('outside a call are refused', async () => {
    const { service, capture } = setup();
    await expect(service.toggleVideo()).rejects.toMatchObject({ code: 'INVALID_STATE' });
    expect(capture.tracks).toEqual([]);
  });

  it('that the tier lacks answer false and open no device', async () => {
    const test = setup();
    test.server.join = joined({ permissions: FREE });
    await test.service.joinChannel('lobby');
    const missing: string[] = [];
    test.service.on('capability:required', ({ capability }) => missing.push(capability));
    expect(await test.service.toggleVideo()).toBe(false);
    expect(await test.service.toggleScreenShare()).toBe(false);
    expect(missing).toEqual(['VIDEO_CALLING', 'SCREEN_SHARE']);
    expect(test.capture.tracks.length).toBe(1);
    expect(test.server.count('voice:rtc:produce')).toBe(1);
  });

  it('that the server refuses close their device again', async () => {
    const test = await inCall();
    test.server.refuse('voice:rtc:produce', 'INCOMPATIBLE');
    await expect(test.service.toggleVideo()).rejects.toMatchObject({ code: 'INCOMPATIBLE' });
    expect(test.capture.live.length).toBe(1);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    test.server.refuse('voice:rtc:produce', 'CAPABILITY_REQUIRED', { capability: 'VIDEO_CALLING' });
    expect(await test.service.toggleVideo()).toBe(false);
    expect(test.capture.live.length).toBe(1);
  });

  it('that the server closes in mid-call close their device, and sound goes on', async () => {
    const test = await inCall();
    await test.service.toggleVideo();
    const id = test.rtc.producers[1]?.id ?? '';
    test.server.push('voice:producerClosed', { producerId: id, userId: 'me' });
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.capture.live.map((track) => track.kind)).toEqual(['audio']);
    expect(test.server.count('voice:rtc:closeProducer')).toBe(0);
  });
});

describe('what the others send', () => {
  it('is received when it is announced, and dropped when it is closed', async () => {
    const test = await inCall();
    test.server.push('voice:newProducer', producer('voice', 'alice'));
    test.server.push('voice:newProducer', producer('video', 'alice', 'video'));
    await settle();
    expect(Object.keys(test.service.participants[0]?.media ?? {}).sort()).toEqual(['camera', 'mic']);
    expect(test.audio.playing.size).toBe(1);
    test.server.push('voice:producerClosed', { producerId: 'voice', userId: 'alice' });
    expect(Object.keys(test.service.participants[0]?.media ?? {})).toEqual(['camera']);
    expect(test.audio.playing.size).toBe(0);
    expect(test.rtc.consumers.map((c) => c.closed)).toEqual([true, false]);
  });

  it('is not kept when it is closed while it is asked for', async () => {
    const test = await inCall();
    test.server.push('voice:newProducer', producer('voice', 'alice'));
    test.server.push('voice:producerClosed', { producerId: 'voice', userId: 'alice' });
    await settle();
    expect(test.rtc.consumers.every((c) => c.closed)).toBe(true);
    expect(test.audio.playing.size).toBe(0);
  });

  it('is gone without a word when the server does not know it any more', async () => {
    const test = await inCall();
    test.server.refuse('voice:rtc:consume', 'NOT_FOUND');
    test.server.push('voice:newProducer', producer('voice', 'alice'));
    await settle();
    expect(test.events.filter((event) => event.startsWith('error'))).toEqual([]);
  });

  it('is consumed once, however often it is announced', async () => {
    const test = await inCall();
    for (let i = 0; i < 3; i++) test.server.push('voice:newProducer', producer('voice', 'alice'));
    await settle();
    expect(test.server.count('voice:rtc:consume')).toBe(1);
  });

  it('goes with them', async () => {
    const test = await inCall();
    test.server.push('voice:newProducer', producer('voice', 'alice'));
    await settle();
    test.server.push('voice:participant:left', { userId: 'alice' });
    expect(test.service.participants).toEqual([]);
    expect(test.audio.playing.size).toBe(0);
    expect(test.rtc.consumers.every((c) => c.closed)).toBe(true);
  });

  it('that the browser cannot take is not sent any longer', async () => {
    const test = await inCall();
    const { rtc } = test;
    test.server.push('voice:newProducer', producer('voice', 'alice'));
    await settle();
    rtc.refuseConsumers = true;
    test.server.push('voice:newProducer', producer('video', 'alice', 'video'));
    await settle();
    expect(test.events.at(-1)).toBe('error INCOMPATIBLE');
    expect(test.server.count('voice:rtc:closeConsumer')).toBe(1);
  });

  it('that cannot be played is reported, and the call goes on', async () => {
    const test = await inCall();
    test.server.refuse('voice:rtc:consume', 'INCOMPATIBLE');
    test.server.push('voice:newProducer', producer('video', 'alice', 'video'));
    await settle();
    expect(test.events.at(-1)).toBe('error INCOMPATIBLE');
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });
});

describe('a track the browser takes offence at', () => {
  it('costs nobody else theirs: all are received anew without it, and the stay goes on', async () => {
    const test = await inCall();
    const { rtc } = test;
    test.server.push('voice:newProducer', producer('voice', 'alice'));
    await settle();
    const first = rtc.recv;
    rtc.poison.add('bad');
    for (const id of ['bad', 'good']) test.server.push('voice:newProducer', producer(id, 'alice'));
    // Once without them, once more without the bad one.
    for (let round = 0; round < 3; round++) await settle();
    expect(first?.closed).toBe(true);
    const open = rtc.consumers.filter(({ closed }) => !closed).map(({ producerId }) => producerId);
    expect(open.sort()).toEqual(['good', 'voice']);
    expect([...test.audio.playing.keys()].length).toBe(2);
    expect(test.events.filter((event) => event.startsWith('error'))).toEqual(['error INCOMPATIBLE']);
    // What is announced later is received as ever, and the server holds one transport of each direction.
    test.server.push('voice:newProducer', producer('later', 'alice'));
    await settle();
    expect(rtc.consumers.at(-1)).toMatchObject({ producerId: 'later', closed: false });
    const made = test.server.payloads('voice:rtc:createTransport').length;
    expect(made - test.server.count('voice:rtc:closeTransport')).toBe(2);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
    expect(test.events).not.toContain('left TRANSPORT_FAILED, rejoining');
  });

  it('is found among those that came with it', async () => {
    const test = await inCall();
    test.rtc.poison.add('worse').add('bad');
    for (const id of ['one', 'bad', 'two', 'worse']) test.server.push('voice:newProducer', producer(id, 'alice'));
    for (let round = 0; round < 4; round++) await settle();
    const open = test.rtc.consumers.filter(({ closed }) => !closed).map(({ producerId }) => producerId);
    expect(open.sort()).toEqual(['one', 'two']);
    expect(test.events.filter((event) => event.startsWith('error')).length).toBe(2);
  });

  it('is a lost stay when no other transport can be had', async () => {
    const test = await inCall();
    test.rtc.poison.add('bad');
    test.server.refuse('voice:rtc:closeTransport', 'TIMEOUT');
    test.server.push('voice:newProducer', producer('bad', 'alice'));
    await settle();
    expect(test.events.at(-1)).toBe('left TIMEOUT, rejoining');
  });
});

describe('a microphone', () => {
  const gone = (code: 'DEVICE_MISSING' | 'DEVICE_DENIED' | 'DEVICE_BUSY') => new VoiceError(code, code, { device: 'microphone' });

  function changes(test: Awaited<ReturnType<typeof inCall>>) {
    const told: string[] = [];
    test.service.on('microphone', ({ change }) => told.push(change));
    return told;
  }

  it('that is unplugged is said, and one goes on listening', async () => {
    const test = await inCall();
    test.capture.microphoneError = gone('DEVICE_MISSING');
    test.capture.tracks[0]?.end();
    await settle();
    expect(test.service.state).toBe('READY');
    expect(test.service.self.microphone).toBe('unavailable');
    expect(test.events.at(-1)).toBe('error DEVICE_MISSING');
    expect(test.server.count('voice:rtc:closeProducer')).toBe(1);
  });

  it('that is unplugged is replaced by another one at once, as muted as before', async () => {
    const test = await inCall();
    await test.service.toggleMute();
    const told = changes(test);
    test.capture.tracks[0]?.end();
    await settle();
    expect(told).toEqual(['back']);
    expect(test.rtc.producers.at(-1)).toMatchObject({ paused: true, closed: false });
    expect(test.service.self).toMatchObject({ muted: true, microphone: 'on' });
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });

  it('that is plugged in again goes on', async () => {
    const test = await inCall();
    const told = changes(test);
    test.capture.microphoneError = gone('DEVICE_MISSING');
    test.capture.tracks[0]?.end();
    await settle();
    // Something else was plugged in or out.
    test.capture.changeDevices();
    await settle();
    expect(test.events.filter((event) => event.startsWith('error')).length).toBe(1);
    test.capture.microphoneError = undefined;
    test.capture.changeDevices();
    await settle();
    expect(told).toEqual(['back']);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });

  it.each(['DEVICE_MISSING', 'DEVICE_DENIED', 'DEVICE_BUSY'] as const)(
    'that is not there (%s) is asked for again by unmuting',
    async (code) => {
      const test = setup();
      test.capture.microphoneError = gone(code);
      await test.service.joinChannel('lobby');
      expect(test.service.state).toBe('READY');
      await expect(test.service.toggleMute()).rejects.toMatchObject({ code });
      expect(test.service.self).toMatchObject({ muted: false, microphone: 'unavailable' });
      test.capture.microphoneError = undefined;
      expect(await test.service.toggleMute()).toBe(false);
      expect(test.service.state).toBe('PRODUCING_AUDIO');
      expect(test.service.self).toMatchObject({ muted: false, microphone: 'on' });
      expect(await test.service.toggleMute()).toBe(true);
    },
  );

  it('that is allowed when the stay it was asked for in is over is sent in the one after it', async () => {
    vi.useFakeTimers();
    const test = setup();
    test.capture.microphoneError = gone('DEVICE_MISSING');
    await test.service.joinChannel('lobby');
    test.capture.microphoneError = undefined;
    let allow = () => {};
    test.capture.asking = new Promise((resolve) => (allow = resolve));
    const toggled = test.service.toggleMute();
    test.server.drop();
    await vi.advanceTimersByTimeAsync(1_000);
    allow();
    expect(await toggled).toBe(false);
    await vi.advanceTimersByTimeAsync(0);
    vi.useRealTimers();
    expect(test.rtcs.length).toBe(2);
    expect(test.rtc.producers.map(({ closed }) => closed)).toEqual([false]);
    expect(test.capture.live.length).toBe(1);
    expect(test.service.state).toBe('PRODUCING_AUDIO');
  });

  it('that comes when none was there is offered, not opened; one that was denied is not', async () => {
    const test = setup();
    test.capture.microphoneError = gone('DEVICE_MISSING');
    test.capture.microphones = false;
    await test.service.joinChannel('lobby');
    const told = changes(test);
    test.capture.changeDevices();
    await settle();
    expect(told).toEqual([]);
    test.capture.microphones = true;
    test.capture.microphoneError = gone('DEVICE_DENIED');
    test.capture.changeDevices();
    await settle();
    expect(told).toEqual(['available']);
    expect(test.service.state).toBe('READY');
    await expect(test.service.toggleMute()).rejects.toMatchObject({ code: 'DEVICE_DENIED' });
    test.capture.changeDevices();
    await settle();
    expect(told).toEqual(['available']);
  });

  it('that is opened while one leaves is let go', async () => {
    const test = setup();
    test.capture.microphoneError = gone('DEVICE_MISSING');
    await test.service.joinChannel('lobby');
    test.capture.microphoneError = undefined;
    let answer = () => {};
    test.capture.asking = new Promise((resolve) => (answer = resolve));
    const opened = test.service.toggleMute().catch((error: unknown) => error);
    await test.service.leaveChannel();
    answer();
    expect(await opened).toMatchObject({ code: 'CANCELLED' });
    expect(test.capture.live).toEqual([]);
    expect(test.capture.watchers.size).toBe(0);
  });
});

describe('who speaks', () => {
  it('is who the server hears, oneself included, and nobody who is muted', async () => {
    const { server, service } = await inCall();
    server.push('voice:activeSpeakers', {
      speakers: [
        { userId: 'alice', producerId: 'a', level: -20 },
        { userId: 'me', producerId: 'b', level: -30 },
      ],
    });
    expect(service.participants[0]?.speaking).toBe(true);
    expect(service.self.speaking).toBe(true);
    server.push('voice:participant:state', { ...AT_LARGE, userId: 'alice', muted: true, deafened: false, speaking: false });
    expect(service.participants[0]).toMatchObject({ muted: true, speaking: false });
  });
});

it('a volume is per person', async () => {
  const { service, audio } = await inCall();
  service.setPerUserVolume('alice', 0.4);
  expect(audio.volumes.get('alice')).toBe(0.4);
});

it('preferred layers go to the consumer of that picture', async () => {
  const test = await inCall();
  test.server.push('voice:newProducer', producer('video', 'alice', 'video'));
  await settle();
  await test.service.setPreferredLayers('alice', 'camera', { spatialLayer: 1 });
  expect(test.server.payloads('voice:rtc:setPreferredLayers')).toEqual([{ consumerId: test.rtc.consumers[0]?.id, spatialLayer: 1 }]);
  await test.service.setPreferredLayers('nobody', 'camera', { spatialLayer: 1 });
  expect(test.server.count('voice:rtc:setPreferredLayers')).toBe(1);
});

it('stats are plain objects, of every track', async () => {
  const test = await inCall();
  test.server.push('voice:newProducer', producer('voice', 'alice'));
  await settle();
  const stats = JSON.parse(JSON.stringify(await test.service.getStats())) as Awaited<ReturnType<typeof test.service.getStats>>;
  expect(stats.state).toBe('PRODUCING_AUDIO');
  expect(stats.producers).toMatchObject([{ slot: 'mic', kind: 'audio', stats: [{ type: 'outbound-rtp' }] }]);
  expect(stats.consumers).toMatchObject([{ userId: 'alice', slot: 'mic', producerId: 'voice' }]);
});

it('a listener that throws keeps nobody else from hearing', async () => {
  const { server, service } = await inCall();
  const { error } = console;
  console.error = () => {};
  const heard: string[] = [];
  service.on('participant:joined', () => {
    throw new VoiceError('SERVER_ERROR', 'a bug of the page');
  });
  service.on('participant:joined', ({ name }) => heard.push(name));
  server.push('voice:participant:joined', { ...alice, userId: 'bob', name: 'Bob' });
  console.error = error;
  expect(heard).toEqual(['Bob']);
});
