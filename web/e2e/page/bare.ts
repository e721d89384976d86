// A client written from docs/protocol/socketio.md with nothing but `socket.io-client` and `mediasoup-client`, both
// as they come from npm: it proves the dialect without our SDK.

import { Device, type types } from 'mediasoup-client';
import { io, type Socket } from 'socket.io-client';

/** What a refused request rejects with. */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly details: Record<string, unknown>,
  ) {
    super(`${code}: ${message} ${JSON.stringify(details)}`);
  }
}

/** A producer as the others see it. */
export interface ProducerInfo {
  producerId: string;
  userId: string;
  kind: 'audio' | 'video';
  appData: { source: string };
  paused: boolean;
}

/** Somebody in the room. */
export interface Participant {
  userId: string;
  name: string;
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
  producers: ProducerInfo[];
}

/** The part of `voice:joined` that this client reads. */
export interface Joined {
  channelId: string;
  userId: string;
  participants: Participant[];
  permissions: { audio: boolean; video: boolean; screenshare: boolean; maxBitrate: number };
  rtcConfig: { iceServers: RTCIceServer[]; iceTransportPolicy: RTCIceTransportPolicy };
  routerRtpCapabilities: types.RtpCapabilities;
}

interface Consumed {
  id: string;
  producerId: string;
  kind: 'audio' | 'video';
  rtpParameters: types.RtpParameters;
  type: string;
  paused: boolean;
  producerPaused: boolean;
}

type TransportCreated = Omit<types.TransportOptions, 'iceServers'>;

/** How a track is to be sent. */
export interface ProduceOptions {
  source: 'mic' | 'camera' | 'screen';
  /** `video/VP8`, `video/H264`…; the browser's first choice unless given. */
  codec?: string;
  /** Three sizes at once. */
  simulcast?: boolean;
  /** The temporal layers of each of them; one unless given. */
  scalabilityMode?: 'L1T1' | 'L1T3';
  width?: number;
  height?: number;
}

const DEADLINE_MS = 15_000;

/** One person. Several may live in one page. */
export class BareClient {
  /** Every event that was pushed, in order. */
  readonly events: { name: string; payload: Record<string, unknown> }[] = [];
  private readonly device = new Device();
  private readonly producers = new Map<string, types.Producer>();
  private readonly consumers = new Map<string, types.Consumer>();
  private send: types.Transport | undefined;
  private recv: types.Transport | undefined;

  private constructor(private readonly socket: Socket) {
    socket.onAny((name: string, payload: Record<string, unknown>) => this.events.push({ name, payload }));
  }

  /**
   * Connects a socket with this token; rejects with the refusal of the server. Without `transports`, as socket.io-client
   * does it unless told otherwise: long polling first, then WebSocket.
   */
  static connect(url: string, token: unknown, transports?: ('polling' | 'websocket')[]): Promise<BareClient> {
    const socket = io(url, { auth: { token }, forceNew: true, reconnection: false, ...(transports && { transports }) });
    const client = new BareClient(socket);
    return new Promise((resolve, reject) => {
      socket.once('connect', () => resolve(client));
      socket.once('connect_error', (error: Error & { data?: { code?: string; details?: Record<string, unknown> } }) => {
        socket.close();
        reject(new Refusal(error.data?.code ?? 'NO_CODE', error.message, error.data?.details ?? {}));
      });
    });
  }

  /** Sends a request with an acknowledgement. */
  async request<T = Record<string, unknown>>(event: string, payload: unknown = {}): Promise<T> {
    const answer = (await this.socket.timeout(DEADLINE_MS).emitWithAck(event, payload)) as T & {
      error?: string;
      code?: string;
      details?: Record<string, unknown>;
    };
    if (answer.code !== undefined) throw new Refusal(answer.code, answer.error ?? '', answer.details ?? {});
    return answer;
  }

  /** Sends a request without one: the answer is an event. */
  emit(event: string, payload: unknown = {}): void {
    this.socket.emit(event, payload);
  }

  /** The code a request is refused with. */
  async refusalOf(event: string, payload: unknown = {}): Promise<{ code: string; message: string; details: Record<string, unknown> }> {
    try {
      await this.request(event, payload);
    } catch (error) {
      if (error instanceof Refusal) return { code: error.code, message: error.message, details: error.details };
      throw error;
    }
    return { code: 'NONE', message: '', details: {} };
  }

  /**
   * Joins with both transports in one burst of requests: no answer is waited for in between. With `protocol`,
   * only the server's candidates of that protocol are used.
   */
  async join(channelId: string, protocol?: 'udp' | 'tcp'): Promise<Joined> {
    const [joined, send, recv] = await Promise.all([
      this.request<Joined>('voice:join', { channelId }),
      this.request<TransportCreated>('voice:rtc:createTransport', { direction: 'send' }),
      this.request<TransportCreated>('voice:rtc:createTransport', { direction: 'recv' }),
    ]);
    await this.device.load({ routerRtpCapabilities: joined.routerRtpCapabilities });
    for (const transport of [send, recv]) {
      transport.iceCandidates = transport.iceCandidates.filter((candidate) => protocol === undefined || candidate.protocol === protocol);
    }
    this.send = this.device.createSendTransport({ ...send, ...joined.rtcConfig });
    this.recv = this.device.createRecvTransport({ ...recv, ...joined.rtcConfig });
    for (const transport of [this.send, this.recv]) {
      transport.on('connect', ({ dtlsParameters }, done, failed) => {
        this.request('voice:rtc:connectTransport', { transportId: transport.id, dtlsParameters }).then(done, failed);
      });
    }
    this.send.on('produce', ({ kind, rtpParameters, appData }, done, failed) => {
      const transportId = this.send?.id;
      this.request<{ producerId: string }>('voice:rtc:produce', { transportId, kind, rtpParameters, appData }).then(
        ({ producerId }) => done({ id: producerId }),
        failed,
      );
    });
    return joined;
  }

