// What the service needs of WebRTC. mediasoup-client in a browser is one; tests have another.

import type { types } from 'mediasoup-client';

import type { Consumed, MediaKind, RtcConfig, RtpCapabilities, RtpParameters, Source, TransportCreated } from '../protocol.js';

/** A codec that video can be sent with. */
export type VideoCodec = 'VP8' | 'VP9' | 'H264';
/** The state of a transport's connection, as WebRTC says it. */
export type ConnectionState = types.ConnectionState;

/** What a transport asks the server for, and tells of itself. */
export interface TransportHandler {
  /** The client's DTLS parameters are known: give them to the server. Must not throw. */
  onConnect(dtlsParameters: types.DtlsParameters): void;
  onState(state: ConnectionState): void;
}

export interface SendHandler extends TransportHandler {
  /** A track is ready to be sent: make the server's producer and answer its id. */
  onProduce(produce: { kind: MediaKind; rtpParameters: RtpParameters; source: Source }): Promise<string>;
}

export interface ProduceOptions {
  track: MediaStreamTrack;
  source: Source;
  /** Begins paused, on this side only: what the server enforces is the state it was told. */
  paused?: boolean;
  /** Audio at the most, in bit/s. */
  maxBitrate: number;
  videoCodec: VideoCodec;
}

/** A track being sent. The track itself belongs to whoever made it: closing the producer does not stop it. */
export interface LocalProducer {
  readonly id: string;
  readonly kind: MediaKind;
  readonly source: Source;
  pause(): void;
  resume(): void;
  /** Sends no more than this from now on, in bit/s. */
  setMaxBitrate(maxBitrate: number): void;
  close(): void;
  getStats(): Promise<RTCStatsReport>;
}

/** A track being received. */
export interface RemoteConsumer {
  readonly id: string;
  readonly producerId: string;
  readonly track: MediaStreamTrack;
  close(): void;
  getStats(): Promise<RTCStatsReport>;
}

export interface RtcTransport {
  readonly id: string;
  readonly state: ConnectionState;
  restartIce(iceParameters: types.IceParameters): Promise<void>;
  /** Uses these servers from the next restart of ICE on. */
  setIceServers(iceServers: RtcConfig['iceServers']): Promise<void>;
  /** Whether it goes through a relay at the moment. */
  isRelayed(): Promise<boolean>;
  getStats(): Promise<RTCStatsReport>;
  /** Closes the connection with all that is sent or received over it. */
  close(): void;
}

export interface SendTransport extends RtcTransport {
  produce(options: ProduceOptions): Promise<LocalProducer>;
}

export interface RecvTransport extends RtcTransport {
  /** The browser refused what it was to receive: nothing more can be received here. */
  readonly broken: boolean;
  consume(consumed: Consumed): Promise<RemoteConsumer>;
}

/** The WebRTC side of one stay in a channel. */
export interface Rtc {
  /** Learns what the router can forward. */
  load(routerCapabilities: RtpCapabilities): Promise<void>;
  /** What can be received, to be told with each `consume`. */
  readonly recvCapabilities: RtpCapabilities;
  createSendTransport(created: TransportCreated, config: RtcConfig, handler: SendHandler): SendTransport;
  createRecvTransport(created: TransportCreated, config: RtcConfig, handler: TransportHandler): RecvTransport;
}

/** Makes the WebRTC side; rejects with UNSUPPORTED where there is none. */
export type RtcFactory = () => Promise<Rtc>;
