// Microphone, camera and screen: how they are asked for, and what their refusals mean.

import { VoiceError, type DeviceName } from '../errors.js';

/** Opens capture devices. The browser is one; tests have another. */
export interface Capture {
  microphone(): Promise<MediaStreamTrack>;
  camera(): Promise<MediaStreamTrack>;
  /** The picture, and the sound if the person shares it too. */
  screen(): Promise<{ video: MediaStreamTrack; audio?: MediaStreamTrack }>;
  /** Whether there is a microphone, allowed or not. */
  hasMicrophone(): Promise<boolean>;
  /** Tells when a device is plugged in or out; the answer ends that. */
  watch(handler: () => void): () => void;
}

/** Mono is exact: Opus codes one voice, and half the samples are half the work of the echo canceller. */
const MICROPHONE: MediaTrackConstraints & { latency: ConstrainDouble } = {
  echoCancellation: { ideal: true },
  noiseSuppression: { ideal: true },
  autoGainControl: { ideal: true },
  sampleRate: { ideal: 48_000 },
  channelCount: { exact: 1 },
  latency: { ideal: 0.01 },
};

const CAMERA: MediaTrackConstraints = {
  width: { ideal: 1280 },
  height: { ideal: 720 },
  frameRate: { ideal: 30, max: 30 },
  facingMode: 'user',
};
const SCREEN: MediaTrackConstraints = { width: { max: 1920 }, height: { max: 1080 }, frameRate: { ideal: 15, max: 30 } };
/** The sound of a film is not a voice: nothing is to be cleaned from it. */
const SCREEN_AUDIO: MediaTrackConstraints = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

/** The browser's devices. */
export const browserCapture: Capture = {
  async microphone() {
    const track = await withFallback('microphone', MICROPHONE);
    if ('contentHint' in track) track.contentHint = 'speech';
    return track;
  },
  async camera() {
    const [track] = (await open('camera', () => devices().getUserMedia({ video: CAMERA }))).getVideoTracks();
    if (!track) throw missing('camera');
    if ('contentHint' in track) track.contentHint = 'motion';
    return track;
  },
  async screen() {
    const stream = await open('screen', () => devices().getDisplayMedia({ video: SCREEN, audio: SCREEN_AUDIO }));
    const [video] = stream.getVideoTracks();
    const [audio] = stream.getAudioTracks();
    if (!video) throw missing('screen');
    if ('contentHint' in video) video.contentHint = 'detail';
    if (audio && 'contentHint' in audio) audio.contentHint = 'music';
    return audio ? { video, audio } : { video };
  },
  async hasMicrophone() {
    const found = await devices().enumerateDevices();
    return found.some(({ kind }) => kind === 'audioinput');
  },
  watch(handler) {
    const found = (globalThis.navigator as Partial<Navigator> | undefined)?.mediaDevices;
    found?.addEventListener('devicechange', handler);
    return () => found?.removeEventListener('devicechange', handler);
  },
};

/** Some microphones exist in stereo only: better two channels, which Opus mixes down, than none. */
async function withFallback(device: 'microphone', audio: MediaTrackConstraints): Promise<MediaStreamTrack> {
  const stream = await open(device, async () => {
    try {
      return await devices().getUserMedia({ audio });
    } catch (error) {
      if (nameOf(error) !== 'OverconstrainedError') throw error;
      return devices().getUserMedia({ audio: { ...audio, channelCount: { ideal: 1 } } });
    }
  });
  const [track] = stream.getAudioTracks();
  if (!track) throw missing(device);
  return track;
}

/** Undefined on pages that are not on a secure origin, whatever the types say. */
function devices(): MediaDevices {
  const found = (globalThis.navigator as Partial<Navigator> | undefined)?.mediaDevices;
  if (!found) throw new VoiceError('UNSUPPORTED', 'Microphone and camera work on https pages and on localhost only.');
  return found;
}

async function open(device: DeviceName, ask: () => Promise<MediaStream>): Promise<MediaStream> {
  try {
    return await ask();
  } catch (error) {
    throw error instanceof VoiceError ? error : readDeviceError(device, error);
  }
}

/** What the browser's error means, by the names of the Media Capture specification. */
export function readDeviceError(device: DeviceName, cause: unknown): VoiceError {
  switch (nameOf(cause)) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new VoiceError('DEVICE_DENIED', `The ${device} was not allowed.`, { device }, { cause });
    case 'NotReadableError':
    case 'AbortError':
      return new VoiceError('DEVICE_BUSY', `The ${device} does not start; another program may be using it.`, { device }, { cause });
    case 'TypeError':
      return new VoiceError('UNSUPPORTED', `This browser cannot open a ${device} here.`, { device }, { cause });
    default:
      return new VoiceError('DEVICE_MISSING', `No ${device} was found.`, { device }, { cause });
  }
}

function nameOf(error: unknown): string {
  return error instanceof Error || error instanceof DOMException ? error.name : '';
}

function missing(device: DeviceName): VoiceError {
  return new VoiceError('DEVICE_MISSING', `No ${device} was found.`, { device });
}
