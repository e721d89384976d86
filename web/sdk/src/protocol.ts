// The main dialect as types: what goes over the socket, in the field names of the wire.

import type { types } from 'mediasoup-client';

export type RtpCapabilities = types.RtpCapabilities;
export type RtpParameters = types.RtpParameters;
export type MediaKind = 'audio' | 'video';
/** What a track shows or lets hear. Sound that comes with a screen has the source `screen` too. */
export type Source = 'mic' | 'camera' | 'screen';
export type Direction = 'send' | 'recv';
/** What needs one of the channel's video slots. */
export type VideoSource = Exclude<Source, 'mic'>;
/** A spectator listens and watches only. */
export type Role = 'speaker' | 'spectator';

/** What one may do in the channel, as the server derived it. */
export interface Permissions {
  audio: boolean;
  video: boolean;
  screenshare: boolean;
  /** Audio at the most, in bit/s. */
  maxBitrate: number;
  /** When what the tier adds ends (RFC 3339); null when it does not. */
  expiresAt: string | null;
}

/** What somebody says of themselves. */
export interface SaidState {
  muted: boolean;
  deafened: boolean;
  speaking: boolean;
}

/** What a moderator has silenced; nothing of it passes the server, whatever the person does. */
export interface ServerMuted {
  audio: boolean;
  video: boolean;
  screen: boolean;
}

/** All that a moderator has taken from somebody. */
export interface Restrictions extends ServerMuted {
  deafened: boolean;
}

/** How a participant is. */
export interface ParticipantState extends SaidState {
  serverMuted: ServerMuted;
  serverDeafened: boolean;
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
  role: Role;
  moderator: boolean;
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

/** How many videos are sent in the channel, and how many may be. */
export interface SlotCount {
  current: number;
  max: number;
}

/** The answer to `voice:slot:request` and `voice:slot:release`. */
export interface Slot extends SlotCount {
  source: VideoSource;
  status: 'granted' | 'queued' | 'released';
  /** In the queue, from 1. */
  position: number | null;
}

/** What a moderator can do. */
export type ModerationCommand =
  | { action: 'mute'; userId: string; audio?: boolean; video?: boolean; screen?: boolean }
  | { action: 'deafen'; userId: string; deafened: boolean }
  | { action: 'kick'; userId: string; reason?: string }
  /** `until` as RFC 3339; for good without it. */
  | { action: 'ban'; userId: string; until?: string; reason?: string }
  | { action: 'move'; userId: string; to: string }
  | { action: 'end-call'; reason?: string };

export type ModerationAction = ModerationCommand['action'];

/** Why the server put one out. */
export type LeftReason =
  | 'media-lost'
  | 'shutting-down'
  | 'kicked'
  | 'banned'
  | 'moved'
  | 'call-ended'
  | 'session-revoked'
  | 'channel-deleted'
  | 'access-lost'
  | 'replaced'
  | 'moved-device';

/** Why the server closed a producer. */
export type CloseReason = 'entitlement' | 'moderation' | 'media';

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
  /** With it another connection can go on with this stay, as long as the server keeps it. */
  resumeToken: string;
  /** How long the server keeps a stay whose connection broke; 0 when it does not. */
  resumeGraceMs: number;
  resumed: boolean;
  role: Role;
  moderator: boolean;
  /** How one is, as the others see it. */
  state: ParticipantState;
  videoSlots: SlotCount;
}

/** The answer to `voice:resume`: how things are now. */
export interface Resumed extends Joined {
  /** What lives on of one's own. */
  own: { transports: string[]; producers: string[]; consumers: string[] };
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
  'voice:join': { payload: { channelId: string; rtpCapabilities?: RtpCapabilities; takeOver?: boolean }; reply: Joined };
  'voice:resume': { payload: { channelId: string; resumeToken: string }; reply: Resumed };
  'voice:leave': { payload: { channelId?: string }; reply: { channelId: string } };
  'voice:rtc:getRouterRtpCapabilities': { payload: Record<string, never>; reply: { rtpCapabilities: RtpCapabilities } };
  'voice:rtc:createTransport': { payload: { direction: Direction }; reply: TransportCreated };
  'voice:rtc:connectTransport': {
    payload: { transportId: string; dtlsParameters: types.DtlsParameters };
    reply: { transportId: string };
  };
  'voice:rtc:restartIce': { payload: { transportId: string }; reply: { transportId: string; iceParameters: types.IceParameters } };
  'voice:rtc:closeTransport': { payload: { transportId: string }; reply: { transportId: string } };
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
  'voice:state:update': { payload: Partial<SaidState>; reply: SaidState };
  'voice:slot:request': { payload: { source: VideoSource }; reply: Slot };
  'voice:slot:release': { payload: { source: VideoSource }; reply: Slot };
  'voice:moderate': { payload: ModerationCommand; reply: { action: ModerationAction; userId?: string | null } };
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
  'voice:producerClosed': { producerId: string; userId: string; reason?: CloseReason };
  'voice:producerPaused': { producerId: string; userId: string };
  'voice:producerResumed': { producerId: string; userId: string };
  'voice:activeSpeakers': { speakers: Speaker[] };
  /** `reason` says why it failed. */
  'voice:transportState': { transportId: string; state: string; reason?: string };
  'voice:layersChanged': { consumerId: string; layers: Layers | null };
  /** It is one's turn. */
  'voice:slot:granted': { source: VideoSource } & SlotCount;
  /** One's place in the queue changed. */
  'voice:slot:queue': { source: VideoSource; position: number } & SlotCount;
  /** What one may do changed in mid-call. */
  'voice:entitlement': { permissions: Permissions; reason: 'expired' | 'changed' };
  /** A moderator did something to one. */
  'voice:moderation': { action: ModerationAction; byUserId: string | null; restrictions: Restrictions; reason: string | null };
  'voice:left': { channelId: string; reason: LeftReason; rejoin: boolean; to?: string | null };
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
  'voice:slot:granted',
  'voice:slot:queue',
  'voice:entitlement',
  'voice:moderation',
  'voice:left',
];
