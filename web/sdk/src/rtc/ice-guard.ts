// Watches one transport and restarts its ICE when the connection is lost; gives up after a few rounds.

import { VoiceError } from '../errors.js';
import { CONNECT_RETRIES, ICE_GRACE, ICE_RESTART_TIMEOUT } from '../policy.js';
import type { ConnectionState } from './rtc.js';

/** `restart` asks the server for new credentials and applies them; `giveUp` is called once, at the end. */
export class IceGuard {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rounds = 0;
  #state: ConnectionState = 'new';
  #closed = false;

  constructor(
    private readonly restart: () => Promise<void>,
    private readonly giveUp: (error: VoiceError) => void,
  ) {}

  /** To be told of every change of the transport's state. */
  onState(state: ConnectionState): void {
    if (this.#closed) return;
    this.#state = state;
    switch (state) {
      case 'connected':
        this.#rounds = 0;
        this.#after(undefined);
        break;
      case 'disconnected':
        // During a round of restarts the round's own timer decides.
        if (this.#rounds === 0) this.#after(ICE_GRACE);
        break;
      case 'failed':
        this.#after(this.#rounds === 0 ? 0 : CONNECT_RETRIES[this.#rounds - 1]);
        if (this.#rounds > CONNECT_RETRIES.length) this.#end();
        break;
      default:
        break;
    }
  }

  /** The server can be asked again: a restart that was in vain meanwhile does not count. */
  signalingIsBack(): void {
    if (this.#closed || (this.#state !== 'disconnected' && this.#state !== 'failed')) return;
    this.#rounds = 0;
    this.#after(0);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #after(ms: number | undefined): void {
    clearTimeout(this.#timer);
    this.#timer = ms === undefined ? undefined : setTimeout(() => void this.#round(), ms);
  }

  async #round(): Promise<void> {
    if (this.#closed) return;
    if (this.#rounds > CONNECT_RETRIES.length) return this.#end();
    this.#rounds++;
    this.#after(ICE_RESTART_TIMEOUT);
    try {
      await this.restart();
    } catch (error) {
      // Not there any more: no further round can help. Anything else is tried again by the timer.
      if (error instanceof VoiceError && (error.code === 'NOT_FOUND' || error.code === 'NOT_IN_CHANNEL')) this.#end();
    }
  }

  #end(): void {
    if (this.#closed) return;
    this.close();
    this.giveUp(new VoiceError('TRANSPORT_FAILED', 'The media connection was lost and could not be restored.'));
  }
}
