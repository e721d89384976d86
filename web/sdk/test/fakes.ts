// A server, a browser and devices made of nothing, to test the rules of the service. Everything can be told to fail.

import { VoiceError, type ErrorCode } from '../src/errors.js';
import type {
  Consumed,
  Joined,
  Permissions,
  ProducerInfo,
  Pushes,
  PushName,
  RequestName,
  Requests,
  Resumed,
  RtcConfig,
  RtpCapabilities,
  WireParticipant,
} from '../src/protocol.js';
import type { Network, NetworkType } from '../src/network.js';
import type { Capture } from '../src/rtc/capture.js';
import type { AudioOutput } from '../src/rtc/playback.js';
import type { ConnectionState, LocalProducer, ProduceOptions, Rtc, SendHandler, TransportHandler } from '../src/rtc/rtc.js';
import type { VoiceServiceParts } from '../src/options.js';
import { VoiceService } from '../src/service.js';
import type { Signal, SignalHandler } from '../src/signal/signal.js';

type AnyReply = Requests[RequestName]['reply'];
type Answer = (payload: never) => Promise<AnyReply> | AnyReply;

export class FakeTrack extends EventTarget {
  enabled = true;
  readyState: 'live' | 'ended' = 'live';
  constructor(readonly kind: 'audio' | 'video') {
    super();
  }
  stop(): void {
    this.readyState = 'ended';
  }
  /** The device was unplugged, or "stop sharing" was clicked. */
  end(): void {
    this.readyState = 'ended';
    this.dispatchEvent(new Event('ended'));
  }
}

export const PRO: Permissions = { audio: true, video: true, screenshare: true, maxBitrate: 64_000, expiresAt: null };
export const FREE: Permissions = { audio: true, video: false, screenshare: false, maxBitrate: 32_000, expiresAt: null };
export const AT_LARGE = { serverMuted: { audio: false, video: false, screen: false }, serverDeafened: false };

export function person(userId: string, name: string, more: Partial<WireParticipant> = {}): WireParticipant {
  const state = { muted: false, deafened: false, speaking: false, ...AT_LARGE };
  return { userId, name, role: 'speaker', moderator: false, ...state, producers: [], ...more };
}

export function joined(more: Partial<Joined> = {}): Joined {
  return {
    channelId: 'lobby',
    channelName: 'Lobby',
    topology: 'sfu',
    sfuEndpoint: 'worker-0',
    userId: 'me',
    participants: [],
    permissions: PRO,
    rtcConfig: { iceServers: [], iceTransportPolicy: 'all' },
    turnCredentialExpiresAt: null,
    turnCredentialTtl: null,
    routerRtpCapabilities: { codecs: [], headerExtensions: [] },
    e2ee: 'off',
    recording: 'off',
    resumeToken: 'token-1',
    // A server that keeps nothing; the tests of resuming say otherwise.
    resumeGraceMs: 0,
    resumed: false,
    role: 'speaker',
    moderator: false,
    state: { muted: false, deafened: false, speaking: false, ...AT_LARGE },
    videoSlots: { current: 0, max: 4 },
    ...more,
  };
}

export function producer(producerId: string, userId: string, kind: 'audio' | 'video' = 'audio'): ProducerInfo {
  return { producerId, userId, kind, appData: { source: kind === 'audio' ? 'mic' : 'camera' }, paused: false };
}

/** The server's side: answers like one that is well, unless told otherwise. */
export class FakeServer implements Signal {
  connected = false;
  handler!: SignalHandler;
  readonly requests: { event: RequestName; payload: unknown }[] = [];
  connects = 0;
  closes = 0;
  /** Refuses the next connection attempts, one error each. */
  readonly refuseConnects: ErrorCode[] = [];
  join = joined();
  /** What the resumed stay differs in. Everything the user had lives on unless said otherwise. */
  resumed: Partial<Resumed> = {};
  /** The ids it has given out. */
  readonly made: Resumed['own'] = { transports: [], producers: [], consumers: [], slots: [] };
  /** As the real server, it lets nobody in who is in already. */
  #inside = false;
  #next = 0;
  readonly #answers = new Map<RequestName, Answer[]>();

  /** The next requests of this name get these answers, one each; then the normal one again. */
  answer(event: RequestName, ...answers: Answer[]): void {
    this.#answers.set(event, [...(this.#answers.get(event) ?? []), ...answers]);
  }

