// The user's own microphone in a call: sent, taken away, lost, and asked for again.

import type { Call } from './call.js';
import { hasCode, toVoiceError, VoiceError } from './errors.js';
import type { LocalMedia } from './local-media.js';

export interface MicrophoneContext {
  readonly local: LocalMedia;
  readonly call: () => Call | undefined;
  /** Whether the user may be heard in the call: no spectator, and not silenced by a moderator. */
  readonly mayOpen: () => boolean;
  /** What changed by itself. */
  readonly onChange: (change: MicrophoneChange) => void;
  readonly onProblem: (error: VoiceError) => void;
}

/** `back`: one that went away was replaced. `available`: there is one now that can be turned on. */
export type MicrophoneChange = 'back' | 'available';

export class Microphone {
  #opening: Promise<void> | undefined;
  /** The microphone went away by itself, while it was in use. */
  #lost = false;

  constructor(private readonly context: MicrophoneContext) {}

  /** Asks for it, and sends it. Does nothing where it is on. Rejects with why there is none. */
  open(): Promise<void> {
    this.#opening ??= this.#open().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  /** Lets it go: a moderator has taken it away. */
  close(): void {
    this.#lost = false;
    this.context.call()?.sending.close('mic');
    this.context.local.releaseMicrophone();
  }

  /** The device went away, or the browser took back the permission. Another is taken where there is one. */
  async ended(): Promise<void> {
    this.context.call()?.sending.close('mic');
    this.context.local.stop('mic');
    this.#lost = true;
    const ended = new VoiceError('DEVICE_MISSING', 'The microphone went away.', { device: 'microphone' });
    await this.#reopen((error) => this.context.onProblem(hasCode(error, 'DEVICE_DENIED') ? error : ended));
  }

  /** A device was plugged in or out. */
  async devicesChanged(): Promise<void> {
    const { local, mayOpen, onChange } = this.context;
    if (local.microphoneStatus !== 'unavailable' || local.microphoneDenied || !mayOpen()) return;
    if (this.#lost) return this.#reopen(() => {});
    // Nobody has allowed one yet in this call: it is theirs to turn it on.
    if (await local.hasMicrophone()) onChange('available');
  }

  async #reopen(onFailure: (error: VoiceError) => void): Promise<void> {
    const { mayOpen, onChange } = this.context;
    if (!mayOpen()) return;
    try {
      await this.open();
      onChange('back');
    } catch (error) {
      if (!hasCode(error, 'CANCELLED')) onFailure(toVoiceError(error));
    }
  }

  async #open(): Promise<void> {
    const { local } = this.context;
    const call = this.context.call();
    if (!call?.entered) throw new VoiceError('INVALID_STATE', 'There is no call to speak in.');
    if (local.microphoneStatus === 'unavailable') local.forgetMicrophone();
    const track = await local.microphone();
    if (track instanceof VoiceError) throw track;
    this.#lost = false;
    // Silenced while the person was asked.
    if (!this.context.mayOpen()) return this.close();
    // The microphone may have come back in another stay: a stay that is still being set up sends what is open by itself.
    const now = this.context.call();
    if (now?.entered && !now.closed && !now.sending.producers.has('mic')) await now.sending.produce('mic', track);
  }
}
