// The STUN and TURN servers of a stay: the next TURN credential is fetched before the old one ends.

import { RENEW_AT, RENEW_RETRY } from './policy.js';
import type { IceSetup, RtcConfig } from './protocol.js';
import type { Signal } from './signal/signal.js';

/** The longest a browser's timer runs; a longer one would end at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export class IceServers {
  #config: RtcConfig = { iceServers: [], iceTransportPolicy: 'all' };
  /** When the next credential is to be fetched, by the clock of this machine; undefined when none ends. */
  #due: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #fetching: Promise<void> | undefined;

  constructor(
    private readonly signal: Signal,
    /** Aborts with the stay. */
    private readonly stay: AbortSignal,
    /** What is made with the old servers is to use these from now on. */
    private readonly onRenewed: (config: RtcConfig) => void,
  ) {
    stay.addEventListener('abort', () => clearTimeout(this.#timer), { once: true });
  }

  /** What the server told with a join, a resumption, or on its own. */
  take({ rtcConfig, turnCredentialTtl }: IceSetup): void {
    this.#config = rtcConfig;
    // The server says how long it lasts: the clocks of many machines are wrong by hours.
    this.#due = turnCredentialTtl === null ? undefined : Date.now() + turnCredentialTtl * 1000 * RENEW_AT;
    this.#wait();
  }

  /** The servers for a connection that begins now. New ones are fetched if it is time: a laptop that slept had no timers. */
  async current(): Promise<RtcConfig> {
    if (this.#due !== undefined && Date.now() >= this.#due) await this.#renew();
    return this.#config;
  }

  #wait(): void {
    clearTimeout(this.#timer);
    if (this.#due === undefined || this.stay.aborted) return;
    const left = this.#due - Date.now();
    this.#timer = setTimeout(() => (left > LONGEST_TIMER ? this.#wait() : void this.#renew()), Math.min(Math.max(left, 0), LONGEST_TIMER));
  }

  /** Never rejects: what cannot be renewed now is tried again, and a call that needs no relay goes on without. */
  #renew(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => (this.#fetching = undefined));
    return this.#fetching;
  }

  async #fetch(): Promise<void> {
    try {
      const setup = await this.signal.request('voice:rtc:getIceServers', {});
      if (this.stay.aborted) return;
      this.take(setup);
      this.onRenewed(setup.rtcConfig);
    } catch {
      if (this.stay.aborted) return;
      // After a lost connection the resumption brings new ones.
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#renew(), RENEW_RETRY);
    }
  }
}
