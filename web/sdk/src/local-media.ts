// The tracks of the user's own devices. They outlive a connection: after a reconnect the same tracks are sent again.

import { toVoiceError, VoiceError } from './errors.js';
import type { Capture } from './rtc/capture.js';
import type { MediaSlot } from './roster.js';

/** The states of the microphone: asked for at the join, then there or not. */
export type MicrophoneStatus = 'off' | 'asking' | 'on' | 'unavailable';

/** Holds the open tracks; every track that is let go is stopped, so that no device light stays on. */
export class LocalMedia {
  readonly #tracks = new Map<MediaSlot, MediaStreamTrack>();
  #microphone: Promise<MediaStreamTrack | VoiceError> | undefined;
  #status: MicrophoneStatus = 'off';
  #denied = false;
  #epoch = 0;

  constructor(
    private readonly capture: Capture,
    /** A device went away, or the browser's own "stop sharing" was used. */
    private readonly onEnded: (slot: MediaSlot) => void,
    private readonly onChange: () => void = () => {},
  ) {}

  get microphoneStatus(): MicrophoneStatus {
    return this.#status;
  }

  /** Whether the person or the browser did not allow it. */
  get microphoneDenied(): boolean {
    return this.#denied;
  }

  /** Whether there is a microphone, allowed or not. */
  hasMicrophone(): Promise<boolean> {
    return this.capture.hasMicrophone().catch(() => false);
  }

  track(slot: MediaSlot): MediaStreamTrack | undefined {
    return this.#tracks.get(slot);
  }

  /** Opens the microphone, or answers what it answered before. Never rejects: to listen only is a way to be there. */
  microphone(): Promise<MediaStreamTrack | VoiceError> {
    this.#microphone ??= this.#openMicrophone();
    return this.#microphone;
  }

  /** What was answered before does not count any more: the next time it is asked for anew. */
  forgetMicrophone(): void {
    if (!this.#tracks.has('mic')) this.#microphone = undefined;
  }

  /** The microphone is of no use here: it is let go as soon as it is open, and is no failure. */
  releaseMicrophone(): void {
    const opening = this.#microphone;
    if (!opening) return;
    const epoch = this.#epoch;
    const release = () => {
      if (epoch !== this.#epoch || this.#microphone !== opening) return;
      this.stop('mic');
      this.#microphone = undefined;
      this.#setStatus('off');
    };
    if (this.#tracks.has('mic')) release();
    else void opening.then(release);
  }

  async openCamera(): Promise<MediaStreamTrack> {
    const epoch = this.#epoch;
    const track = await this.capture.camera();
    this.#keep(epoch, { camera: track });
    return track;
  }

  async openScreen(): Promise<{ video: MediaStreamTrack; audio?: MediaStreamTrack }> {
    const epoch = this.#epoch;
    const { video, audio } = await this.capture.screen();
    this.#keep(epoch, audio ? { screen: video, screenAudio: audio } : { screen: video });
    return audio ? { video, audio } : { video };
  }

  /** Stops a track and lets it go. */
  stop(slot: MediaSlot): void {
    const track = this.#tracks.get(slot);
    if (!track) return;
    this.#tracks.delete(slot);
    track.stop();
    if (slot === 'mic') {
      // The next join asks anew: there may be another one by then.
      this.#microphone = undefined;
      this.#status = 'unavailable';
    }
    this.onChange();
  }

  /** Stops everything, also what is being asked for at the moment. */
  clear(): void {
    this.#epoch++;
    for (const track of this.#tracks.values()) track.stop();
    this.#tracks.clear();
    this.#microphone = undefined;
    this.#status = 'off';
    this.onChange();
  }

  async #openMicrophone(): Promise<MediaStreamTrack | VoiceError> {
    const epoch = this.#epoch;
    this.#setStatus('asking');
    try {
      const track = await this.capture.microphone();
      this.#keep(epoch, { mic: track });
      this.#denied = false;
      this.#setStatus('on');
      return track;
    } catch (cause) {
      const error = toVoiceError(cause);
      if (epoch === this.#epoch) {
        this.#denied = error.code === 'DEVICE_DENIED';
        this.#setStatus('unavailable');
      }
      return error;
    }
  }

  #keep(epoch: number, tracks: Partial<Record<MediaSlot, MediaStreamTrack>>): void {
    const entries = Object.entries(tracks) as [MediaSlot, MediaStreamTrack][];
    if (epoch !== this.#epoch) {
      for (const [, track] of entries) track.stop();
      throw new VoiceError('CANCELLED', 'The channel was left before the device was open.');
    }
    for (const [slot, track] of entries) {
      this.#tracks.get(slot)?.stop();
      this.#tracks.set(slot, track);
      // Fires when the device or the person ends the track, not when `stop()` does.
      track.addEventListener('ended', () => this.#tracks.get(slot) === track && this.onEnded(slot), { once: true });
    }
    this.onChange();
  }

  #setStatus(status: MicrophoneStatus): void {
    this.#status = status;
    this.onChange();
  }
}
