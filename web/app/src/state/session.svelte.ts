// What the page shows, kept in step with the voice service: the one place where the two meet.

import {
  initVoiceService,
  isInCall,
  VoiceError,
  type Capability,
  type ChannelInfo,
  type ConnectionStatus,
  type JoinOptions,
  type ModerationCommand,
  type Participant,
  type Restrictions,
  type Self,
  type VideoCodec,
  type VideoQueue,
  type VideoSource,
  type VoiceService,
} from '@parlor/client';

import { sentenceFor, t } from '../i18n/index.js';
import { findIdentity, guestToken, readAddress, type Identity } from './identity.js';
import { moderationRefusal, restrictionNews, type Question } from './moderating.js';
import { Opening } from './opening.svelte.js';
import { guestId, keepCall, keptCall, type KeptCall } from './reload.js';
import { recall, remember } from './settings.js';

/** A sentence that stays until it is dismissed or its time is over. */
export interface Notice {
  id: number;
  text: string;
  tone: 'info' | 'bad';
  /** What can be done about it at once. */
  action?: { label: string; run: () => unknown };
  /** The subject of a notice: a later sentence about the same subject takes its place. */
  about?: string;
}

const FREE: Restrictions = { audio: false, video: false, screen: false, deafened: false };
const NOBODY: Self = {
  userId: '',
  muted: false,
  deafened: false,
  speaking: false,
  microphone: 'off',
  cutOff: false,
  unreached: false,
  restrictions: FREE,
  media: {},
};
/** Why a stay ends when its user goes on with another window or device. */
const ELSEWHERE = new Set<string | undefined>(['moved-device', 'replaced']);
/** After so many refusals in a row a reloaded page leaves it to the person. */
const RELOAD_TRIES = 3;
/** Long enough to read the longest sentence twice. */
const NOTICE_MS = 12_000;

export class Session {
  identity = $state.raw<Identity | undefined>();
  name = $state(recall('name', ''));
  channelId = $state(recall('channel', 'lobby'));
  pro = $state(recall('pro', 'yes') === 'yes');

  connection = $state<ConnectionStatus>('disconnected');
  /** Media can be sent. */
  ready = $state(false);
  channel = $state.raw<ChannelInfo | undefined>();
  participants = $state.raw<readonly Participant[]>([]);
  self = $state.raw<Self>(NOBODY);
  audioBlocked = $state(false);

  joining = $state(false);
  /** Why the last join or stay ended, as a sentence. */
  refusal = $state('');
  /** Whether it is a calm hint rather than a failure: nothing is wrong, the user is there already. */
  refusalIsHint = $state(false);
  /** The stay ended by itself: the red dot. */
  wasLost = $state(false);
  /** Whether the user is in the channel already, or went on in another one: in another window, or on another device. */
  isElsewhere = $state(false);
  /** Before this time a join would be refused again. */
  retryAt = $state(0);
  /** There was a call before: the way in is where one comes back to. */
  returning = false;
  notices = $state.raw<readonly Notice[]>([]);
  /** What a screen reader is told next. */
  announcement = $state('');
  upgrade = $state<Capability | undefined>();
  /** The user's own sources that wait for a video slot. */
  queue = $state.raw<VideoQueue>({});
  /** What a moderator is asked once more. */
  question = $state.raw<Question | undefined>();
  /** Whether the channel the user is in, or would join, is open. */
  readonly opening = new Opening(
    async () => this.#token(this.name.trim() || this.#guest),
    (active) => {
      // The way in says it where it stands, aloud too.
      if (this.inCall) this.announce(t(active ? 'call.opened' : 'call.closed'));
    },
  );

  #service: VoiceService | undefined;
  #lastNotice = 0;
  #restrictions = FREE;
  /** As they were set in this window; somebody who comes back is as loud as before, and so is shown. */
  readonly #volumes = new Map<string, number>();
  readonly #query = new URLSearchParams(location.search);
  readonly #guest = this.#query.get('user') ?? guestId();
  /** The page was reloaded in this call. */
  #kept = keptCall();

