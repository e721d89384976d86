// The way in, the way out, and the way back: one stay after another, or one that outlives its connection.

import type { Call, EnterOptions } from './call.js';
import { hasCode, isTransient, toVoiceError, VoiceError } from './errors.js';
import type { ConnectionStatus, VoiceEvents } from './events.js';
import { isJoined, Machine, type State } from './machine.js';
import { JOIN_RETRIES } from './policy.js';
import type { Network } from './network.js';
import type { JoinOptions } from './options.js';
import type { Joined } from './protocol.js';
import { comeBack, movedTo, reasonOf } from './reconnect.js';
import type { Signal } from './signal/signal.js';

export interface StaysContext {
  readonly signal: Signal;
  readonly network: Network;
  readonly onJoining: () => void;
  readonly createCall: (onJoined: (joined: Joined) => void) => Call;
  /** The server let one in; `again` where one had been before. */
  readonly onJoined: (joined: Joined, again: boolean) => void;
  readonly onState: (state: State, previous: State) => void;
  readonly onConnection: (connection: ConnectionStatus) => void;
  readonly onLeft: (left: VoiceEvents['left']) => void;
  /** A moderator moved one: nothing of the channel before is left. */
  readonly onMoved: (from: string, to: string) => void;
  /** Media is gone; the people and the user's own devices stay for the way back. */
  readonly onBroken: () => void;
  /** Out for good: nothing may stay open. */
  readonly onOut: () => void;
}

export class Stays {
  readonly machine = new Machine((state, previous) => this.context.onState(state, previous));
  #call: Call | undefined;
  /** The channel the server has let us into; during a return the one to come back to. */
  #channelId: string | undefined;
  #connection: ConnectionStatus = 'disconnected';
  /** Aborted by leaving: ends a join or a return that is under way. */
  #stay: AbortController | undefined;
  #leaving: Promise<void> | undefined;
  /** On the way back into the channel. */
  #returning = false;
  /** Ends the time in which a stay without a connection can be gone on with. */
  #grace: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly context: StaysContext) {}

  get call(): Call | undefined {
    return this.#call;
  }

  get connection(): ConnectionStatus {
    return this.#connection;
  }

  /** Whether there is a stay, if only to come back to. */
  get staying(): boolean {
    return this.#stay !== undefined;
  }

