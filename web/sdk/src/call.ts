// One stay in a channel: joins, makes the transports, sends and receives. A reconnect makes a new one.

import { toVoiceError, VoiceError, type ErrorCode } from './errors.js';
import type { LocalMedia } from './local-media.js';
import type { MachineEvent } from './machine.js';
import { CONNECT_RETRIES, JOIN_RETRIES, TRANSPORT_RETRIES, withRetries } from './policy.js';
import type { Consumed, Direction, Joined, Layers, ProducerInfo, Pushes, PushName, Source, TransportCreated } from './protocol.js';
import { slotOf, type MediaSlot, type Roster } from './roster.js';
import { IceGuard } from './rtc/ice-guard.js';
import type { AudioOutput } from './rtc/playback.js';
import type {
  LocalProducer,
  RecvTransport,
  RemoteConsumer,
  Rtc,
  RtcFactory,
  RtcTransport,
  SendTransport,
  TransportHandler,
  VideoCodec,
} from './rtc/rtc.js';
import type { Signal } from './signal/signal.js';

/** What a stay needs of the service it belongs to. */
export interface CallContext {
  readonly signal: Signal;
  readonly createRtc: RtcFactory;
  readonly local: LocalMedia;
  readonly roster: Roster;
  readonly audio: AudioOutput;
  readonly videoCodec: VideoCodec;
  /** How one is; told to the server at once after the join, before anything is sent. */
  readonly state: () => { muted: boolean; deafened: boolean };
  readonly dispatch: (event: MachineEvent) => boolean;
  readonly onJoined: (joined: Joined) => void;
  readonly onParticipant: (change: 'joined' | 'left', userId: string, name: string) => void;
  readonly onLayers: (userId: string, slot: MediaSlot, layers: Layers | null) => void;
  /** A producer of one's own is no more, by the server's or the device's doing. */
  readonly onProducerLost: (slot: MediaSlot) => void;
  /** The stay is over, not by one's own doing. */
  readonly onLost: (reason: VoiceError) => void;
  /** Something failed that does not end the stay. */
  readonly onProblem: (error: VoiceError) => void;
}

const PRODUCED: Partial<Record<MediaSlot, MachineEvent>> = { mic: 'micProduced', camera: 'cameraProduced', screen: 'screenProduced' };
const CLOSED: Partial<Record<MediaSlot, MachineEvent>> = { mic: 'micClosed', camera: 'cameraClosed', screen: 'screenClosed' };

export class Call {
  readonly #abort = new AbortController();
  readonly #producers = new Map<MediaSlot, LocalProducer>();
  readonly #consumers = new Map<string, { info: ProducerInfo; consumer: RemoteConsumer }>();
  readonly #consuming = new Set<string>();
  readonly #guards: IceGuard[] = [];
  /** Pushes that arrive in one packet with the join reply, before it is read. */
  #backlog: (() => void)[] | undefined = [];
  #joined: Joined | undefined;
  #entered = false;
  #rtc: Rtc | undefined;
  #send: SendTransport | undefined;
  #recv: RecvTransport | undefined;
  #sendConnected: Promise<void> = Promise.resolve();

  constructor(private readonly context: CallContext) {}

  get joined(): Joined | undefined {
    return this.#joined;
  }