  constructor() {
    this.#readAddress();
    // A link to this page that is opened in its own window changes the fragment and loads nothing: its token is taken,
    // and taken out of the address, all the same.
    addEventListener('hashchange', () => this.#readAddress());
    // Closing the page says goodbye at once instead of leaving it to time-outs.
    addEventListener('pagehide', (event) => {
      if (!event.persisted) void this.#service?.close();
    });
  }

  /** Whether there is a call to show. It stays in view while the service reconnects. */
  get inCall(): boolean {
    return this.channel !== undefined;
  }

  /** The channel whose window is followed; undefined while there is nobody to ask as. */
  get place(): string | undefined {
    const known = this.identity !== undefined && this.identity.kind !== 'none';
    return known ? (this.channel?.id ?? this.channelId.trim()) : undefined;
  }

  /** Whether the address of the page lets others in: who was signed in by a host application has a token that is not in it. */
  get canInvite(): boolean {
    return this.identity?.kind === 'guest';
  }

  get isSpectator(): boolean {
    return this.channel?.role === 'spectator';
  }

  get isModerator(): boolean {
    return this.channel?.moderator ?? false;
  }

  get canCapture(): { camera: boolean; screen: boolean } {
    const permissions = this.channel?.permissions;
    return { camera: permissions?.video ?? false, screen: permissions?.screenshare ?? false };
  }

  /** `as`: the state the user had in the call before the page was reloaded. */
  async join(as?: Pick<KeptCall, 'muted' | 'deafened'>, options?: JoinOptions): Promise<void> {
    const { identity } = this;
    const [name, channelId] = [this.name.trim(), this.channelId.trim()];
    if (this.joining || !identity || identity.kind === 'none') return;
    this.joining = true;
    this.opening.opened = false;
    this.#setRefusal('');
    remember('channel', channelId);
    if (identity.kind === 'guest') {
      remember('name', name);
      remember('pro', this.pro ? 'yes' : 'no');
    }
    const service = this.#start(identity.kind === 'host' ? identity.token : async () => this.#token(name));
    try {
      if (as?.muted) await service.toggleMute();
      if (as?.deafened) await service.toggleDeafen();
      await service.joinChannel(channelId, options);
    } catch (error) {
      if (service === this.#service && !this.#awaits(error, channelId)) this.#refused(error);
    } finally {
      if (service === this.#service) this.joining = false;
    }
  }

  /** Joins, and has the window or device that is in the channel leave it. */
  continueHere(): Promise<void> {
    return this.join(undefined, { takeOver: true });
  }

  /** Leaves, or cancels a join that is under way. What the server says to it is not waited for. */
  async leave(): Promise<void> {
    this.channel = undefined;
    await this.#service?.leaveChannel();
  }

  async toggleMute(): Promise<void> {
    await this.#try(async (service) => this.announce(t((await service.toggleMute()) ? 'announce.muted' : 'announce.unmuted')));
  }

  async toggleDeafen(): Promise<void> {
    await this.#try(async (service) => this.announce(t((await service.toggleDeafen()) ? 'announce.deafened' : 'announce.undeafened')));
  }

  async toggleCamera(): Promise<void> {
    await this.#toggleVideo('camera', (service) => service.toggleVideo());
  }

  async toggleScreen(): Promise<void> {
    await this.#toggleVideo('screen', (service) => service.toggleScreenShare());
  }

  /** Does what a moderator may. True when it was done. */
  async moderate(command: ModerationCommand): Promise<boolean> {
    try {
      await this.#service?.moderate(command);
      return true;
    } catch (error) {
      this.notify(moderationRefusal(error), 'bad');
      return false;
    }
  }

  volumeOf(userId: string): number {
    return this.#volumes.get(userId) ?? 1;
  }

  setVolume(userId: string, volume: number): void {
    this.#volumes.set(userId, volume);
    this.#service?.setPerUserVolume(userId, volume);
  }

  /** Says how large a picture is shown, so that no more is sent than can be seen. */
  wantLayer(userId: string, slot: 'camera' | 'screen', spatialLayer: number): void {
    // A wish: if it gets lost, the picture is merely sharper or softer than needed.
    this.#service?.setPreferredLayers(userId, slot, { spatialLayer }).catch(() => {});
  }

  async hear(): Promise<void> {
    await this.#service?.resumeAudio();
  }

  notify(text: string, tone: Notice['tone'] = 'info', more: Pick<Notice, 'action' | 'about'> = {}): void {
    const others = this.notices.filter(({ about }) => about === undefined || about !== more.about);
    // The same sentence twice tells nobody more.
    if (others.some((notice) => notice.text === text)) return;
    const id = ++this.#lastNotice;
    this.notices = [...others, { id, text, tone, ...more }];
    // What can be answered stays until it is.
    if (!more.action) setTimeout(() => this.dismiss(id), NOTICE_MS);
  }

  dismiss(id: number): void {
    this.notices = this.notices.filter((notice) => notice.id !== id);
  }

  announce(text: string): void {
    this.announcement = text;
  }

  #readAddress(): void {
    const { token, channel } = readAddress(location, history);
    if (channel !== undefined && !this.inCall && !this.joining) this.channelId = channel;
    void findIdentity(token).then((identity) => {
      this.identity = identity;
      if (identity.kind === 'host') this.name = identity.name;
      void this.#stay();
    });
  }

  /** After a reload the call goes on as the user was in it. */
  async #stay(): Promise<void> {
    const kept = this.#kept;
    this.#kept = undefined;
    if (!kept || this.inCall || this.joining) return;
    this.channelId = kept.channel;
    if (this.identity?.kind === 'guest') [this.name, this.pro] = [kept.name, kept.pro];
    for (let tries = 1; ; tries++) {
      await this.join(kept);
      // Who reloads often has to wait for a moment, and then is in again without a click.
      const wait = this.retryAt - Date.now();
      if (this.inCall || this.retryAt === 0 || tries === RELOAD_TRIES) return;
      const { refusal } = this;
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, wait)));
      // Meanwhile the person went in by hand, or to another channel.
      if (this.inCall || this.joining || this.refusal !== refusal || this.channelId !== kept.channel) return;
    }
  }

  /** Another window goes on with the call of this one. */
  #keep(): void {
    const { channel, name, pro, self } = this;
    keepCall(channel && { channel: channel.id, name, pro, muted: self.muted, deafened: self.deafened });
  }

  /** What one shows to the server: as a guest, a token of this moment. */
  async #token(name: string): Promise<string> {
    return this.identity?.kind === 'host' ? this.identity.token : guestToken(this.#guest, name, this.pro);
  }

  /** A channel that is closed is waited for: the page says when it opens, and follows. */
  #awaits(error: unknown, channelId: string): boolean {
    return error instanceof VoiceError && error.code === 'CHANNEL_CLOSED' && this.opening.learn(channelId, error.details);
  }

  #start(token: string | (() => Promise<string>)): VoiceService {
    const wanted = this.#query.get('codec')?.toUpperCase();
    const videoCodec = wanted === 'H264' || wanted === 'VP9' ? (wanted as VideoCodec) : 'VP8';
    const service = initVoiceService({ token, videoCodec });
    this.#service = service;
    this.self = service.self;
    this.#listen(service);
    for (const [userId, volume] of this.#volumes) service.setPerUserVolume(userId, volume);
    // For tests and for people who look for a fault: the service, from the console.
    if (this.#query.has('debug') || import.meta.env.DEV || this.identity?.kind === 'guest') Object.assign(window, { parlor: service });
    return service;
  }

  #listen(service: VoiceService): void {
    const current =
      <T>(handler: (payload: T) => void) =>
      (payload: T) =>
        service === this.#service && handler(payload);
    service.on(
      'connection',
      current((connection) => {
        this.connection = connection;
        if (connection === 'connecting' && this.inCall) this.announce(t('announce.reconnecting'));
      }),
    );
    service.on(
      'state',
      current(({ state }) => (this.ready = isInCall(state))),
    );
    service.on(
      'participants',
      current((participants) => (this.participants = participants)),
    );
    service.on(
      'self',
      current((self) => {
        if (self.unreached && !this.self.unreached) this.announce(t('call.unreached'));
        else if (self.cutOff && !this.self.cutOff) this.announce(t('call.cutOff'));
        else if (this.self.unreached && !self.unreached && service.channel) this.announce(t('announce.reconnected'));
        this.self = self;
        this.#keep();
      }),
    );
    service.on(
      'audio:blocked',
      current((blocked) => (this.audioBlocked = blocked)),
    );
    service.on(
      'participant:joined',
      current(({ name }) => this.announce(t('announce.joined', { name }))),
    );
    service.on(
      'participant:left',
      current(({ name }) => this.announce(t('announce.left', { name }))),
    );
    service.on(
      'capability:required',
      current(({ capability }) => (this.upgrade = capability)),
    );
    service.on(
      'error',
      current((error) => this.notify(sentenceFor(error), 'bad')),
    );
    service.on(
      'microphone',
      current(({ change }) => {
        const about = 'microphone';
        if (change === 'available') {
          const action = { label: t('tool.mute.none'), run: () => this.toggleMute() };
          this.notify(t('microphone.available'), 'info', { about, action });
        } else this.notify(t(service.self.muted ? 'microphone.back.muted' : 'microphone.back'), 'info', { about });
      }),
    );
    this.#listenToRules(service, current);
    service.on(
      'joined',
      current(({ channel, again }) => {
        const moved = this.inCall && !again;
        this.channel = channel;
        this.joining = false;
        this.returning = true;
        this.#restrictions = service.self.restrictions;
        if (moved) this.#sayMoved(channel);
        this.#sayWhatHolds();
        history.replaceState(null, '', `${location.pathname}${location.search}#channel=${encodeURIComponent(channel.id)}`);
        this.#keep();
        if (!again) this.announce(t('announce.youJoined', { channel: channel.name }));
        else this.#sayBack(service);
      }),
    );
    service.on(
      'left',
      current(({ error, rejoining }) => {
        if (rejoining) return;
        this.channel = undefined;
        this.#keep();
        this.upgrade = undefined;
        this.question = undefined;
        this.notices = [];
        this.audioBlocked = false;
        if (error) this.#refused(error, true);
        else this.announce(t('announce.youLeft'));
      }),
    );
  }

  /** What the server and moderators decide in mid-call. */
  #listenToRules(service: VoiceService, current: <T>(handler: (payload: T) => void) => (payload: T) => unknown): void {
    service.on(
      'slot:queue',
      current((queue) => (this.queue = queue)),
    );
    service.on(
      'slot:granted',
      current(({ source }) => this.notify(t(`queue.granted.${source}`))),
    );
    service.on(
      'entitlement',
      current(({ permissions, lost, gained }) => {
        if (this.channel) this.channel = { ...this.channel, permissions };
        if (lost.length > 0) this.notify(t('entitlement.lost'), 'bad');
        else if (gained.length > 0) this.notify(t('entitlement.gained'));
        // What the dialog says is missing is there now.
        if (this.upgrade && gained.includes(this.upgrade)) this.upgrade = undefined;
      }),
    );
    service.on(
      'producer:closed',
      current(({ slot, reason }) => {
        const picture = slot === 'camera' || slot === 'screen';
        // When the tier ended, that was said already; then the tier includes it no more.
        if (picture && reason === 'entitlement' && this.channel?.permissions.video) this.notify(t('entitlement.slots'), 'bad');
      }),
    );
    service.on(
      'moved',
      current(() => {
        // All that was said and asked belongs to the channel before.
        this.notices = [];
        this.question = undefined;
        this.upgrade = undefined;
      }),
    );
    service.on(
      'moderation',
      current(({ restrictions }) => this.#restricted(restrictions)),
    );
    service.on(
      'resumed',
      current(({ channel }) => {
        this.channel = channel;
        this.#restricted(service.self.restrictions);
        this.#sayBack(service);
      }),
    );
  }

  /** Where media does not flow, that the server answers again is no good news yet. */
  #sayBack(service: VoiceService): void {
    if (!service.self.unreached) this.announce(t('announce.reconnected'));
  }

  #restricted(restrictions: Restrictions): void {
    const news = restrictionNews(this.#restrictions, restrictions);
    this.#restrictions = restrictions;
    for (const { text, bad, what } of news) {
      const action = bad ? undefined : this.#giveBack[what];
      this.notify(text, bad ? 'bad' : 'info', { about: `restriction-${what}`, ...(action && { action }) });
    }
  }

  /** What was taken away is turned on again by the person alone. */
  readonly #giveBack: Partial<Record<keyof Restrictions, Notice['action']>> = {
    audio: { label: t('tool.mute.on'), run: () => this.self.muted && this.toggleMute() },
    video: { label: t('tool.camera'), run: () => !this.self.media.camera && this.toggleCamera() },
    screen: { label: t('tool.screen'), run: () => !this.self.media.screen && this.toggleScreen() },
  };

  /** The user arrives in the state in which they left; who was muted is still, and is told. */
  #sayMoved(channel: ChannelInfo): void {
    const { muted, restrictions } = this.#service?.self ?? NOBODY;
    const silent = muted && !restrictions.audio && channel.role === 'speaker';
    const action = this.#giveBack.audio;
    if (silent && action)
      this.notify(t('moderated.moved.muted', { channel: channel.name }), 'info', { action, about: 'restriction-audio' });
    else this.notify(t('moderated.moved', { channel: channel.name }));
  }

  /** What the user cannot do here from the beginning is said at the beginning. */
  #sayWhatHolds(): void {
    if (this.isSpectator) return;
    for (const { text, what } of restrictionNews(FREE, this.#restrictions)) this.notify(text, 'bad', { about: `restriction-${what}` });
  }

  #refused(cause: unknown, wasIn = false): void {
    const error = cause instanceof VoiceError ? cause : new VoiceError('SERVER_ERROR', String(cause));
    if (error.code === 'CANCELLED') return;
    this.channel = undefined;
    this.isElsewhere = error.code === 'ALREADY_IN_CHANNEL' || ELSEWHERE.has(error.details.reason);
    this.refusalIsHint = this.isElsewhere;
    this.wasLost = wasIn && !this.isElsewhere;
    this.refusal = sentenceFor(error);
    this.retryAt = error.code === 'RATE_LIMITED' ? Date.now() + (error.retryAfterMs ?? 0) : 0;
  }

  #setRefusal(text: string): void {
    this.refusal = text;
    this.refusalIsHint = this.isElsewhere = false;
    this.wasLost = false;
    this.retryAt = 0;
  }

  /** Camera or screen; waiting for a slot is said by the queue itself, which stays in view. */
  async #toggleVideo(source: VideoSource, toggle: (service: VoiceService) => Promise<unknown>): Promise<void> {
    const waited = this.queue[source] !== undefined;
    await this.#try(toggle);
    if (waited && this.queue[source] === undefined) this.announce(t('queue.left'));
  }

  /** A tool that fails says so; who cancels the screen picker knows it already. */
  async #try(action: (service: VoiceService) => Promise<unknown>): Promise<void> {
    if (!this.#service) return;
    try {
      await action(this.#service);
    } catch (error) {
      if (!(error instanceof VoiceError) || error.code === 'CANCELLED') return;
      if (error.code === 'DEVICE_DENIED' && error.details.device === 'screen') return;
      // That stands on the page all the time.
      if (error.code === 'SPECTATOR') return this.announce(sentenceFor(error));
      this.notify(sentenceFor(error), 'bad');
    }
  }
}
