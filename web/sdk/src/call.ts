// One stay in a channel: joins, makes the transports, sends and receives. It outlives a connection that breaks, if another
// resumes it in time; a rejoin makes a new one.

import { ConnectionReporter } from './connection-reporter.js';
import { hasCode, toVoiceError, VoiceError } from './errors.js';
import { IceServers } from './ice-servers.js';
import type { LocalMedia } from './local-media.js';
import type { NetworkType } from './network.js';
import { CONNECT_RETRIES, TRANSPORT_RETRIES, withRetries } from './policy.js';
import type { Direction, Joined, Layers, Pushes, PushName, Requests, RtcConfig, TransportCreated } from './protocol.js';
import { Receiving, type ReceivingContext } from './receiving.js';
import { slotOf, type MediaSlot } from './roster.js';
import { IceGuard } from './rtc/ice-guard.js';
import type { RecvTransport, Rtc, RtcFactory, RtcTransport, TransportHandler } from './rtc/rtc.js';
import { Sending, type SendingContext } from './sending.js';

/** What a stay needs of the service it belongs to. */
export interface CallContext extends ReceivingContext, SendingContext {
  readonly createRtc: RtcFactory;
  readonly local: LocalMedia;
  /** How one wants to be; told to the server at once after the join, before anything is sent. */
  readonly state: () => { muted: boolean; deafened: boolean };
  /** The kind of network one is in, for the server's operator. */
  readonly networkType: () => NetworkType;
  readonly onJoined: (joined: Joined) => void;
  /** Media is set up: camera and screen that were on before are to be sent again. */
  readonly onReady: () => Promise<void>;
  /** How the media connection is may have changed. */
  readonly onReach: () => void;
  readonly onParticipant: (change: 'joined' | 'left', userId: string, name: string) => void;
  readonly onLayers: (userId: string, slot: MediaSlot, layers: Layers | null) => void;
  /** What concerns oneself alone. */
  readonly onPersonal: (push: PersonalPush) => void;
  /** The stay is over, and its user did not end it. */
  readonly onLost: (reason: VoiceError) => void;
}

/** How a stay begins. */
export interface EnterOptions {
  /** Waits before the retries of a join that timed out. */
  readonly retries: readonly number[];
  /** Whether another session of the same user is put out for this one. */
  readonly takeOver?: boolean | undefined;
}

export type PersonalPush = PushOf<'voice:slot:granted' | 'voice:slot:queue' | 'voice:entitlement' | 'voice:moderation'>;

export class Call {
  readonly #abort = new AbortController();
  /** By transport. */
  readonly #guards = new Map<string, IceGuard>();
  readonly #ice: IceServers;
  readonly sending: Sending;
  readonly receiving: Receiving;
  /** Pushes that arrive in one packet with the join reply, before it is read. */
  #backlog: (() => void)[] | undefined = [];
  #joined: Joined | undefined;
  #entered = false;
  #send: RtcTransport | undefined;
  #recv: RtcTransport | undefined;

