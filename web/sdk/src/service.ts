// The voice service: one person's way into, through and out of channels.

import { Call, type CallContext } from './call.js';
import { Emitter } from './emitter.js';
import { isTransient, toVoiceError, VoiceError } from './errors.js';
import type { ChannelInfo, ConnectionStatus, Self, VoiceEvents } from './events.js';
import { LocalMedia } from './local-media.js';
import { isInCall, isJoined, Machine, type State } from './machine.js';
import { JOIN_RETRIES } from './policy.js';
import type { Joined, Layers } from './protocol.js';
import { comeBack } from './reconnect.js';
import { Roster, type MediaSlot, type Participant } from './roster.js';
import { browserCapture, type Capture } from './rtc/capture.js';
import { mediasoupRtc } from './rtc/mediasoup.js';
import { pageAudio, type AudioOutput, type AudioOutputFactory } from './rtc/playback.js';
import type { RtcFactory, VideoCodec } from './rtc/rtc.js';
import type { Signal, SignalFactory } from './signal/signal.js';
import { socketIoSignal, type TokenSource } from './signal/socketio.js';
import { readStats, type CallStats } from './stats.js';

export interface VoiceServiceOptions {
  /** A JWT the server trusts, or a function that fetches a fresh one for every connection. */
  token: TokenSource;
  /** The server's origin; the page's own by default. */
  url?: string;
  /** The codec to send video with, if the browser and the server both have it. VP8 by default. */
  videoCodec?: VideoCodec;
}

/** The parts that touch the outside world. Tests replace them; applications need not. */
export interface VoiceServiceParts {
  signal?: SignalFactory;
  rtc?: RtcFactory;
  capture?: Capture;
  audio?: AudioOutputFactory;
}

export class VoiceService extends Emitter<VoiceEvents> {
  readonly #machine = new Machine((state, previous) => this.#moved(state, previous));
  readonly #roster = new Roster(() => this.#rosterChanged());
  readonly #signal: Signal;
  readonly #local: LocalMedia;
  readonly #audio: AudioOutput;
  readonly #createRtc: RtcFactory;
  readonly #videoCodec: VideoCodec;
  readonly #busy = new Map<'camera' | 'screen', Promise<boolean>>();

  #call: Call | undefined;
  #channel: ChannelInfo | undefined;
  #userId = '';
  #muted = false;
  /** What was asked for last; the server may not have agreed yet. */
  #wantsMuted = false;
  #deafened = false;
  #connection: ConnectionStatus = 'disconnected';
  #audioBlocked = false;
  /** Aborted by leaving: ends a join or a rejoin that is under way. */
  #stay: AbortController | undefined;
  #leaving: Promise<void> | undefined;

