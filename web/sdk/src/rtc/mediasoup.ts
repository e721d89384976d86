// WebRTC by mediasoup-client, loaded when it is first needed: it is most of the bundle.

import type { types } from 'mediasoup-client';

import { VoiceError } from '../errors.js';
import type { Consumed, RtcConfig, RtpCapabilities, Source, TransportCreated } from '../protocol.js';
import { producerOptions } from './encodings.js';
import type {
  LocalProducer,
  ProduceOptions,
  RecvTransport,
  RemoteConsumer,
  Rtc,
  RtcTransport,
  SendHandler,
  SendTransport,
  TransportHandler,
} from './rtc.js';
import { isRelayed } from './route.js';

/** The browser's WebRTC. `device` makes the mediasoup-client Device; tests give one with a fake handler. */
export async function mediasoupRtc(device: () => Promise<types.Device> = browserDevice): Promise<Rtc> {
  try {
    return new MediasoupRtc(await device());
  } catch (cause) {
    throw new VoiceError('UNSUPPORTED', 'This browser has no WebRTC that Parlor can use.', {}, { cause });
  }
}

async function browserDevice(): Promise<types.Device> {
  const { Device } = await import('mediasoup-client');
  return Device.factory();
}

class MediasoupRtc implements Rtc {
  constructor(private readonly device: types.Device) {}

  async load(routerCapabilities: RtpCapabilities): Promise<void> {
    await this.device.load({ routerRtpCapabilities: routerCapabilities });
  }

  get recvCapabilities(): RtpCapabilities {
    return this.device.recvRtpCapabilities;
  }

  createSendTransport(created: TransportCreated, config: RtcConfig, handler: SendHandler): SendTransport {
    const transport = this.device.createSendTransport(transportOptions(created, config));
    listen(transport, handler);
    transport.on('produce', ({ kind, rtpParameters, appData }, callback, errback) => {
      const { source } = appData as { source: Source };
      handler.onProduce({ kind, rtpParameters, source }).then((id) => callback({ id }), errback);
    });
    return new MediasoupSendTransport(transport, this.device.sendRtpCapabilities);
  }

  createRecvTransport(created: TransportCreated, config: RtcConfig, handler: TransportHandler): RecvTransport {
    const transport = this.device.createRecvTransport(transportOptions(created, config));
    listen(transport, handler);
    return new MediasoupRecvTransport(transport);
  }
}

function transportOptions(
  { id, iceParameters, iceCandidates, dtlsParameters }: TransportCreated,
  config: RtcConfig,
): types.TransportOptions {
  return { id, iceParameters, iceCandidates, dtlsParameters, iceServers: config.iceServers, iceTransportPolicy: config.iceTransportPolicy };
}

function listen(transport: types.Transport, handler: TransportHandler): void {
  transport.on('connect', ({ dtlsParameters }, callback) => {
    handler.onConnect(dtlsParameters);
    // Not waiting for the answer saves a round trip: the server takes one session's requests in their order, so
    // what follows finds the transport connected. A refusal reaches the handler, which ends the call.
    callback();
  });
  transport.on('connectionstatechange', (state) => handler.onState(state));
}

abstract class MediasoupTransport implements RtcTransport {
  constructor(protected readonly transport: types.Transport) {}

  get id(): string {
    return this.transport.id;
  }

  get state(): types.ConnectionState {
    return this.transport.connectionState;
  }

  restartIce(iceParameters: types.IceParameters): Promise<void> {
    return this.transport.restartIce({ iceParameters });
  }

  setIceServers(iceServers: RtcConfig['iceServers']): Promise<void> {
    return this.transport.updateIceServers({ iceServers });
  }

  async isRelayed(): Promise<boolean> {
    return isRelayed(await this.getStats());
  }

  getStats(): Promise<RTCStatsReport> {
    return this.transport.getStats();
  }

  close(): void {
    this.transport.close();
  }
}

class MediasoupSendTransport extends MediasoupTransport implements SendTransport {
  constructor(
    transport: types.Transport,
    private readonly capabilities: RtpCapabilities,
  ) {
    super(transport);
  }

  async produce(options: ProduceOptions): Promise<LocalProducer> {
    const { track, source, paused = false } = options;
    const producer = await this.transport.produce({
      track,
      // The tracks outlive a producer: after a reconnect they are sent again.
      stopTracks: false,
      zeroRtpOnPause: false,
      appData: { source },
      ...producerOptions(options, this.capabilities),
    });
    if (paused) producer.pause();
    return {
      id: producer.id,
      kind: producer.kind,
      source,
      pause: () => producer.pause(),
      resume: () => producer.resume(),
      // A sender that is being closed refuses: it sends nothing then.
      setMaxBitrate: (maxBitrate) => void producer.setRtpEncodingParameters({ maxBitrate }).catch(() => {}),
      close: () => producer.close(),
      getStats: () => producer.getStats(),
    };
  }
}

class MediasoupRecvTransport extends MediasoupTransport implements RecvTransport {
  readonly #streams = new Map<string, string>();
  #broken = false;

  get broken(): boolean {
    return this.#broken;
  }

  async consume({ id, producerId, kind, rtpParameters, userId, appData }: Consumed): Promise<RemoteConsumer> {
    const streamId = this.#streamOf(userId, appData.source);
    const consumer = await this.transport.consume({ id, producerId, kind, rtpParameters, streamId }).catch((error: unknown) => {
      // What cannot be decoded here is refused before the browser is told of it. What the browser refuses,
      // mediasoup-client tells it again at every later change, which then fails as well.
      if (!(error instanceof Error && error.name === 'UnsupportedError')) this.#broken = true;
      throw error;
    });
    return {
      id: consumer.id,
      producerId: consumer.producerId,
      track: consumer.track,
      close: () => consumer.close(),
      getStats: () => consumer.getStats(),
    };
  }

  /**
   * Tracks of one stream are kept in step: a voice with its camera, a screen with its sound. The name goes into a line of
   * SDP, where most characters of a user id must not be (RFC 8830, section 2): a number stands for it.
   */
  #streamOf(userId: string, source: Source): string {
    const key = `${source === 'screen' ? 'screen' : 'person'} ${userId}`;
    const known = this.#streams.get(key) ?? `stream-${this.#streams.size + 1}`;
    this.#streams.set(key, known);
    return known;
  }
}