  constructor(private readonly context: CallContext) {
    this.#ice = new IceServers(context.signal, this.#abort.signal, (config) => void this.#renewIceServers(config));
    this.sending = new Sending(context, this.#abort.signal);
    this.receiving = new Receiving(context, this.#abort.signal, (rtc) => this.#renewReceiver(rtc));
  }

  get transports(): { send?: RtcTransport; recv?: RtcTransport } {
    return { ...(this.#send && { send: this.#send }), ...(this.#recv && { recv: this.#recv }) };
  }

  /** Whether `enter` is done: from then on a loss is the service's to repair. */
  get entered(): boolean {
    return this.#entered;
  }

  /** Whether what one sends does not reach the server at the moment. */
  get interrupted(): boolean {
    const state = this.#send?.state;
    return state === 'disconnected' || state === 'failed';
  }

  /** Whether media should long have begun to flow and never did: there may be no way at all to where it is. */
  get unreached(): boolean {
    return [...this.#guards.values()].some(({ late }) => late);
  }

  /** Whether every transport in use has its connection. */
  get reached(): boolean {
    const states = [this.#send, this.#recv].map((transport) => transport?.state);
    return !this.unreached && !this.interrupted && states.includes('connected');
  }

  get closed(): boolean {
    return this.#abort.signal.aborted;
  }

  /** How long the server keeps this stay when its connection breaks; 0 when another connection cannot go on with it. */
  get resumableMs(): number {
    return this.#entered && !this.closed && this.#joined?.resumeToken ? this.#joined.resumeGraceMs : 0;
  }

  /**
   * Goes all the way in. Resolves when the microphone is sent, or when it is known that there is none. Rejects as
   * soon as the call is closed, also while somebody is still being asked for the microphone.
   */
  async enter(channelId: string, how: EnterOptions): Promise<void> {
    const { signal } = this.#abort;
    const closed = new Promise<never>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason), { once: true }));
    await Promise.race([this.#enter(channelId, how), closed]);
    this.#entered = true;
  }

  /** Goes on with this stay on a new connection. Media was not interrupted; what changed meanwhile is made good. */
  async resume(channelId: string): Promise<void> {
    const { signal, roster } = this.context;
    this.#backlog = [];
    const resumed = await signal.request('voice:resume', { channelId, resumeToken: this.#joined?.resumeToken ?? '' });
    this.#check();
    const { transports } = resumed.own;
    // A transport that was just being connected does not survive.
    if ([this.#send, this.#recv].some((transport) => transport && !transports.includes(transport.id))) {
      throw new VoiceError('SESSION_EXPIRED', 'The media connection did not survive.');
    }
    this.#joined = resumed;
    this.#ice.take(resumed);
    void this.#renewIceServers(resumed.rtcConfig);
    this.sending.setPermissions(resumed.permissions);
    const { joined, left, closed } = roster.reconcile(resumed.participants);
    for (const producerId of closed) this.receiving.drop(producerId);
    this.receiving.reconcile(resumed.own.consumers);
    this.sending.reconcile(resumed.own.producers);
    for (const { userId, name } of left) this.context.onParticipant('left', userId, name);
    for (const { userId, name } of joined) this.context.onParticipant('joined', userId, name);
    this.context.onJoined(resumed);
    this.#tellState(resumed.state);
    this.#drain();
    this.#check();
    for (const guard of this.#guards.values()) guard.signalingIsBack();
    this.receiving.receiveAll();
    await this.#restoreMicrophone();
    await this.context.onReady();
  }

  /** A push of the server. In the order of arrival. */
  push<E extends PushName>(event: E, payload: Pushes[E]): void {
    if (this.closed) return;
    const handle = () => this.#handle({ event, payload } as PushOf<PushName>);
    if (this.#backlog) this.#backlog.push(handle);
    else handle();
  }

  /** Closes everything on this side. The server is not told; nothing is reported from now on. */
  close(reason = new VoiceError('CANCELLED', 'The channel was left.')): void {
    if (this.closed) return;
    this.#abort.abort(reason);
    for (const guard of this.#guards.values()) guard.close();
    this.sending.closeAll();
    this.receiving.close();
    this.#send?.close();
    this.#recv?.close();
  }

  async #enter(channelId: string, { retries, takeOver }: EnterOptions): Promise<void> {
    const loading = this.context.createRtc();
    loading.catch(() => {});
    const first = await withRetries(
      (n) => this.#join({ channelId, ...(takeOver && { takeOver }) }, n),
      retries,
      (e) => hasCode(e, 'TIMEOUT'),
      this.#abort.signal,
    );
    this.#check();
    const rtc = await loading;
    await rtc.load(first.capabilities);
    this.#check();
    this.context.dispatch('rtpCapabilities');
    const [send, recv] = await Promise.all([this.#created('send', first.send), this.#created('recv', first.recv)]);
    this.#check();
    this.context.dispatch('transportsCreated');
    this.#openTransports(rtc, first.joined.rtcConfig, send, recv);
    await this.#sendMicrophone(first.joined);
    await this.context.onReady();
  }

  #check(): void {
    this.#abort.signal.throwIfAborted();
  }

  /** Asks for everything at once: the server takes the requests of one session in their order. */
  async #join(wish: Requests['voice:join']['payload'], attempt: number): Promise<FirstRound> {
    const { signal } = this.context;
    // The try that timed out may have got through: we leave first, so that the next one is not refused for it.
    if (attempt > 0) signal.request('voice:leave', {}).catch(() => {});
    this.#backlog = [];
    const reply = signal.request('voice:join', wish);
    const send = signal.request('voice:rtc:createTransport', { direction: 'send' });
    const recv = signal.request('voice:rtc:createTransport', { direction: 'recv' });
    // When the join is refused so are these; the join's error is the one that counts.
    send.catch(() => {});
    recv.catch(() => {});
    const joined = await reply;
    this.#check();
    const { routerRtpCapabilities: capabilities } = joined;
    if (capabilities === undefined) {
      const sentence = 'Calls in this channel go from browser to browser, and this app is not made for that. Use another channel.';
      throw new VoiceError('INVALID_STATE', sentence, { reason: joined.topology });
    }
    this.#joined = joined;
    this.#ice.take(joined);
    this.sending.setPermissions(joined.permissions);
    this.context.dispatch('joined');
    this.context.roster.fill(joined.participants);
    this.context.onJoined(joined);
    this.#tellState(joined.state);
    this.#drain();
    return { joined, capabilities, send, recv };
  }

  #drain(): void {
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    for (const handle of backlog) handle();
  }

  /** Whoever comes in muted is muted on the server before the microphone is sent; likewise what changed during a break. */
  #tellState(known: { muted: boolean; deafened: boolean }): void {
    const state = this.context.state();
    if (state.muted === known.muted && state.deafened === known.deafened) return;
    this.context.signal.request('voice:state:update', state).catch((e) => this.#problem(e));
  }

  #created(direction: Direction, first: Promise<TransportCreated>): Promise<TransportCreated> {
    const { signal } = this.context;
    const attempt = (n: number) => (n === 0 ? first : signal.request('voice:rtc:createTransport', { direction }));
    return withRetries(attempt, TRANSPORT_RETRIES, isTransportTrouble, this.#abort.signal);
  }

  #openTransports(rtc: Rtc, rtcConfig: RtcConfig, send: TransportCreated, recv: TransportCreated): void {
    const receiver = this.#openReceiver(rtc, rtcConfig, recv);
    const sender = rtc.createSendTransport(send, rtcConfig, {
      ...this.#handler(
        send.id,
        () => this.#send,
        (connected) => void (this.sending.connected = connected),
      ),
      onProduce: async ({ kind, rtpParameters, source }) => {
        const payload = { transportId: send.id, kind, rtpParameters, appData: { source } };
        return (await this.context.signal.request('voice:rtc:produce', payload)).producerId;
      },
    });
    this.#send = sender;
    this.sending.open(sender);
    this.receiving.open(rtc, receiver);
  }

  #openReceiver(rtc: Rtc, rtcConfig: RtcConfig, created: TransportCreated): RecvTransport {
    const handler = this.#handler(created.id, () => this.#recv);
    return (this.#recv = rtc.createRecvTransport(created, rtcConfig, handler));
  }

  /** In place of a receive transport that the browser has broken; what it cannot restore is a lost stay. */
  async #renewReceiver(rtc: Rtc): Promise<void> {
    const { signal } = this.context;
    const old = this.#recv;
    if (!old) return;
    this.#guards.get(old.id)?.close();
    this.#guards.delete(old.id);
    old.close();
    try {
      await signal.request('voice:rtc:closeTransport', { transportId: old.id }).catch((error: unknown) => {
        // The server has given it up by itself meanwhile.
        if (!hasCode(error, 'NOT_FOUND')) throw error;
      });
      const created = await this.#created('recv', signal.request('voice:rtc:createTransport', { direction: 'recv' }));
      const rtcConfig = await this.#ice.current();
      this.#check();
      this.receiving.open(rtc, this.#openReceiver(rtc, rtcConfig, created));
    } catch (error) {
      this.#lost(error);
    }
  }

  #handler(
    transportId: string,
    transport: () => RtcTransport | undefined,
    onConnecting: (connected: Promise<void>) => void = () => {},
  ): TransportHandler {
    const { signal } = this.context;
    const reporter = new ConnectionReporter(signal, transport, this.context.networkType);
    const guard = new IceGuard(
      () => this.#restartIce(transportId, transport),
      (error) => this.#lost(error),
      () => {
        reporter.onLate();
        if (!this.closed) this.context.onReach();
      },
    );
    this.#guards.set(transportId, guard);
    return {
      onConnect: (dtlsParameters) => {
        reporter.begin();
        guard.begin();
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
      onState: (state) => {
        if (!this.closed) reporter.onState(state);
        guard.onState(state);
        if (!this.closed) this.context.onReach();
      },
    };
  }

  async #restartIce(transportId: string, transport: () => RtcTransport | undefined): Promise<void> {
    // What is due is renewed first, and given to the transports.
    await this.#ice.current();
    const { iceParameters } = await this.context.signal.request('voice:rtc:restartIce', { transportId });
    this.#check();
    await transport()?.restartIce(iceParameters);
  }

  /**
   * New credentials for both transports. One that is relayed gets a new relay with them while the old one still works: there
   * are TURN servers that end a relay with its credential. If that fails it is as if the network had.
   */
  async #renewIceServers({ iceServers }: RtcConfig): Promise<void> {
    const renew = async (transport: RtcTransport): Promise<void> => {
      await transport.setIceServers(iceServers);
      if (transport.state === 'connected' && (await transport.isRelayed())) await this.#restartIce(transport.id, () => transport);
    };
    const open = [this.#send, this.#recv].filter((transport) => transport !== undefined);
    // What fails was closed meanwhile, or its connection is lost.
    await Promise.allSettled(open.map(renew));
  }

  /** No microphone, or one that cannot be sent, is no reason not to listen. Of who may not speak it is let go. */
  async #sendMicrophone({ role, state }: Joined): Promise<void> {
    if (role === 'spectator' || state.serverMuted.audio) {
      this.context.local.releaseMicrophone();
      this.context.dispatch('listenOnly');
      return;
    }
    // Closed by a moderator of the channel before: to open it is up to the person.
    if (this.context.local.microphoneStatus === 'off') return void this.context.dispatch('listenOnly');
    const track = await this.context.local.microphone();
    this.#check();
    if (track instanceof VoiceError) {
      this.context.dispatch('listenOnly');
      return this.#problem(track);
    }
    try {
      await this.sending.produce('mic', track);
    } catch (error) {
      this.#check();
      this.context.dispatch('listenOnly');
      this.#problem(error);
    }
  }

  /** A track that was opened while there was no connection to announce it on. */
  async #restoreMicrophone(): Promise<void> {
    const track = this.context.local.track('mic');
    if (!track || this.sending.producers.has('mic')) return;
    await this.sending.produce('mic', track).catch((error: unknown) => this.#problem(error));
    this.#check();
  }

  #handle(push: PushOf<PushName>): void {
    const { roster } = this.context;
    switch (push.event) {
      case 'voice:participant:joined': {
        const { userId, name } = roster.add(push.payload);
        this.context.onParticipant('joined', userId, name);
        for (const info of push.payload.producers) void this.receiving.receive(info);
        break;
      }
      case 'voice:participant:left': {
        const removed = roster.remove(push.payload.userId);
        for (const id of removed?.producerIds ?? []) this.receiving.drop(id);
        if (removed) this.context.onParticipant('left', push.payload.userId, removed.participant.name);
        break;
      }
      case 'voice:participant:state':
        roster.updateState(push.payload.userId, push.payload);
        break;
      case 'voice:newProducer':
        if (roster.addProducer(push.payload)) void this.receiving.receive(push.payload);
        break;
      case 'voice:producerClosed':
        this.#producerClosed(push.payload);
        break;
      case 'voice:producerPaused':
      case 'voice:producerResumed':
        roster.setProducerPaused(push.payload.producerId, push.event === 'voice:producerPaused');
        break;
      case 'voice:activeSpeakers':
        roster.setSpeakers(push.payload.speakers);
        break;
      case 'voice:layersChanged': {
        const { consumerId, layers } = push.payload;
        const found = this.receiving.all.find(({ consumer }) => consumer.id === consumerId);
        if (found) this.context.onLayers(found.info.userId, slotOf(found.info), layers);
        break;
      }
      case 'voice:left':
        this.#lost(
          new VoiceError(push.payload.rejoin ? 'DISCONNECTED' : 'NOT_IN_CHANNEL', 'The server ended the stay.', { ...push.payload }),
        );
        break;
      case 'voice:transportState':
        // The browser's own view of the same connection is what the ICE guard follows.
        break;
      case 'voice:mesh:links':
      case 'voice:mesh:offer':
      case 'voice:mesh:answer':
      case 'voice:mesh:ice':
        // This client leaves a mesh call as soon as it knows that it is one.
        break;
      case 'voice:entitlement':
        this.sending.setPermissions(push.payload.permissions);
        this.context.onPersonal(push);
        break;
      default:
        this.context.onPersonal(push);
    }
  }

  #producerClosed({ producerId, userId, reason }: Pushes['voice:producerClosed']): void {
    if (userId === this.#joined?.userId) return this.sending.closed(producerId, reason);
    this.receiving.drop(producerId);
    this.context.roster.removeProducer(producerId);
  }

  #lost(cause: unknown): void {
    if (!this.closed) this.context.onLost(toVoiceError(cause));
  }

  #problem(cause: unknown): void {
    if (!this.closed) this.context.onProblem(toVoiceError(cause));
  }
}

interface FirstRound {
  joined: Joined;
  capabilities: NonNullable<Joined['routerRtpCapabilities']>;
  send: Promise<TransportCreated>;
  recv: Promise<TransportCreated>;
}

type PushOf<Name extends PushName> = { [E in Name]: { event: E; payload: Pushes[E] } }[Name];

function isTransportTrouble(error: unknown): boolean {
  return hasCode(error, 'TIMEOUT', 'TRANSPORT_FAILED', 'SERVER_ERROR');
}
