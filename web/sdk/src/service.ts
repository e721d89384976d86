// The voice service: one person's way into, through and out of channels.

import { Call, type CallContext, type PersonalPush } from './call.js';
import { Emitter } from './emitter.js';
import { VoiceError } from './errors.js';
import type { ChannelInfo, ConnectionStatus, Self, ToggleOutcome, VideoQueue, VoiceEvents } from './events.js';
import { LocalMedia } from './local-media.js';
import { isInCall, isJoined, type State } from './machine.js';
import { Microphone } from './microphone.js';
import { browserNetwork, type Network } from './network.js';
import type { JoinOptions, VoiceServiceOptions, VoiceServiceParts } from './options.js';
import type { Joined, Layers, ModerationCommand, Permissions, Restrictions, SaidState } from './protocol.js';
import { Roster, type MediaSlot, type Participant } from './roster.js';
import { browserCapture } from './rtc/capture.js';
import { mediasoupRtc } from './rtc/mediasoup.js';
import { pageAudio, type AudioOutput } from './rtc/playback.js';
import type { RtcFactory, VideoCodec } from './rtc/rtc.js';
import type { Signal } from './signal/signal.js';
import { socketIoSignal } from './signal/socketio.js';
import { readStats, type CallStats } from './stats.js';
import { Stays } from './stays.js';
import { capabilities, Videos } from './videos.js';
import { Voice } from './voice.js';

/** The reason of these events belongs to the end of the stay. */
const PUTS_OUT = new Set<string>(['kick', 'ban', 'end-call']);

/** The voice of a page: joins channels, sends and receives, and comes back by itself when the connection breaks. */
export class VoiceService extends Emitter<VoiceEvents> {
  readonly #roster = new Roster(() => this.#rosterChanged());
  readonly #signal: Signal;
  readonly #stays: Stays;
  readonly #local: LocalMedia;
  readonly #audio: AudioOutput;
  readonly #createRtc: RtcFactory;
  readonly #videoCodec: VideoCodec;
  readonly #voice: Voice;
  readonly #videos: Videos;
  readonly #microphone: Microphone;
  readonly #network: Network;
  /** Begins to hear what the browser says of network and devices; the answers end that. */
  readonly #watch: () => (() => void)[];
  #watches: (() => void)[] = [];

  /** The channel the user is in; during a reconnect the one to come back to. */
  #channel: ChannelInfo | undefined;
  #userId = '';
  /** Kept from one stay to the next: that one joined anew does not mean that media flows again. */
  #unreached = false;
  #audioBlocked = false;
  /** What the moderator who puts one out gives as the reason. */
  #note: string | undefined;