  constructor(options: VoiceServiceOptions, parts: VoiceServiceParts = {}) {
    super();
    this.#signal = (parts.signal ?? socketIoSignal(options))({
      onPush: (event, payload) => this.#call?.push(event, payload),
      onDisconnect: (reason) => this.#lose(new VoiceError('DISCONNECTED', 'The connection to the server broke.', { reason })),
    });
    this.#local = new LocalMedia(
      parts.capture ?? browserCapture,
      (slot) => this.#deviceEnded(slot),
      () => this.#selfChanged(),
    );
    this.#audio = (parts.audio ?? pageAudio)((blocked) => {
      this.#audioBlocked = blocked;
      this.emit('audio:blocked', blocked);
    });
    this.#createRtc = parts.rtc ?? mediasoupRtc;
    this.#videoCodec = options.videoCodec ?? 'VP8';
  }

  get state(): State {
    return this.#machine.state;
  }

  get connection(): ConnectionStatus {
    return this.#connection;
  }

  /** The channel one is in; during a reconnect the one to come back to. */
  get channel(): ChannelInfo | undefined {
    return this.#channel;
  }

  get participants(): readonly Participant[] {
    return this.#roster.participants;
  }

  get audioBlocked(): boolean {
    return this.#audioBlocked;
  }

  get self(): Self {
    const camera = this.#local.track('camera');
    const screen = this.#local.track('screen');
    return {
      userId: this.#userId,
      muted: this.#muted,
      deafened: this.#deafened,
      speaking: !this.#muted && this.#roster.isHeard(this.#userId),
      microphone: this.#local.microphoneStatus,
      media: { ...(camera && { camera }), ...(screen && { screen }) },
    };
  }

  /**
   * Joins a channel; leaves another one first. Resolves when media is set up. Rejects with the reason, and is
   * out again then: CHANNEL_FULL, PERMISSION_DENIED, CHANNEL_NOT_FOUND, RATE_LIMITED, UNAUTHENTICATED,
   * ALREADY_IN_CHANNEL, UNREACHABLE, TIMEOUT, CANCELLED…
   */
  async joinChannel(channelId: string): Promise<void> {
    while (this.#stay || this.#leaving) await this.leaveChannel();
    const stay = (this.#stay = new AbortController());
    this.#setConnection('connecting');
    // Asked for while the server is asked, so that neither waits for the other.
    void this.#local.microphone();
    try {
      await this.#enter(channelId, stay.signal, JOIN_RETRIES);
    } catch (cause) {
      stay.signal.throwIfAborted();
      const error = toVoiceError(cause);
      // The server had let us in already: that is a broken stay, not a refused join.
      if (this.#channel && isTransient(error)) return this.#recover(error, this.#channel.id, stay);
      if (error.code === 'ALREADY_IN_CHANNEL') console.info(`parlor: ${channelId}: already in this channel on another connection`);
      this.#end();
      throw error;
    }
  }

  /** Leaves the channel, or stops trying to get into it. Does nothing when there is none. */
  leaveChannel(): Promise<void> {
    if (!this.#stay) return this.#leaving ?? Promise.resolve();
    this.#leaving = this.#leave(this.#stay).finally(() => (this.#leaving = undefined));
    return this.#leaving;
  }

  /** Mutes or unmutes, and answers whether one is muted now. Enforced by the server: nothing of the microphone passes it. */
  async toggleMute(): Promise<boolean> {
    // The opposite of what was asked for last: who presses twice in haste is as before.
    const muted = (this.#wantsMuted = !this.#wantsMuted);
    // Silent at once; heard again only when the server agrees.
    if (muted) this.#setMuted(true);
    try {
      await this.#updateState({ muted });
    } catch (error) {
      if (this.#wantsMuted === muted) this.#wantsMuted = this.#muted;
      throw error;
    }
    if (this.#wantsMuted === muted) this.#setMuted(muted);
    return muted;
  }

  /** Stops or starts hearing the others, and answers whether one is deaf now. The server sends no sound meanwhile. */
  async toggleDeafen(): Promise<boolean> {
    const deafened = !this.#deafened;
    // Deaf at once; heard again only when the server agrees, because it sends nothing before.
    if (deafened) this.#setDeafened(true);
    await this.#updateState({ deafened });
    this.#setDeafened(deafened);
    return deafened;
  }

  /** Turns the camera on or off. False when the tier does not include video. */
  toggleVideo(): Promise<boolean> {
    return this.#exclusive('camera', async () => {
      if (this.#local.track('camera')) return this.#dropLocal('camera');
      if (!this.#allowed('VIDEO_CALLING')) return false;
      await this.#local.openCamera();
      return this.#sendLocal(['camera'], 'VIDEO_CALLING');
    });
  }

  /** Begins or ends sharing the screen. False when the tier does not include it. Rejects with DEVICE_DENIED when the person cancels. */
  toggleScreenShare(): Promise<boolean> {
    return this.#exclusive('screen', async () => {
      if (this.#local.track('screen')) return this.#dropLocal('screen');
      if (!this.#allowed('SCREEN_SHARE')) return false;
      const { audio } = await this.#local.openScreen();
      return this.#sendLocal(audio ? ['screen', 'screenAudio'] : ['screen'], 'SCREEN_SHARE');
    });
  }

  /** How loud one person is here: 0 (silent) to 1. */
  setPerUserVolume(userId: string, volume: number): void {
    this.#audio.setVolume(userId, volume);
  }

  /** Plays what the browser blocked; call it from a click. True when everything plays. */
  resumeAudio(): Promise<boolean> {
    return this.#audio.resume();
  }

  /** The highest layers of somebody's picture that are of use here; the server never sends more. */
  async setPreferredLayers(userId: string, slot: 'camera' | 'screen', layers: Layers): Promise<void> {
    const consumer = this.#call?.consumerOf(userId, slot);
    if (consumer) await this.#signal.request('voice:rtc:setPreferredLayers', { consumerId: consumer.id, ...layers });
  }

  /** Asks for a picture that can be decoded by itself. The server limits how often that reaches the sender. */
  async requestKeyFrame(userId: string, slot: 'camera' | 'screen'): Promise<void> {
    const consumer = this.#call?.consumerOf(userId, slot);
    if (consumer) await this.#signal.request('voice:rtc:requestKeyFrame', { consumerId: consumer.id });
  }

  /** What WebRTC measures at the moment, for tests and diagnostics. */
  getStats(): Promise<CallStats> {
    return readStats(this.state, this.#call);
  }

  /** Leaves, and closes the connection. */
  async close(): Promise<void> {
    await this.leaveChannel();
    this.#signal.close();
  }

  async #leave(stay: AbortController): Promise<void> {
    const channel = this.#channel;
    const wasIn = isJoined(this.state);
    stay.abort(new VoiceError('CANCELLED', 'The channel was left.'));
    this.#stay = undefined;
    this.#machine.dispatch('leave');
    this.#closeCall();
    this.#local.clear();
    // The server closes a stay with its socket too; asking first lets the others know at once.
    if (wasIn && this.#signal.connected) await this.#signal.request('voice:leave', {}).catch(() => {});
    this.#end();
    if (channel) this.emit('left', { channelId: channel.id, rejoining: false });
  }

  async #enter(channelId: string, signal: AbortSignal, retries: readonly number[], again = false): Promise<void> {
    if (!this.#machine.dispatch('join')) throw new VoiceError('INVALID_STATE', `Cannot join while ${this.state}.`);
    await this.#signal.connect();
    signal.throwIfAborted();
    const call = (this.#call = new Call(this.#context((joined) => this.#joined(joined, again))));
    await call.enter(channelId, retries);
  }

  #context(onJoined: (joined: Joined) => void): CallContext {
    return {
      signal: this.#signal,
      createRtc: this.#createRtc,
      local: this.#local,
      roster: this.#roster,
      audio: this.#audio,
      videoCodec: this.#videoCodec,
      state: () => ({ muted: this.#muted, deafened: this.#deafened }),
      dispatch: (event) => this.#machine.dispatch(event),
      onJoined,
      onParticipant: (change, userId, name) => this.emit(`participant:${change}`, { userId, name }),
      onLayers: (userId, slot, layers) => this.emit('layers', { userId, slot, layers }),
      onProducerLost: (slot) => this.#local.stop(slot),
      onLost: (error) => this.#lose(error),
      onProblem: (error) => this.emit('error', error),
    };
  }

  #joined(joined: Joined, again: boolean): void {
    this.#userId = joined.userId;
    const { channelId: id, channelName: name, permissions } = joined;
    this.#channel = { id, name, permissions, e2ee: joined.e2ee !== 'off', recording: joined.recording !== 'off' };
    this.#setConnection('connected');
    this.#selfChanged();
    this.emit('joined', { channel: this.#channel, again });
  }

  /** The stay ended by itself. While it is still being set up, whoever does that is told; later it is repaired here. */
  #lose(error: VoiceError): void {
    const [stay, channel, call] = [this.#stay, this.#channel, this.#call];
    if (!stay || !call) return;
    if (call.entered && channel) void this.#recover(error, channel.id, stay);
    else call.close(error);
  }

  /** After a loss: tries to come back where that can help. Never rejects; how it ended is an event. */
  async #recover(error: VoiceError, channelId: string, stay: AbortController): Promise<void> {
    this.#failed();
    if (!isTransient(error)) {
      this.#end();
      this.emit('left', { channelId, error, rejoining: false });
      return;
    }
    this.#roster.dropMedia();
    this.#setConnection('connecting');
    this.emit('left', { channelId, error, rejoining: true });
    try {
      await comeBack(() => this.#attempt(channelId, stay), stay.signal);
    } catch (cause) {
      // Left, or joined elsewhere, while trying: whoever did that has cleaned up.
      if (stay.signal.aborted) return;
      this.#end();
      this.emit('left', { channelId, error: toVoiceError(cause), rejoining: false });
    }
  }

  async #attempt(channelId: string, stay: AbortController): Promise<void> {
    try {
      await this.#enter(channelId, stay.signal, [], true);
    } catch (error) {
      if (this.#stay === stay) this.#failed();
      throw error;
    }
  }

  /** A stay, or an attempt to come back, is over: nothing of it may stay, here or on the server. */
  #failed(): void {
    const wasTold = this.state !== 'DISCONNECTED' && this.#signal.connected;
    this.#closeCall();
    this.#machine.dispatch('lost');
    // The socket may outlive the media. The server would refuse the next join of somebody it takes to be in; where it
    // does not, nothing is lost by asking.
    if (wasTold) this.#signal.request('voice:leave', {}).catch(() => {});
  }

  /** Out, for whatever reason: nothing stays open. */
  #end(): void {
    this.#stay?.abort(new VoiceError('CANCELLED', 'The channel was left.'));
    this.#stay = undefined;
    this.#closeCall();
    this.#machine.dispatch(this.state === 'LEAVING' ? 'left' : 'lost');
    this.#channel = undefined;
    this.#local.clear();
    this.#roster.clear();
    this.#signal.close();
    this.#setConnection('disconnected');
  }

  #closeCall(): void {
    this.#call?.close();
    this.#call = undefined;
  }

  /** Camera and screen: a second click waits for the first one's result instead of racing it. */
  #exclusive(slot: 'camera' | 'screen', toggle: () => Promise<boolean>): Promise<boolean> {
    const running = this.#busy.get(slot);
    if (running) return running;
    if (!isInCall(this.state)) return Promise.reject(new VoiceError('INVALID_STATE', `Cannot do that while ${this.state}.`));
    const started = toggle().finally(() => this.#busy.delete(slot));
    this.#busy.set(slot, started);
    return started;
  }

  #allowed(capability: 'VIDEO_CALLING' | 'SCREEN_SHARE'): boolean {
    const permissions = this.#channel?.permissions;
    const allowed = capability === 'VIDEO_CALLING' ? permissions?.video : permissions?.screenshare;
    if (!allowed) this.emit('capability:required', { capability });
    return allowed ?? false;
  }

  /** Sends tracks that were just opened; stops them if the server refuses. */
  async #sendLocal(slots: readonly MediaSlot[], capability: 'VIDEO_CALLING' | 'SCREEN_SHARE'): Promise<boolean> {
    try {
      for (const slot of slots) {
        const track = this.#local.track(slot);
        // Without a call at the moment: the rejoin sends what is open.
        if (track && this.#call) await this.#call.produce(slot, track);
      }
      return true;
    } catch (cause) {
      const error = toVoiceError(cause);
      // The connection broke meanwhile: the tracks are sent again after the rejoin.
      if (error.code === 'DISCONNECTED' && this.#stay) return true;
      for (const slot of slots) this.#dropLocal(slot);
      if (error.code !== 'CAPABILITY_REQUIRED') throw error;
      this.emit('capability:required', { capability });
      return false;
    }
  }

  /** Stops sending a track and closes its device. */
  #dropLocal(slot: MediaSlot): true {
    const slots: MediaSlot[] = slot === 'screen' ? ['screen', 'screenAudio'] : [slot];
    for (const each of slots) {
      this.#call?.closeProducer(each);
      this.#local.stop(each);
    }
    return true;
  }

  /** The browser's own "stop sharing" is a wish like any other; a microphone that goes away is worth a word. */
  #deviceEnded(slot: MediaSlot): void {
    this.#dropLocal(slot);
    if (slot === 'mic') this.emit('error', new VoiceError('DEVICE_MISSING', 'The microphone went away.', { device: 'microphone' }));
  }

  #setMuted(muted: boolean): void {
    this.#muted = muted;
    this.#call?.setMicrophonePaused(muted);
    this.#selfChanged();
  }

  #setDeafened(deafened: boolean): void {
    if (this.#deafened === deafened) return;
    this.#deafened = deafened;
    this.#audio.setDeafened(deafened);
    this.#selfChanged();
  }

  /** Outside a channel there is nobody to tell: the next join does. */
  async #updateState(state: { muted?: boolean; deafened?: boolean }): Promise<void> {
    if (isJoined(this.state)) await this.#signal.request('voice:state:update', state);
  }

  #setConnection(connection: ConnectionStatus): void {
    if (this.#connection === connection) return;
    this.#connection = connection;
    this.emit('connection', connection);
  }

  #moved(state: State, previous: State): void {
    this.emit('state', { state, previous });
  }

  #rosterChanged(): void {
    this.emit('participants', this.#roster.participants);
    this.emit('speakers', this.#roster.speakers);
    this.#selfChanged();
  }

  #selfChanged(): void {
    this.emit('self', this.self);
  }
}