  /** Goes in; leaves another channel first. */
  async join(channelId: string, { takeOver }: JoinOptions = {}): Promise<void> {
    while (this.#stay || this.#leaving) await this.leave();
    const stay = (this.#stay = new AbortController());
    this.#setConnection('connecting');
    this.context.onJoining();
    try {
      await this.#enter(channelId, [stay.signal], { retries: JOIN_RETRIES, takeOver });
    } catch (cause) {
      stay.signal.throwIfAborted();
      const error = toVoiceError(cause);
      const to = movedTo(error);
      if (to !== undefined) return this.#move(channelId, to);
      // The server had let us in already: that is a broken stay, not a refused join.
      if (this.#channelId !== undefined && isTransient(error)) return this.#recover(error, this.#channelId, stay);
      if (error.code === 'ALREADY_IN_CHANNEL') console.info(`parlor: ${channelId}: already in this channel on another connection`);
      this.#end();
      throw error;
    }
  }

  /** Leaves, or stops trying to get in. Does nothing when there is no stay. */
  leave(): Promise<void> {
    if (!this.#stay) return this.#leaving ?? Promise.resolve();
    this.#leaving = this.#leave(this.#stay).finally(() => (this.#leaving = undefined));
    return this.#leaving;
  }

  /** The socket broke. While the stay is still being set up, whoever does that is told; later it is repaired here. */
  disconnected(error: VoiceError): void {
    const [stay, channelId, call] = [this.#stay, this.#channelId, this.#call];
    if (!stay || !call) return;
    if (!call.entered || channelId === undefined) return call.close(error);
    // Broken once more while it is being resumed: the next attempt follows anyway.
    if (!this.#returning) void this.#recover(error, channelId, stay);
  }

  /** The stay ended by itself: by the server's word, or because media cannot be restored. */
  lost(error: VoiceError): void {
    const [stay, channelId, call] = [this.#stay, this.#channelId, this.#call];
    if (!stay || !call) return;
    if (!call.entered || channelId === undefined) return call.close(error);
    const to = movedTo(error);
    if (to !== undefined) return void this.#move(channelId, to);
    if (!isTransient(error)) return this.#out(channelId, error);
    this.#break(error);
    if (!this.#returning) void this.#recover(error, channelId, stay);
  }

  async #leave(stay: AbortController): Promise<void> {
    const channelId = this.#channelId;
    const wasIn = isJoined(this.machine.state);
    stay.abort(new VoiceError('CANCELLED', 'The channel was left.'));
    this.#stay = undefined;
    this.machine.dispatch('leave');
    this.#closeCall();
    this.context.onOut();
    // The server closes a stay with its socket too; asking first lets the others know at once.
    if (wasIn && this.context.signal.connected) await this.context.signal.request('voice:leave', {}).catch(() => {});
    this.#end();
    if (channelId !== undefined) this.context.onLeft({ channelId, rejoining: false });
  }

  async #enter(
    channelId: string,
    signals: readonly AbortSignal[],
    { again = false, ...how }: EnterOptions & { again?: boolean },
  ): Promise<void> {
    if (!this.machine.dispatch('join')) throw new VoiceError('INVALID_STATE', `Cannot join while ${this.machine.state}.`);
    await this.context.signal.connect();
    for (const signal of signals) signal.throwIfAborted();
    const call = (this.#call = this.context.createCall((joined) => {
      this.#channelId = joined.channelId;
      this.#setConnection('connected');
      this.context.onJoined(joined, again);
    }));
    await call.enter(channelId, how);
  }

  /**
   * After a loss: tries to come back where that can help. Never rejects; how it ended is an event. A stay that is still
   * whole, because only the socket broke, is gone on with as long as the server keeps it.
   */
  async #recover(error: VoiceError, channelId: string, stay: AbortController): Promise<void> {
    if (!isTransient(error)) return this.#out(channelId, error);
    this.#returning = true;
    this.#setConnection('connecting');
    const resumable = this.#call?.resumableMs ?? 0;
    if (resumable > 0) this.#grace = setTimeout(() => this.#break(error), resumable);
    else this.#break(error);
    try {
      const giveUp = () => {
        if (!this.#call?.resumableMs) this.#failed();
        this.context.signal.close();
      };
      const attempt = (late: AbortSignal) => this.#attempt(channelId, stay, late);
      const way = { attempt, connected: () => this.context.signal.connected, giveUp };
      await comeBack(way, this.context.network, stay.signal);
    } catch (cause) {
      // Left, or joined elsewhere, while trying: whoever did that has cleaned up.
      if (!stay.signal.aborted) this.#out(channelId, toVoiceError(cause));
    }
    if (this.#stay !== stay) return;
    this.#returning = false;
    // Broken again in the moment of success.
    if (!this.#call || !this.context.signal.connected) void this.#recover(error, channelId, stay);
  }

  /** The stay cannot be gone on with: from here on there is only another one. */
  #break(error: VoiceError): void {
    clearTimeout(this.#grace);
    if (this.#channelId === undefined || !this.#call) return;
    this.#failed();
    this.context.onBroken();
    this.#setConnection('connecting');
    this.context.onLeft({ channelId: this.#channelId, error, ...reasonOf(error), rejoining: true });
  }

  async #attempt(channelId: string, stay: AbortController, late: AbortSignal): Promise<void> {
    try {
      if (await this.#resume(channelId, stay)) return;
      await this.#enter(channelId, [stay.signal, late], { retries: [], again: true });
    } catch (error) {
      // A stay that was given up must not hurt the one after it.
      if (!late.aborted && this.#stay === stay && !this.#call?.resumableMs) this.#failed();
      throw error;
    }
  }

  /** Goes on with the stay on a new connection. False when there is nothing to go on with. */
  async #resume(channelId: string, stay: AbortController): Promise<boolean> {
    const call = this.#call;
    if (!call?.resumableMs) return false;
    await this.context.signal.connect();
    stay.signal.throwIfAborted();
    if (call.closed) return false;
    try {
      await call.resume(channelId);
      clearTimeout(this.#grace);
      return true;
    } catch (error) {
      stay.signal.throwIfAborted();
      // Broken again, or too early: the next attempt may still be in time.
      if (!call.closed && hasCode(error, 'DISCONNECTED', 'RATE_LIMITED')) throw error;
      this.#break(toVoiceError(error));
      return false;
    }
  }

  /** Into another channel, by a moderator's doing. Devices stay open. */
  async #move(from: string, to: string): Promise<void> {
    // Whatever is under way for the other channel ends here.
    this.#stay?.abort(new VoiceError('CANCELLED', 'Moved to another channel.'));
    const stay = (this.#stay = new AbortController());
    this.#returning = false;
    clearTimeout(this.#grace);
    this.#failed();
    this.#channelId = undefined;
    this.#setConnection('connecting');
    this.context.onMoved(from, to);
    try {
      await this.#enter(to, [stay.signal], { retries: JOIN_RETRIES });
    } catch (cause) {
      if (stay.signal.aborted) return;
      const error = toVoiceError(cause);
      const further = movedTo(error);
      if (further !== undefined) return this.#move(to, further);
      if (!isTransient(error)) return this.#out(to, error);
      this.#failed();
      return this.#recover(error, to, stay);
    }
  }

  /** A stay, or an attempt to come back, is over: nothing of it may stay, here or on the server. */
  #failed(): void {
    const { signal } = this.context;
    const wasTold = this.machine.state !== 'DISCONNECTED' && signal.connected;
    this.#closeCall();
    this.machine.dispatch('lost');
    // The socket may outlive the media. The server would refuse the next join of somebody it takes to be in; where it
    // does not, nothing is lost by asking.
    if (wasTold) signal.request('voice:leave', {}).catch(() => {});
  }

  /** The user is out of the channel, and did not ask for it. */
  #out(channelId: string, error: VoiceError): void {
    this.#end();
    this.context.onLeft({ channelId, error, ...reasonOf(error), rejoining: false });
  }

  /** Out, for whatever reason. */
  #end(): void {
    this.#stay?.abort(new VoiceError('CANCELLED', 'The channel was left.'));
    this.#stay = undefined;
    this.#returning = false;
    clearTimeout(this.#grace);
    this.#closeCall();
    this.machine.dispatch(this.machine.state === 'LEAVING' ? 'left' : 'lost');
    this.#channelId = undefined;
    this.context.onOut();
    this.context.signal.close();
    this.#setConnection('disconnected');
  }

  #closeCall(): void {
    this.#call?.close();
    this.#call = undefined;
  }

  #setConnection(connection: ConnectionStatus): void {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.context.onConnection(connection);
  }
}
