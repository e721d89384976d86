// What is asked of the browser's devices, and what its refusals mean.

import { afterEach, expect, it, vi } from 'vitest';

import { browserCapture, readDeviceError } from '../src/rtc/capture.js';
import { FakeTrack } from './fakes.js';

afterEach(() => void vi.unstubAllGlobals());

function devices(getUserMedia: (constraints: MediaStreamConstraints) => Promise<unknown>): void {
  vi.stubGlobal('navigator', { mediaDevices: { getUserMedia } });
}

const stream = (track: FakeTrack) => ({ getAudioTracks: () => [track], getVideoTracks: () => [track] });

it('a voice is asked for as exactly one channel, cleaned, at 48 kHz and 10 ms', async () => {
  const asked: MediaStreamConstraints[] = [];
  devices((constraints) => {
    asked.push(constraints);
    return Promise.resolve(stream(new FakeTrack('audio')));
  });
  await browserCapture.microphone();
  expect(asked).toEqual([
    {
      audio: {
        echoCancellation: { ideal: true },
        noiseSuppression: { ideal: true },
        autoGainControl: { ideal: true },
        sampleRate: { ideal: 48_000 },
        channelCount: { exact: 1 },
        latency: { ideal: 0.01 },
      },
    },
  ]);
});

it('a microphone that is stereo only is taken as it is', async () => {
  const asked: unknown[] = [];
  devices((constraints) => {
    asked.push((constraints.audio as MediaTrackConstraints).channelCount);
    if (asked.length === 1) return Promise.reject(Object.assign(new Error(), { name: 'OverconstrainedError' }));
    return Promise.resolve(stream(new FakeTrack('audio')));
  });
  await browserCapture.microphone();
  expect(asked).toEqual([{ exact: 1 }, { ideal: 1 }]);
});

it('a page without a secure origin is told so', async () => {
  vi.stubGlobal('navigator', {});
  await expect(browserCapture.camera()).rejects.toMatchObject({ code: 'UNSUPPORTED' });
});

it.each([
  ['NotAllowedError', 'DEVICE_DENIED'],
  ['SecurityError', 'DEVICE_DENIED'],
  ['NotFoundError', 'DEVICE_MISSING'],
  ['OverconstrainedError', 'DEVICE_MISSING'],
  ['NotReadableError', 'DEVICE_BUSY'],
  ['AbortError', 'DEVICE_BUSY'],
  ['TypeError', 'UNSUPPORTED'],
])('%s means %s, and names the device', (name, code) => {
  expect(readDeviceError('camera', Object.assign(new Error(), { name }))).toMatchObject({ code, details: { device: 'camera' } });
});