  constructor(options: VoiceServiceOptions, parts: VoiceServiceParts = {}) {
    super();
    const network = (this.#network = parts.network ?? browserNetwork);
    this.#signal = (parts.signal ?? socketIoSignal(options))({
      onPush: (event, payload) => this.#stays.call?.push(event, payload),
      onDisconnect: (reason) => this.#stays.disconnected(new VoiceError('DISCONNECTED', 'The connection to the server broke.', { reason })),
    });
    this.#stays = new Stays({
      signal: this.#signal,
      network,
      // Asked for while the server is asked, so that neither waits for the other.
      onJoining: () => {
        this.#watches = this.#watch();
        void this.#local.microphone();
      },
      createCall: (onJoined) => new Call(this.#context(onJoined)),
      onJoined: (joined, again) => this.#joined(joined, again),
      onState: (state, previous) => this.emit('state', { state, previous }),
      onConnection: (connection) => this.emit('connection', connection),
      onLeft: (left) => this.#left(left),
      onMoved: (from, to) => {
        this.#roster.clear();
        this.#channel = undefined;
        this.emit('moved', { from, to });
      },
      onBroken: () => this.#roster.dropMedia(),
      onOut: () => this.#out(),
    });
    const capture = parts.capture ?? browserCapture;
    this.#local = new LocalMedia(
      capture,
      (slot) => this.#deviceEnded(slot),
      () => this.#selfChanged(),
    );
    this.#audio = (parts.audio ?? pageAudio)((blocked) => {
      this.#audioBlocked = blocked;
      this.emit('audio:blocked', blocked);
    });
    this.#voice = new Voice({
      tell: (state) => this.#tell(state),
      returning: () => this.#stays.staying,
      onChange: () => {
        this.#audio.setDeafened(this.#voice.deaf);
        this.#stays.call?.sending.refresh();
        this.#selfChanged();
      },
    });
    this.#videos = new Videos({
      signal: this.#signal,
      local: this.#local,
      call: () => this.#stays.call,
      permissions: () => this.#channel?.permissions,
      demand: (restriction) => this.#voice.demand(restriction),
      staying: () => this.#stays.staying,
      onCapability: (capability) => this.emit('capability:required', { capability }),
      onQueue: (queue) => {
        this.emit('slot:queue', queue);
        this.#selfChanged();
      },
      onGranted: (source) => this.emit('slot:granted', { source }),
      onProblem: (error) => this.emit('error', error),
    });
    this.#microphone = new Microphone({
      local: this.#local,
      call: () => this.#stays.call,
      mayOpen: () => this.#voice.role === 'speaker' && !this.#voice.restrictions.audio,
      onChange: (change) => this.emit('microphone', { change }),
      onProblem: (error) => this.emit('error', error),
    });
    this.#watch = () => [network.watch(() => this.#selfChanged()), capture.watch(() => void this.#microphone.devicesChanged())];
    this.#createRtc = parts.rtc ?? mediasoupRtc;
    this.#videoCodec = options.videoCodec ?? 'VP8';
  }

  /** The state of the client between being out of every channel and sending all it has. */
  get state(): State {
    return this.#stays.machine.state;
  }

  /** The state of the connection to the server. */
  get connection(): ConnectionStatus {
    return this.#stays.connection;
  }

  /** The channel the user is in; during a reconnect the one to come back to. */
  get channel(): ChannelInfo | undefined {
    return this.#channel;
  }

  /** The others in the channel, in the order they came. */
  get participants(): readonly Participant[] {
    return this.#roster.participants;
  }

  /** Whether the browser plays no sound until `resumeAudio()` is called from a click. */
  get audioBlocked(): boolean {
    return this.#audioBlocked;
  }

  /** The user of this client, as the others see them. */
  get self(): Self {
    const camera = this.#videos.sent('camera');
    const screen = this.#videos.sent('screen');
    const { wanted, restrictions } = this.#voice;
    return {
      userId: this.#userId,
      ...wanted,
      speaking: !this.#voice.silenced('mic') && this.#roster.isHeard(this.#userId),
      microphone: this.#local.microphoneStatus,
      cutOff: this.#cutOff,
      unreached: this.#unreached,
      restrictions,
      media: { ...(camera && { camera }), ...(screen && { screen }) },
    };
  }

  /** The user's own sources that wait for a video slot, and their place in the queue. */
  get videoQueue(): VideoQueue {
    return this.#videos.queue;
  }

  /**
   * Joins a channel; leaves another one first. Resolves when media is set up. Rejects with the reason, and is
   * out again then: CHANNEL_FULL, CHANNEL_CLOSED, PERMISSION_DENIED, CHANNEL_NOT_FOUND, RATE_LIMITED, UNAUTHENTICATED,
   * ALREADY_IN_CHANNEL, UNREACHABLE, TIMEOUT, CANCELLED…
   */
  joinChannel(channelId: string, options?: JoinOptions): Promise<void> {
    return this.#stays.join(channelId, options);
  }

  /** Leaves the channel, or stops trying to get into it. Does nothing when there is none. */
  leaveChannel(): Promise<void> {
    return this.#stays.leave();
  }

  /**
   * Mutes or unmutes, and answers whether one is muted now. Enforced by the server: nothing of the microphone passes it.
   * Where there is no microphone it is asked for again, and one is not muted then; rejects with DEVICE_DENIED,
   * DEVICE_MISSING or DEVICE_BUSY when there still is none. Rejects with MODERATED while a moderator has muted one, and
   * with SPECTATOR where one may only listen.
   */
  async toggleMute(): Promise<boolean> {
    const { microphoneStatus } = this.#local;
    const has = microphoneStatus === 'on' || microphoneStatus === 'asking';
    if (has || !this.#stays.call?.entered) return this.#voice.toggleMute();
    this.#voice.demandVoice();
    await this.#microphone.open();
    return this.#voice.wanted.muted ? this.#voice.toggleMute() : false;
  }

  /**
   * Stops or starts hearing the others, and answers whether one is deaf now. The server sends no sound meanwhile.
   * Rejects with MODERATED while a moderator has deafened one.
   */
  toggleDeafen(): Promise<boolean> {
    return this.#voice.toggleDeafen();
  }

  /**
   * Turns the camera on or off. False when the tier does not include video. `queued` when every video slot is taken:
   * it begins by itself when one is free, unless one calls this again, which gives up the place in the queue.
   */
  toggleVideo(): Promise<ToggleOutcome> {
    return this.#inCall(() => this.#videos.toggle('camera'));
  }

  /**
   * Begins or ends sharing the screen. False when the tier does not include it, `queued` as with the camera.
   * Rejects with DEVICE_DENIED when the person cancels.
   */
  toggleScreenShare(): Promise<ToggleOutcome> {
    return this.#inCall(() => this.#videos.toggle('screen'));
  }

  /** Does what moderators may: mute, deafen, kick, ban, move, end the call. PERMISSION_DENIED for who is none. */
  async moderate(command: ModerationCommand): Promise<void> {
    await this.#signal.request('voice:moderate', command);
  }

  /** How long the server takes to answer, in ms, and the time of day there, in ms since 1970. Connects if need be, also before a join. */
  async ping(): Promise<{ roundTripMs: number; serverTimeMs: number }> {
    await this.#signal.connect();
    const began = performance.now();
    const { serverTimeMs } = await this.#signal.request('voice:ping', {});
    return { roundTripMs: performance.now() - began, serverTimeMs };
  }

  /** The loudness of one person here: 0 (silent) to 1. */
  setPerUserVolume(userId: string, volume: number): void {
    this.#audio.setVolume(userId, volume);
  }

  /** Plays what the browser blocked; call it from a click. True when everything plays. */
  resumeAudio(): Promise<boolean> {
    return this.#audio.resume();
  }

  /** The highest layers of somebody's picture that are of use here; the server never sends more. */
  async setPreferredLayers(userId: string, slot: 'camera' | 'screen', layers: Layers): Promise<void> {
    const consumer = this.#stays.call?.receiving.of(userId, slot);
    if (consumer) await this.#signal.request('voice:rtc:setPreferredLayers', { consumerId: consumer.id, ...layers });
  }

  /** Asks for a picture that can be decoded by itself. The server limits how often that reaches the sender. */
  async requestKeyFrame(userId: string, slot: 'camera' | 'screen'): Promise<void> {
    const consumer = this.#stays.call?.receiving.of(userId, slot);
    if (consumer) await this.#signal.request('voice:rtc:requestKeyFrame', { consumerId: consumer.id });
  }

  /** What WebRTC measures at the moment, for tests and diagnostics. */
  getStats(): Promise<CallStats> {
    return readStats(this.state, this.#stays.call);
  }

  /** Leaves, and closes the connection. */
  async close(): Promise<void> {
    await this.leaveChannel();
    this.#signal.close();
  }

  #context(onJoined: (joined: Joined) => void): CallContext {
    return {
      signal: this.#signal,
      createRtc: this.#createRtc,
      local: this.#local,
      roster: this.#roster,
      audio: this.#audio,
      videoCodec: this.#videoCodec,
      state: () => this.#voice.wanted,
      networkType: () => this.#network.type,
      silenced: (slot) => this.#voice.silenced(slot),
      dispatch: (event) => this.#stays.machine.dispatch(event),
      onJoined,
      onReach: () => this.#reachChanged(),
      onReady: () => this.#videos.restore(),
      onParticipant: (change, userId, name) => this.emit(`participant:${change}`, { userId, name }),
      onLayers: (userId, slot, layers) => this.emit('layers', { userId, slot, layers }),
      onPersonal: (push) => this.#personal(push),
      onProducerLost: (slot, reason, meanwhile) => {
        if (!meanwhile || !this.#videos.keeps(slot)) this.#local.stop(slot);
        this.emit('producer:closed', { slot, ...(reason && { reason }) });
      },
      onLost: (error) => {
        this.#unreached ||= error.code === 'TRANSPORT_FAILED';
        this.#stays.lost(error);
      },
      onProblem: (error) => this.emit('error', error),
    };
  }

  #joined(joined: Joined, again: boolean): void {
    this.#userId = joined.userId;
    const before = this.#channel?.permissions;
    const { channelId: id, channelName: name, permissions, role, moderator, state } = joined;
    this.#channel = { id, name, permissions, role, moderator, e2ee: joined.e2ee !== 'off', recording: joined.recording !== 'off' };
    this.#voice.role = role;
    this.#restrict({ ...state.serverMuted, deafened: state.serverDeafened });
    if (joined.resumed) this.#voice.heed(state);
    const channel = this.#channel;
    if (joined.resumed) this.emit('resumed', { channel });
    else this.emit('joined', { channel, again });
    this.#entitle(before, permissions, 'changed');
  }

  #personal(push: PersonalPush): void {
    switch (push.event) {
      case 'voice:slot:granted':
        this.#videos.granted(push.payload);
        break;
      case 'voice:slot:queue':
        this.#videos.moved(push.payload);
        break;
      case 'voice:moderation':
        this.#restrict(push.payload.restrictions);
        if (PUTS_OUT.has(push.payload.action)) this.#note = push.payload.reason ?? undefined;
        this.emit('moderation', push.payload);
        break;
      case 'voice:entitlement': {
        const { permissions, reason } = push.payload;
        const before = this.#channel;
        if (!before) return;
        this.#channel = { ...before, permissions };
        this.#entitle(before.permissions, permissions, reason);
        break;
      }
    }
  }

  /** What a moderator takes away is closed, device and all; when it is given back, it is the person's to open. */
  #restrict(restrictions: Restrictions): void {
    this.#voice.restrict(restrictions);
    if (restrictions.audio) {
      this.#microphone.close();
      this.#videos.drop('screenAudio');
    }
    if (restrictions.video) this.#videos.drop('camera');
    if (restrictions.screen) this.#videos.drop('screen');
  }

  /** What the user may do has perhaps changed: what is not allowed any more is stopped. */
  #entitle(before: Permissions | undefined, permissions: Permissions, reason: 'expired' | 'changed'): void {
    this.#videos.enforce(permissions);
    if (!before || JSON.stringify(before) === JSON.stringify(permissions)) return;
    const [had, has] = [capabilities(before), capabilities(permissions)];
    const without = (these: typeof had, those: typeof had) => these.filter((capability) => !those.includes(capability));
    this.emit('entitlement', { permissions, lost: without(had, has), gained: without(has, had), reason });
  }

  #left(left: VoiceEvents['left']): void {
    const { error } = left;
    const note = this.#note;
    this.#note = undefined;
    const told = error && note !== undefined ? new VoiceError(error.code, error.message, { ...error.details, note }) : error;
    this.emit('left', { ...left, ...(told && { error: told }) });
  }

  /** No device stays open. */
  #out(): void {
    for (const end of this.#watches.splice(0)) end();
    this.#channel = undefined;
    this.#unreached = false;
    this.#local.clear();
    this.#videos.clear();
    this.#voice.reset();
    this.#roster.clear();
  }

  #inCall<T>(action: () => Promise<T>): Promise<T> {
    if (isInCall(this.state)) return action();
    return Promise.reject(new VoiceError('INVALID_STATE', `Cannot do that while ${this.state}.`));
  }

  /** The browser's own "stop sharing" is a wish like any other; a microphone that goes away is replaced if that can be. */
  #deviceEnded(slot: MediaSlot): void {
    if (slot === 'mic') void this.#microphone.ended();
    else this.#videos.drop(slot);
  }

  /** The media connection counts: it may well outlive the one to the server's signaling. */
  get #cutOff(): boolean {
    if (!this.#channel || !this.#stays.staying) return false;
    const call = this.#stays.call;
    return !this.#network.online || !call || call.interrupted || this.#unreached || this.state === 'DISCONNECTED';
  }

  #reachChanged(): void {
    const call = this.#stays.call;
    if (call?.unreached) this.#unreached = true;
    else if (call?.reached) this.#unreached = false;
    this.#selfChanged();
  }

  /** Outside a channel there is nobody to tell: the next join does. */
  async #tell(state: Partial<SaidState>): Promise<void> {
    if (isJoined(this.state)) await this.#signal.request('voice:state:update', state);
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