  refuse(event: RequestName, code: ErrorCode, details = {}, times = 1): void {
    for (let i = 0; i < times; i++) this.answer(event, () => Promise.reject(new VoiceError(code, code, details)));
  }

  count(event: RequestName): number {
    return this.requests.filter((request) => request.event === event).length;
  }

  payloads(event: RequestName): unknown[] {
    return this.requests.filter((request) => request.event === event).map((request) => request.payload);
  }

  push<E extends PushName>(event: E, payload: Pushes[E]): void {
    if (event === 'voice:left') this.#inside = false;
    this.handler.onPush(event, payload);
  }

  /** The network goes away. */
  drop(): void {
    this.connected = this.#inside = false;
    this.handler.onDisconnect('transport close');
  }

  connect(): Promise<void> {
    this.connects++;
    const code = this.refuseConnects.shift();
    if (code) return Promise.reject(new VoiceError(code, code));
    this.connected = true;
    return Promise.resolve();
  }

  close(): void {
    this.closes++;
    this.connected = this.#inside = false;
  }

  async request<E extends RequestName>(event: E, payload: Requests[E]['payload']): Promise<Requests[E]['reply']> {
    if (!this.connected) throw new VoiceError('DISCONNECTED', 'gone');
    this.requests.push({ event, payload });
    const answer = this.#answers.get(event)?.shift();
    if (answer) return Promise.resolve(answer(payload as never));
    return Promise.resolve(this.#normal(event, payload));
  }

  #normal(event: RequestName, payload: unknown): AnyReply {
    const id = `id-${++this.#next}`;
    const given = payload as Record<string, never>;
    switch (event) {
      case 'voice:join':
        if (this.#inside && !given.takeOver) throw new VoiceError('ALREADY_IN_CHANNEL', 'in already');
        this.#inside = true;
        return this.join;
      case 'voice:resume':
        this.#inside = true;
        return { ...this.join, resumed: true, own: this.made, ...this.resumed };
      case 'voice:slot:request':
        return { source: given.source ?? 'camera', status: 'queued', position: 2, current: 4, max: 4 };
      case 'voice:slot:release':
        return { source: given.source ?? 'camera', status: 'released', position: null, current: 4, max: 4 };
      case 'voice:leave':
        this.#inside = false;
        return { channelId: this.join.channelId };
      case 'voice:rtc:createTransport':
        this.made.transports.push(id);
        return {
          id,
          direction: given.direction ?? 'send',
          iceParameters: { usernameFragment: 'u', password: 'p' },
          iceCandidates: [],
          dtlsParameters: { fingerprints: [] },
        };
      case 'voice:rtc:getIceServers': {
        const { rtcConfig, turnCredentialExpiresAt, turnCredentialTtl } = this.join;
        return { rtcConfig, turnCredentialExpiresAt, turnCredentialTtl };
      }
      case 'voice:rtc:restartIce':
        return { transportId: given.transportId ?? '', iceParameters: { usernameFragment: 'u2', password: 'p2' } };
      case 'voice:rtc:produce':
        this.made.producers.push(id);
        return { producerId: id };
      case 'voice:rtc:consume':
        this.made.consumers.push(id);
        return consumed(id, given.producerId ?? '', this.#ownerOf(given.producerId ?? ''));
      default:
        return given;
    }
  }

  #ownerOf(producerId: string): string {
    return this.join.participants.find((p) => p.producers.some((info) => info.producerId === producerId))?.userId ?? 'somebody';
  }
}

function consumed(id: string, producerId: string, userId: string): Consumed {
  const kind = producerId.includes('video') ? 'video' : 'audio';
  return {
    id,
    consumerId: id,
    producerId,
    userId,
    kind,
    rtpParameters: { codecs: [] },
    type: 'simple',
    appData: { source: kind === 'audio' ? 'mic' : 'camera' },
    paused: false,
    producerPaused: false,
  };
}

export class FakeProducer implements LocalProducer {
  paused: boolean;
  closed = false;
  maxBitrate: number;
  constructor(
    readonly id: string,
    readonly options: ProduceOptions,
  ) {
    this.paused = options.paused ?? false;
    this.maxBitrate = options.maxBitrate;
  }
  setMaxBitrate(maxBitrate: number): void {
    this.maxBitrate = maxBitrate;
  }
  get kind(): 'audio' | 'video' {
    return this.options.track.kind as 'audio' | 'video';
  }
  get source() {
    return this.options.source;
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  close(): void {
    this.closed = true;
  }
  getStats(): Promise<RTCStatsReport> {
    return Promise.resolve(new Map([['s', { id: 's', type: 'outbound-rtp', timestamp: 0 }]]) as unknown as RTCStatsReport);
  }
}

/** The browser's side: like mediasoup-client, it connects a transport when it is first used. */
export class FakeRtc implements Rtc {
  readonly recvCapabilities: RtpCapabilities = { codecs: [], headerExtensions: [] };
  readonly producers: FakeProducer[] = [];
  readonly consumers: { id: string; producerId: string; track: FakeTrack; closed: boolean }[] = [];
  readonly iceRestarts: string[] = [];
  /** The user names of the TURN servers that each transport was given last. */
  readonly turnUsers = new Map<string, (string | undefined)[]>();
  relayed = false;
  /** Whether a transport that is used gets its connection. */
  reaches = true;
  /** What WebRTC measures of every transport. */
  stats: Record<string, unknown>[] = [];
  refuseConsumers = false;
  /** Producers the browser takes offence at; as mediasoup-client has it, their transport takes nothing more then. */
  readonly poison = new Set<string>();
  send: { handler: SendHandler; closed: boolean; connected: boolean; state?: ConnectionState } | undefined;
  recv: { handler: TransportHandler; closed: boolean; connected: boolean } | undefined;

