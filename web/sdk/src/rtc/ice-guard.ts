// Watches one transport and restarts its ICE when the connection is lost, or is not made; gives up after a few rounds.

import { VoiceError } from '../errors.js';
import { CONNECT_RETRIES, FIRST_CONNECTION, ICE_GRACE, ICE_RESTART_TIMEOUT } from '../policy.js';
import type { ConnectionState } from './rtc.js';

/**
 * `restart` asks the server for new credentials and applies them; `giveUp` is called once, at the end; `onLate` when a transport that
 * never was connected should be by now.
 */
export class IceGuard {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #rounds = 0;
  #state: ConnectionState = 'new';
  #closed = false;
  #everConnected = false;
  #late = false;

  constructor(
    private readonly restart: () => Promise<void>,
    private readonly giveUp: (error: VoiceError) => void,
    private readonly onLate: () => void = () => {},
  ) {}

  /** Whether the first connection is overdue. */
  get late(): boolean {
    return this.#late;
  }

  /** The transport is in use from now on, so that it should be connected soon. */
  begin(): void {
    if (!this.#closed && (this.#state === 'new' || this.#state === 'connecting')) this.#after(FIRST_CONNECTION);
  }

  /** To be told of every change of the transport's state. */
  onState(state: ConnectionState): void {
    if (this.#closed) return;
    this.#state = state;
    switch (state) {
      case 'connected':
        this.#rounds = 0;
        this.#everConnected = true;
        this.#late = false;
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
    const broken = this.#late || this.#state === 'disconnected' || this.#state === 'failed';
    if (this.#closed || !broken) return;
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
    if (!this.#everConnected && !this.#late) {
      this.#late = true;
      this.onLate();
    }
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