  get transports(): { send?: RtcTransport; recv?: RtcTransport } {
    return { ...(this.#send && { send: this.#send }), ...(this.#recv && { recv: this.#recv }) };
  }

  get producers(): ReadonlyMap<MediaSlot, LocalProducer> {
    return this.#producers;
  }

  get consumers(): { info: ProducerInfo; consumer: RemoteConsumer }[] {
    return [...this.#consumers.values()];
  }

  /** Whether `enter` is done: from then on a loss is the service's to repair. */
  get entered(): boolean {
    return this.#entered;
  }

  /**
   * Goes all the way in. Resolves when the microphone is sent, or when it is known that there is none. Rejects as
   * soon as the call is closed, also while somebody is still being asked for the microphone.
   */
  async enter(channelId: string, retries: readonly number[] = JOIN_RETRIES): Promise<void> {
    const { signal } = this.#abort;
    const closed = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    await Promise.race([this.#enter(channelId, retries), closed]);
    this.#entered = true;
  }

  /** A push of the server. In the order of arrival. */
  push<E extends PushName>(event: E, payload: Pushes[E]): void {
    if (this.#abort.signal.aborted) return;
    const handle = () => this.#handle({ event, payload } as PushOf);
    if (this.#backlog) this.#backlog.push(handle);
    else handle();
  }

  /** Sends a track. Rejects with what the server refused it for; the track is the caller's to stop then. */
  async produce(slot: MediaSlot, track: MediaStreamTrack): Promise<void> {
    const transport = this.#send;
    const permissions = this.#joined?.permissions;
    if (!transport || !permissions) throw new VoiceError('INVALID_STATE', 'There is no channel to send to yet.');
    const source: Source = slot === 'screenAudio' ? 'screen' : slot;
    const paused = slot === 'mic' && this.context.state().muted;
    const { videoCodec } = this.context;
    const producer = await transport.produce({ track, source, paused, maxBitrate: permissions.maxBitrate, videoCodec });
    await this.#sendConnected;
    this.#check();
    this.#producers.set(slot, producer);
    // The device may have gone away while the server was asked: a track that ended is not sent for ever.
    if (this.context.local.track(slot) !== track) return this.closeProducer(slot);
    // It may have changed while the server was asked.
    if (slot === 'mic') this.setMicrophonePaused(this.context.state().muted);
    const event = PRODUCED[slot];
    if (event) this.context.dispatch(event);
  }

  /** Stops sending a track; the server is told unless it said so itself. */
  closeProducer(slot: MediaSlot, tellServer = true): void {
    const producer = this.#producers.get(slot);
    if (!producer) return;
    this.#producers.delete(slot);
    producer.close();
    const event = CLOSED[slot];
    if (event) this.context.dispatch(event);
    // If it fails, the server has closed it already or closes it with the session.
    if (tellServer) this.context.signal.request('voice:rtc:closeProducer', { producerId: producer.id }).catch(() => {});
  }

  setMicrophonePaused(paused: boolean): void {
    const producer = this.#producers.get('mic');
    if (paused) producer?.pause();
    else producer?.resume();
  }

  /** The consumer of somebody's track, if it is received. */
  consumerOf(userId: string, slot: MediaSlot): RemoteConsumer | undefined {
    return this.consumers.find(({ info }) => info.userId === userId && slotOf(info) === slot)?.consumer;
  }

  /** Closes everything on this side. The server is not told; nothing is reported from now on. */
  close(reason = new VoiceError('CANCELLED', 'The channel was left.')): void {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort(reason);
    for (const guard of this.#guards) guard.close();
    for (const producer of this.#producers.values()) producer.close();
    for (const { consumer } of this.#consumers.values()) consumer.close();
    this.#send?.close();
    this.#recv?.close();
    this.#producers.clear();
    this.#consumers.clear();
    this.context.audio.clear();
  }

  async #enter(channelId: string, retries: readonly number[]): Promise<void> {
    const loading = this.context.createRtc();
    loading.catch(() => {});
    const first = await withRetries((n) => this.#join(channelId, n), retries, isTimeout, this.#abort.signal);
    this.#check();
    this.#rtc = await loading;
    await this.#rtc.load(first.joined.routerRtpCapabilities);
    this.#check();
    this.context.dispatch('rtpCapabilities');
    const [send, recv] = await Promise.all([this.#created('send', first.send), this.#created('recv', first.recv)]);
    this.#check();
    this.context.dispatch('transportsCreated');
    this.#openTransports(this.#rtc, first.joined, send, recv);
    for (const info of this.context.roster.producers) void this.#consume(info);
    await this.#produceMicrophone();
    await this.#produceAgain();
  }

  #check(): void {
    this.#abort.signal.throwIfAborted();
  }

  /** Asks for everything at once: the server takes the requests of one session in their order. */
  async #join(channelId: string, attempt: number): Promise<FirstRound> {
    const { signal } = this.context;
    // The try that timed out may have got through: out first, so that the next one is not refused for it.
    if (attempt > 0) signal.request('voice:leave', {}).catch(() => {});
    this.#backlog = [];
    const reply = signal.request('voice:join', { channelId });
    const send = signal.request('voice:rtc:createTransport', { direction: 'send' });
    const recv = signal.request('voice:rtc:createTransport', { direction: 'recv' });
    // When the join is refused so are these; the join's error is the one that counts.
    send.catch(() => {});
    recv.catch(() => {});
    const joined = await reply;
    this.#check();
    this.#joined = joined;
    this.context.dispatch('joined');
    this.context.roster.fill(joined.participants);
    this.context.onJoined(joined);
    this.#tellState();
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    for (const handle of backlog) handle();
    return { joined, send, recv };
  }

  /** Whoever comes in muted is muted on the server before the microphone is sent. */
  #tellState(): void {
    const state = this.context.state();
    if (state.muted || state.deafened) this.context.signal.request('voice:state:update', state).catch((e) => this.#problem(e));
  }

  #created(direction: Direction, first: Promise<TransportCreated>): Promise<TransportCreated> {
    const { signal } = this.context;
    const attempt = (n: number) => (n === 0 ? first : signal.request('voice:rtc:createTransport', { direction }));
    return withRetries(attempt, TRANSPORT_RETRIES, isTransportTrouble, this.#abort.signal);
  }

  #openTransports(rtc: Rtc, { rtcConfig }: Joined, send: TransportCreated, recv: TransportCreated): void {
    this.#recv = rtc.createRecvTransport(
      recv,
      rtcConfig,
      this.#handler(recv.id, () => this.#recv),
    );
    this.#send = rtc.createSendTransport(send, rtcConfig, {
      ...this.#handler(
        send.id,
        () => this.#send,
        (connected) => (this.#sendConnected = connected),
      ),
      onProduce: async ({ kind, rtpParameters, source }) => {
        const payload = { transportId: send.id, kind, rtpParameters, appData: { source } };
        return (await this.context.signal.request('voice:rtc:produce', payload)).producerId;
      },
    });
  }

  #handler(
    transportId: string,
    transport: () => RtcTransport | undefined,
    onConnecting: (connected: Promise<void>) => void = () => {},
  ): TransportHandler {
    const { signal } = this.context;
    const guard = new IceGuard(
      async () => {
        const { iceParameters } = await signal.request('voice:rtc:restartIce', { transportId });
        this.#check();
        await transport()?.restartIce(iceParameters);
      },
      (error) => this.#lost(error),
    );
    this.#guards.push(guard);
    return {
      onConnect: (dtlsParameters) => {
        const attempt = async (n: number): Promise<void> => {
          try {
            await signal.request('voice:rtc:connectTransport', { transportId, dtlsParameters });
          } catch (error) {
            // The try that timed out had got through: it is connected.
            if (n === 0 || !hasCode(error, 'INVALID_STATE')) throw error;
          }
        };
        const connected = withRetries(attempt, CONNECT_RETRIES, isTransportTrouble, this.#abort.signal).then(() => {
          this.#check();
          // The second transport finds the machine past this already.
          this.context.dispatch('transportConnected');
        });
        connected.catch((error) => this.#lost(error));
        onConnecting(connected);
      },
      onState: (state) => guard.onState(state),
    };
  }

  /** No microphone, or one that cannot be sent, is no reason not to listen. */
  async #produceMicrophone(): Promise<void> {
    const track = await this.context.local.microphone();
    this.#check();
    if (track instanceof VoiceError) {
      this.context.dispatch('listenOnly');
      return this.#problem(track);
    }
    try {
      await this.produce('mic', track);
    } catch (error) {
      this.#check();
      this.context.dispatch('listenOnly');
      this.#problem(error);
    }
  }

  /** Camera and screen that were on when the connection broke are sent again. */
  async #produceAgain(): Promise<void> {
    for (const slot of ['camera', 'screen', 'screenAudio'] as const) {
      const track = this.context.local.track(slot);
      if (!track || this.#producers.has(slot)) continue;
      try {
        await this.produce(slot, track);
      } catch (error) {
        this.#check();
        this.context.onProducerLost(slot);
        this.#problem(error);
      }
    }
  }

  #handle({ event, payload }: PushOf): void {
    const { roster } = this.context;
    switch (event) {
      case 'voice:participant:joined': {
        const { userId, name } = roster.add(payload);
        this.context.onParticipant('joined', userId, name);
        for (const info of payload.producers) void this.#consume(info);
        break;
      }
      case 'voice:participant:left': {
        const removed = roster.remove(payload.userId);
        for (const id of removed?.producerIds ?? []) this.#dropConsumer(id);
        if (removed) this.context.onParticipant('left', payload.userId, removed.participant.name);
        break;
      }
      case 'voice:participant:state':
        roster.updateState(payload.userId, payload);
        break;
      case 'voice:newProducer':
        if (roster.addProducer(payload)) void this.#consume(payload);
        break;
      case 'voice:producerClosed':
        this.#producerClosed(payload);
        break;
      case 'voice:producerPaused':
      case 'voice:producerResumed':
        roster.setProducerPaused(payload.producerId, event === 'voice:producerPaused');
        break;
      case 'voice:activeSpeakers':
        roster.setSpeakers(payload.speakers);
        break;
      case 'voice:layersChanged': {
        const found = this.consumers.find(({ consumer }) => consumer.id === payload.consumerId);
        if (found) this.context.onLayers(found.info.userId, slotOf(found.info), payload.layers);
        break;
      }
      case 'voice:left':
        this.#lost(new VoiceError(payload.rejoin ? 'DISCONNECTED' : 'NOT_IN_CHANNEL', 'The server ended the stay.', { ...payload }));
        break;
      case 'voice:transportState':
        // The browser's own view of the same connection is what the ICE guard follows.
        break;
    }
  }

  #producerClosed({ producerId, userId }: { producerId: string; userId: string }): void {
    if (userId !== this.#joined?.userId) {
      this.#dropConsumer(producerId);
      this.context.roster.removeProducer(producerId);
      return;
    }
    for (const [slot, producer] of this.#producers) {
      if (producer.id !== producerId) continue;
      this.closeProducer(slot, false);
      this.context.onProducerLost(slot);
    }
  }

  /** Receives a track; every one at the same time, none waits for another. */
  async #consume(info: ProducerInfo): Promise<void> {
    const { producerId } = info;
    const [rtc, recv] = [this.#rtc, this.#recv];
    // Before there is a transport the roster remembers it: `enter` consumes what it finds there.
    if (!rtc || !recv || this.#consuming.has(producerId)) return;
    this.#consuming.add(producerId);
    try {
      const payload = { producerId, transportId: recv.id, rtpCapabilities: rtc.recvCapabilities };
      const ask = () => this.context.signal.request('voice:rtc:consume', payload);
      const consumed = await withRetries(ask, TRANSPORT_RETRIES, isTimeout, this.#abort.signal);
      this.#check();
      const consumer = await this.#receive(recv, consumed);
      if (this.#abort.signal.aborted || !this.context.roster.producer(producerId)) return consumer.close();
      this.#consumers.set(producerId, { info, consumer });
      this.context.roster.setTrack(producerId, consumer.track);
      if (info.kind === 'audio') this.context.audio.add(consumer.id, info.userId, consumer.track);
    } catch (error) {
      // NOT_FOUND: it was closed while we asked.
      if (!hasCode(error, 'NOT_FOUND')) this.#problem(error);
    } finally {
      if (!this.#consumers.has(producerId)) this.#consuming.delete(producerId);
    }
  }

  /** What the browser cannot take, the server need not send. */
  async #receive(recv: RecvTransport, consumed: Consumed): Promise<RemoteConsumer> {
    try {
      return await recv.consume(consumed);
    } catch (cause) {
      if (!this.#abort.signal.aborted) this.context.signal.request('voice:rtc:closeConsumer', { consumerId: consumed.id }).catch(() => {});
      throw new VoiceError('INCOMPATIBLE', 'The browser cannot receive this track.', {}, { cause });
    }
  }

  #dropConsumer(producerId: string): void {
    this.#consuming.delete(producerId);
    const entry = this.#consumers.get(producerId);
    if (!entry) return;
    this.#consumers.delete(producerId);
    entry.consumer.close();
    this.context.audio.remove(entry.consumer.id);
  }

  #lost(cause: unknown): void {
    if (!this.#abort.signal.aborted) this.context.onLost(toVoiceError(cause));
  }

  #problem(cause: unknown): void {
    if (!this.#abort.signal.aborted) this.context.onProblem(toVoiceError(cause));
  }
}

interface FirstRound {
  joined: Joined;
  send: Promise<TransportCreated>;
  recv: Promise<TransportCreated>;
}

type PushOf = { [E in PushName]: { event: E; payload: Pushes[E] } }[PushName];

function hasCode(error: unknown, ...codes: ErrorCode[]): boolean {
  return error instanceof VoiceError && codes.includes(error.code);
}

function isTimeout(error: unknown): boolean {
  return hasCode(error, 'TIMEOUT');
}

function isTransportTrouble(error: unknown): boolean {
  return hasCode(error, 'TIMEOUT', 'TRANSPORT_FAILED', 'SERVER_ERROR');
}