  load(): Promise<void> {
    return Promise.resolve();
  }

  createSendTransport(created: { id: string }, config: RtcConfig, handler: SendHandler) {
    this.#setIceServers(created.id, config.iceServers);
    const own: NonNullable<typeof this.send> = (this.send = { handler, closed: false, connected: false });
    return Object.assign(this.#transport(created.id, own), {
      produce: async (options: ProduceOptions) => {
        this.#connect(own);
        const kind = options.track.kind as 'audio' | 'video';
        const id = await handler.onProduce({ kind, rtpParameters: { codecs: [] }, source: options.source });
        const producer = new FakeProducer(id, options);
        this.producers.push(producer);
        return producer;
      },
    });
  }

  createRecvTransport(created: { id: string }, config: RtcConfig, handler: TransportHandler) {
    this.#setIceServers(created.id, config.iceServers);
    const own = (this.recv = { handler, closed: false, connected: false });
    let broken = false;
    return {
      ...this.#transport(created.id, own),
      get broken() {
        return broken;
      },
      consume: async (consumed: Consumed) => {
        this.#connect(own);
        broken ||= this.poison.has(consumed.producerId);
        // Those asked for at the same time are told to the browser together.
        await Promise.resolve();
        if (broken) throw new Error('what was to be set is no description');
        if (this.refuseConsumers) return Promise.reject(new Error('no such codec'));
        const consumer = {
          id: consumed.id,
          producerId: consumed.producerId,
          track: new FakeTrack(consumed.kind) as FakeTrack & MediaStreamTrack,
          closed: false,
          close: () => void (consumer.closed = true),
          getStats: () => Promise.resolve(new Map() as unknown as RTCStatsReport),
        };
        this.consumers.push(consumer);
        return Promise.resolve(consumer);
      },
    };
  }

  #connect(own: { handler: TransportHandler; connected: boolean }): void {
    if (own.connected) return;
    own.connected = true;
    own.handler.onConnect({ fingerprints: [] });
    if (this.reaches) own.handler.onState('connected');
  }

  #transport(id: string, own: { closed: boolean; state?: ConnectionState }) {
    const state = () => own.state ?? (this.reaches ? 'connected' : 'new');
    return {
      id,
      get state(): ConnectionState {
        return state();
      },
      restartIce: () => {
        this.iceRestarts.push(id);
        return Promise.resolve();
      },
      setIceServers: (iceServers: RtcConfig['iceServers']) => Promise.resolve(this.#setIceServers(id, iceServers)),
      isRelayed: () => Promise.resolve(this.relayed),
      getStats: () => Promise.resolve(new Map(this.stats.map((entry) => [entry['id'], entry])) as unknown as RTCStatsReport),
      close: () => void (own.closed = true),
    };
  }