  /** Sends the fake microphone, camera or screen; answers the producer's id. */
  async produce(options: ProduceOptions): Promise<string> {
    const track = await capture(options);
    const codec = this.device.sendRtpCapabilities.codecs?.find((c) => c.mimeType.toLowerCase() === options.codec?.toLowerCase());
    if (options.codec !== undefined && codec === undefined) throw new Error(`this browser cannot send ${options.codec}`);
    const producer = await must(this.send, 'join first').produce({
      track,
      appData: { source: options.source },
      ...(codec === undefined ? {} : { codec }),
      ...(options.simulcast === true
        ? {
            encodings: THREE_SIZES.map((size) => ({ ...size, scalabilityMode: options.scalabilityMode ?? 'L1T1' })),
            codecOptions: { videoGoogleStartBitrate: 1500 },
          }
        : {}),
      ...(track.kind === 'audio' ? { codecOptions: { opusFec: true, opusDtx: true, opusStereo: false } } : {}),
    });
    this.producers.set(producer.id, producer);
    return producer.id;
  }

  /** Receives a producer; answers the consumer's id, the id of the track to measure, and the type of the stream. */
  async consume(producerId: string): Promise<{ consumerId: string; track: string; type: string }> {
    const recv = must(this.recv, 'join first');
    const { rtpCapabilities } = this.device;
    const { id, kind, rtpParameters, type } = await this.request<Consumed>('voice:rtc:consume', {
      producerId,
      transportId: recv.id,
      rtpCapabilities,
    });
    const consumer = await recv.consume({ id, producerId, kind, rtpParameters });
    this.consumers.set(id, consumer);
    play(consumer.track);
    return { consumerId: id, track: consumer.track.id, type };
  }

  /** Stops the capture and the producer, and tells the server. */
  async closeProducer(producerId: string): Promise<void> {
    this.producers.get(producerId)?.close();
    this.producers.delete(producerId);
    await this.request('voice:rtc:closeProducer', { producerId });
  }

  /** Drops a consumer whose producer closed. */
  dropConsumer(consumerId: string): void {
    this.consumers.get(consumerId)?.close();
    this.consumers.delete(consumerId);
  }

  /** New ICE credentials for both transports, as after a change of network. */
  async restartIce(): Promise<void> {
    for (const transport of [this.send, this.recv]) {
      const { id } = must(transport, 'join first');
      const { iceParameters } = await this.request<{ iceParameters: types.IceParameters }>('voice:rtc:restartIce', { transportId: id });
      await transport?.restartIce({ iceParameters });
    }
  }

  /** The ids a hostile session would like to know. */
  ids(): { send: string; recv: string; producers: string[]; consumers: string[] } {
    return {
      send: must(this.send, 'join first').id,
      recv: must(this.recv, 'join first').id,
      producers: [...this.producers.keys()],
      consumers: [...this.consumers.keys()],
    };
  }

  /** The producers of the others that were announced after the join. */
  announced(): ProducerInfo[] {
    return this.events.filter(({ name }) => name === 'voice:newProducer').map(({ payload }) => payload as unknown as ProducerInfo);
  }

  /** What carries the socket's messages at this moment. */
  carrier(): string {
    return this.socket.connected ? this.socket.io.engine.transport.name : 'none';
  }

  /** Ends everything. */
  close(): void {
    this.send?.close();
    this.recv?.close();
    this.socket.close();
  }
}

const THREE_SIZES = [
  { rid: 'r0', scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { rid: 'r1', scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { rid: 'r2', scaleResolutionDownBy: 1, maxBitrate: 1_500_000 },
];

async function capture({ source, width = 640, height = 360 }: ProduceOptions): Promise<MediaStreamTrack> {
  const frameRate = 15;
  const stream =
    source === 'mic'
      ? await navigator.mediaDevices.getUserMedia({ audio: { autoGainControl: false, noiseSuppression: false, echoCancellation: false } })
      : source === 'camera'
        ? await navigator.mediaDevices.getUserMedia({ video: { width, height, frameRate } })
        : await navigator.mediaDevices.getDisplayMedia({ video: { frameRate } });
  return must(stream.getTracks()[0], 'the device has no track');
}

// Chromium decodes only what something plays.
function play(track: MediaStreamTrack): void {
  const element = document.createElement(track.kind === 'audio' ? 'audio' : 'video');
  element.srcObject = new MediaStream([track]);
  element.autoplay = true;
  document.body.append(element);
}

function must<T>(value: T | undefined, otherwise: string): T {
  if (value === undefined) throw new Error(otherwise);
  return value;
}

declare global {
  interface Window {
    BareClient: typeof BareClient;
  }
}

window.BareClient = BareClient;
