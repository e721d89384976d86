// The main dialect as types: what goes over the socket, in the field names of the wire.

import type { types } from 'mediasoup-client';

export type RtpCapabilities = types.RtpCapabilities;
export type RtpParameters = types.RtpParameters;
export type MediaKind = 'audio' | 'video';
/** What a track shows or lets hear. Sound that comes with a screen has the source `screen` too. */
export type Source = 'mic' | 'camera' | 'screen';
export type Direction = 'send' | 'recv';

/** What one may do in the channel, as the server derived it. */
export interface Permissions {
  audio: boolean;
  video: boolean;
  screenshare: boolean;
  /** Audio at the most, in bit/s. */
  maxBitrate: number;
}

/** How a participant is. */
export interface ParticipantState {
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
}

/** A track somebody sends. */
export interface ProducerInfo {
  producerId: string;
  userId: string;
  kind: MediaKind;
  appData: { source: Source };
  paused: boolean;
}

/** Somebody in the room, as the wire has it. */
export interface WireParticipant extends ParticipantState {
  userId: string;
  name: string;
  producers: ProducerInfo[];
}

export interface RtcConfig {
  iceServers: RTCIceServer[];
  iceTransportPolicy: RTCIceTransportPolicy;
}

/** Layers of a video: 0 is the smallest. */
export interface Layers {
  spatialLayer: number;
  temporalLayer?: number;
}

/** The answer to `voice:join`. */
export interface Joined {
  channelId: string;
  channelName: string;
  sfuEndpoint: string;
  userId: string;
  participants: WireParticipant[];
  permissions: Permissions;
  rtcConfig: RtcConfig;
  turnCredentialExpiresAt: string | null;
  routerRtpCapabilities: RtpCapabilities;
  e2ee: string;
  recording: string;
}

/** The answer to `voice:rtc:createTransport`. */
export interface TransportCreated {
  id: string;
  direction: Direction;
  iceParameters: types.IceParameters;
  iceCandidates: types.IceCandidate[];
  dtlsParameters: types.DtlsParameters;
}

/** The answer to `voice:rtc:consume`. */
export interface Consumed {
  id: string;
  producerId: string;
  userId: string;
  kind: MediaKind;
  rtpParameters: RtpParameters;
  type: 'simple' | 'simulcast' | 'svc';
  appData: { source: Source };
  paused: boolean;
  producerPaused: boolean;
}

/** Every request: what it takes and what it answers. */
export interface Requests {
  'voice:join': { payload: { channelId: string; rtpCapabilities?: RtpCapabilities }; reply: Joined };
  'voice:leave': { payload: { channelId?: string }; reply: { channelId: string } };
  'voice:rtc:getRouterRtpCapabilities': { payload: Record<string, never>; reply: { rtpCapabilities: RtpCapabilities } };
  'voice:rtc:createTransport': { payload: { direction: Direction }; reply: TransportCreated };
  'voice:rtc:connectTransport': {
    payload: { transportId: string; dtlsParameters: types.DtlsParameters };
    reply: { transportId: string };
  };
  'voice:rtc:restartIce': { payload: { transportId: string }; reply: { transportId: string; iceParameters: types.IceParameters } };
  'voice:rtc:produce': {
    payload: { transportId: string; kind: MediaKind; rtpParameters: RtpParameters; appData: { source: Source }; paused?: boolean };
    reply: { producerId: string };
  };
  'voice:rtc:pauseProducer': { payload: { producerId: string }; reply: { producerId: string } };
  'voice:rtc:resumeProducer': { payload: { producerId: string }; reply: { producerId: string } };
  'voice:rtc:closeProducer': { payload: { producerId: string }; reply: { producerId: string } };
  'voice:rtc:consume': {
    payload: { producerId: string; transportId?: string; rtpCapabilities?: RtpCapabilities; paused?: boolean };
    reply: Consumed;
  };
  'voice:rtc:pauseConsumer': { payload: { consumerId: string }; reply: { consumerId: string } };
  'voice:rtc:resumeConsumer': { payload: { consumerId: string }; reply: { consumerId: string } };
  'voice:rtc:closeConsumer': { payload: { consumerId: string }; reply: { consumerId: string } };
  'voice:rtc:setPreferredLayers': { payload: { consumerId: string } & Layers; reply: { consumerId: string } & Layers };
  'voice:rtc:requestKeyFrame': { payload: { consumerId: string }; reply: { consumerId: string } };
  'voice:state:update': { payload: Partial<ParticipantState>; reply: ParticipantState };
}

export type RequestName = keyof Requests;

/** One who is heard; `level` in dBov, -127 to 0. */
export interface Speaker {
  userId: string;
  producerId: string;
  level: number;
}

/** Everything the server says unasked. */
export interface Pushes {
  'voice:participant:joined': WireParticipant;
  'voice:participant:left': { userId: string };
  'voice:participant:state': { userId: string } & ParticipantState;
  'voice:newProducer': ProducerInfo;
  'voice:producerClosed': { producerId: string; userId: string };
  'voice:producerPaused': { producerId: string; userId: string };
  'voice:producerResumed': { producerId: string; userId: string };
  'voice:activeSpeakers': { speakers: Speaker[] };
  'voice:transportState': { transportId: string; state: string };
  'voice:layersChanged': { consumerId: string; layers: Layers | null };
  'voice:left': { channelId: string; reason: string; rejoin: boolean };
}

export type PushName = keyof Pushes;

/** The names of the pushes, to subscribe to them all. */
export const PUSH_NAMES: readonly PushName[] = [
  'voice:participant:joined',
  'voice:participant:left',
  'voice:participant:state',
  'voice:newProducer',
  'voice:producerClosed',
  'voice:producerPaused',
  'voice:producerResumed',
  'voice:activeSpeakers',
  'voice:transportState',
  'voice:layersChanged',
  'voice:left',
];