  #setIceServers(id: string, iceServers: RtcConfig['iceServers']): void {
    const users = iceServers.map(({ username }) => username);
    this.turnUsers.set(id, users);
  }
}

export class FakeCapture implements Capture {
  readonly tracks: FakeTrack[] = [];
  microphoneError: VoiceError | undefined;
  /** While set, the person has not answered the question for the microphone yet. */
  asking: Promise<void> | undefined;
  withScreenAudio = false;
  /** Whether a device is plugged in. */
  microphones = true;
  readonly watchers = new Set<() => void>();

  async microphone(): Promise<MediaStreamTrack> {
    await this.asking;
    if (this.microphoneError) throw this.microphoneError;
    return this.#open('audio');
  }

  camera(): Promise<MediaStreamTrack> {
    return Promise.resolve(this.#open('video'));
  }

  screen(): Promise<{ video: MediaStreamTrack; audio?: MediaStreamTrack }> {
    const video = this.#open('video');
    return Promise.resolve(this.withScreenAudio ? { video, audio: this.#open('audio') } : { video });
  }

  hasMicrophone(): Promise<boolean> {
    return Promise.resolve(this.microphones);
  }

  watch(handler: () => void): () => void {
    this.watchers.add(handler);
    return () => void this.watchers.delete(handler);
  }

  /** A device is plugged in or out. */
  changeDevices(): void {
    for (const handler of this.watchers) handler();
  }

  get live(): FakeTrack[] {
    return this.tracks.filter((track) => track.readyState === 'live');
  }

  #open(kind: 'audio' | 'video'): MediaStreamTrack {
    const track = new FakeTrack(kind);
    this.tracks.push(track);
    return track as unknown as MediaStreamTrack;
  }
}

export class FakeNetwork implements Network {
  online = true;
  type: NetworkType = 'wifi';
  readonly watchers = new Set<(online: boolean) => void>();
  watch(handler: (online: boolean) => void): () => void {
    this.watchers.add(handler);
    return () => void this.watchers.delete(handler);
  }
  set(online: boolean): void {
    this.online = online;
    for (const handler of [...this.watchers]) handler(online);
  }
}

export class FakeAudio implements AudioOutput {
  readonly playing = new Map<string, string>();
  readonly volumes = new Map<string, number>();
  deafened = false;
  add(id: string, userId: string): void {
    this.playing.set(id, userId);
  }
  remove(id: string): void {
    this.playing.delete(id);
  }
  setVolume(userId: string, volume: number): void {
    this.volumes.set(userId, volume);
  }
  setDeafened(deafened: boolean): void {
    this.deafened = deafened;
  }
  resume(): Promise<boolean> {
    return Promise.resolve(true);
  }
  clear(): void {
    this.playing.clear();
  }
}

/** A service in the midst of the fakes. */
export function setup() {
  const server = new FakeServer();
  const capture = new FakeCapture();
  const audio = new FakeAudio();
  const network = new FakeNetwork();
  const rtcs: FakeRtc[] = [];
  let reaches = true;
  const parts: VoiceServiceParts = {
    signal: (handler) => {
      server.handler = handler;
      return server;
    },
    rtc: () => {
      const rtc = new FakeRtc();
      rtc.reaches = reaches;
      rtcs.push(rtc);
      return Promise.resolve(rtc);
    },
    capture,
    audio: () => audio,
    network,
  };
  const service = new VoiceService({ token: 'token' }, parts);
  const events: string[] = [];
  service.on('resumed', () => events.push('resumed'));
  service.on('moved', ({ to }) => events.push(`moved to ${to}`));
  service.on('joined', ({ again }) => events.push(again ? 'joined again' : 'joined'));
  service.on('left', ({ error, rejoining }) => events.push(`left ${error?.code ?? 'by choice'}${rejoining ? ', rejoining' : ''}`));
  service.on('error', (error) => events.push(`error ${error.code}`));
  service.on('connection', (connection) => events.push(connection));
  return {
    server,
    capture,
    audio,
    network,
    service,
    events,
    /** From now on no transport gets a connection. */
    withoutMedia(): void {
      reaches = false;
    },
    /** The WebRTC side of the latest stay. */
    get rtc(): FakeRtc {
      const latest = rtcs.at(-1);
      if (!latest) throw new Error('nobody joined');
      return latest;
    },
    rtcs,
  };
}

/** Lets everything that is already decided happen. */
export async function settle(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}
