// What goes over the socket, made by `npm run generate` from docs/protocol/socketio.schema.json: do not edit.

import type { types } from 'mediasoup-client';

/** The codes the server refuses with. */
export const SERVER_ERROR_CODES = [
  'INVALID_REQUEST',
  'UNKNOWN_EVENT',
  'UNAUTHENTICATED',
  'CHANNEL_NOT_FOUND',
  'CHANNEL_FULL',
  'CHANNEL_CLOSED',
  'PERMISSION_DENIED',
  'CAPABILITY_REQUIRED',
  'VIDEO_LIMIT_REACHED',
  'ALREADY_IN_CHANNEL',
  'NOT_IN_CHANNEL',
  'SESSION_EXPIRED',
  'NOT_FOUND',
  'INVALID_STATE',
  'INCOMPATIBLE',
  'RATE_LIMITED',
  'LIMIT_EXCEEDED',
  'CONFLICT',
  'PRECONDITION_FAILED',
  'TRANSPORT_FAILED',
  'TIMEOUT',
  'SHUTTING_DOWN',
  'SERVER_ERROR',
] as const;

/** The names of the pushes. */
export const PUSH_NAMES = [
  'voice:activeSpeakers',
  'voice:entitlement',
  'voice:layersChanged',
  'voice:left',
  'voice:mesh:answer',
  'voice:mesh:ice',
  'voice:mesh:links',
  'voice:mesh:offer',
  'voice:moderation',
  'voice:newProducer',
  'voice:participant:joined',
  'voice:participant:left',
  'voice:participant:state',
  'voice:producerClosed',
  'voice:producerPaused',
  'voice:producerResumed',
  'voice:slot:granted',
  'voice:slot:queue',
  'voice:transportState',
] as const;

/**
 * Why permissions changed.
 */
export type EntitlementReason = 'expired' | 'changed';
/**
 * Why a session was put out of its room.
 */
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
  | 'topology-changed'
  | 'moved-device';
/**
 * What kind of act it is.
 */
export type ModerationAction = 'mute' | 'deafen' | 'kick' | 'ban' | 'move' | 'end-call';
/**
 * What a producer shows or lets hear; decides permissions and limits.
 */
export type Source = 'mic' | 'camera' | 'screen';
/**
 * Whether a track is sound or picture.
 */
export type MediaKind = 'audio' | 'video';
/**
 * Whether a participant may speak.
 */
export type Role = 'speaker' | 'spectator';
/**
 * Why the server closed a producer.
 */
export type CloseReason = 'entitlement' | 'moderation' | 'media';
/**
 * A source of pictures: what needs one of the channel's video slots.
 */
export type VideoSource = 'camera' | 'screen';
/**
 * Why a transport failed.
 */
export type TransportFailure =
  | 'silent'
  | 'address-in-use'
  | 'closed'
  | 'certificate-mismatch'
  | 'certificate-unsupported'
  | 'signature-invalid'
  | 'nothing-in-common'
  | 'refused-by-client'
  | 'handshake-timeout'
  | 'protocol-violation'
  | 'server';
/**
 * How far a transport has come.
 */
export type TransportState = 'new' | 'connecting' | 'connected' | 'disconnected' | 'failed';
/**
 * The closed list of error codes. Clients may switch on them; sentences may change, codes do not.
 */
export type ErrorCode =
  | 'INVALID_REQUEST'
  | 'UNKNOWN_EVENT'
  | 'UNAUTHENTICATED'
  | 'CHANNEL_NOT_FOUND'
  | 'CHANNEL_FULL'
  | 'CHANNEL_CLOSED'
  | 'PERMISSION_DENIED'
  | 'CAPABILITY_REQUIRED'
  | 'VIDEO_LIMIT_REACHED'
  | 'ALREADY_IN_CHANNEL'
  | 'NOT_IN_CHANNEL'
  | 'SESSION_EXPIRED'
  | 'NOT_FOUND'
  | 'INVALID_STATE'
  | 'INCOMPATIBLE'
  | 'RATE_LIMITED'
  | 'LIMIT_EXCEEDED'
  | 'CONFLICT'
  | 'PRECONDITION_FAILED'
  | 'TRANSPORT_FAILED'
  | 'TIMEOUT'
  | 'SHUTTING_DOWN'
  | 'SERVER_ERROR';
export type RtpParameters = types.RtpParameters;
/**
 * How a producer offers its quality levels.
 */
export type StreamType = 'simple' | 'simulcast' | 'svc';
export type IceParameters = types.IceParameters;
/**
 * Whether the client may try every candidate or relays only.
 */
export type IceTransportPolicy = 'all' | 'relay';
/**
 * Whether media is encrypted end to end, or recorded. Both are off until the features exist; the fields
 * are there so that a client can always say truly which it is.
 */
export type Policy = 'off';
export type RtpCapabilities = types.RtpCapabilities;
/**
 * The way that the media of a call takes.
 */
export type CallTopology = 'sfu' | 'mesh';
/**
 * What became of a request for a video slot.
 */
export type SlotStatus = 'granted' | 'queued' | 'released';
/**
 * Which way media flows on a transport, seen from the client.
 */
export type Direction = 'send' | 'recv';
export type DtlsParameters = types.DtlsParameters;
export type IceCandidate = types.IceCandidate;
/**
 * What a moderator can do.
 */
export type ModerationCommand =
  | {
      action: 'mute';
      audio?: boolean | null;
      screen?: boolean | null;
      userId: string;
      video?: boolean | null;
    }
  | {
      action: 'deafen';
      deafened: boolean;
      userId: string;
    }
  | {
      action: 'kick';
      reason?: string | null;
      userId: string;
    }
  | {
      action: 'ban';
      reason?: string | null;
      /**
       * When the ban ends (RFC 3339); without it, never.
       */
      until?: string | null;
      userId: string;
    }
  | {
      action: 'move';
      to: string;
      userId: string;
    }
  | {
      action: 'end-call';
      reason?: string | null;
    };
/**
 * What became of the connectivity checks of ICE.
 */
export type Checks = 'none' | 'sent' | 'answered';
/**
 * The state of DTLS, as browsers name it.
 */
export type DtlsState = 'new' | 'connecting' | 'connected' | 'closed' | 'failed';
/**
 * The state of ICE, as browsers name it.
 */
export type IceState = 'new' | 'checking' | 'connected' | 'completed' | 'disconnected' | 'failed' | 'closed';
/**
 * What became of a connection, by the client's account.
 */
export type ConnectionOutcome = 'connected' | 'failed' | 'closed';
/**
 * The type of a candidate (RFC 8445, section 5.1.1).
 */
export type CandidateType = 'host' | 'srflx' | 'prflx' | 'relay';
/**
 * Below ICE: what carries the packets.
 */
export type Protocol1 = 'udp' | 'tcp';
/**
 * How a client reaches its TURN server.
 */
export type RelayProtocol = 'udp' | 'tcp' | 'tls';

/**
 * The socket.io dialect of Parlor. A refusal answers a request with an acknowledgement; without one it is the event voice:rtc:error.
 */
export interface Protocol {
  pushes: Pushes;
  refusal: Refusal;
  replies: Replies;
  requests: Requests;
}
/**
 * Everything the server says unasked.
 */
export interface Pushes {
  /**
   * The participants who are heard, loudest first; empty when all are silent.
   */
  'voice:activeSpeakers': {
    speakers: Speaker[];
  };
  /**
   * The client may do more or less than before.
   */
  'voice:entitlement': {
    permissions: Permissions;
    reason: EntitlementReason;
  };
  /**
   * One of the client's own consumers gets other layers now; null while it gets nothing.
   */
  'voice:layersChanged': {
    consumerId: string;
    layers: Layers | null;
  };
  /**
   * The server has put the client out of the channel. `rejoin` says whether to join again at once; `to` is where a
   * moderator sends the user.
   */
  'voice:left': {
    channelId: string;
    reason: LeftReason;
    rejoin: boolean;
    to?: string;
  };
  /**
   * Another participant answers the client's offer.
   */
  'voice:mesh:answer': MeshDescription;
  /**
   * Another participant names an address that can be tried.
   */
  'voice:mesh:ice': MeshCandidate;
  /**
   * How many links a mesh call has now, because somebody came or left.
   */
  'voice:mesh:links': MeshLinks;
  /**
   * Another participant of the mesh call offers a connection.
   */
  'voice:mesh:offer': MeshDescription;
  /**
   * A moderator has done something to the client's user; `byUserId` is null when it was not a participant.
   */
  'voice:moderation': {
    action: ModerationAction;
    byUserId: string | null;
    reason: string | null;
    restrictions: Restrictions;
  };
  /**
   * A participant sends a new track, which can be consumed now.
   */
  'voice:newProducer': ProducerInfo;
  /**
   * A participant has joined the channel.
   */
  'voice:participant:joined': Participant;
  /**
   * A participant has left the channel.
   */
  'voice:participant:left': {
    userId: string;
  };
  /**
   * A participant's state has changed.
   */
  'voice:participant:state': {
    /**
     * Whether the participant hears nobody.
     */
    deafened: boolean;
    /**
     * Whether the participant's microphone is off.
     */
    muted: boolean;
    /**
     * Whether a moderator lets the participant hear nothing.
     */
    serverDeafened: boolean;
    /**
     * What moderators have silenced of the participant.
     */
    serverMuted: ServerMuted;
    /**
     * Whether the participant speaks at the moment, by the client's own account.
     */
    speaking: boolean;
    userId: string;
  };
  /**
   * A producer is closed, and its consumers with it; `reason` is there when the server closed it.
   */
  'voice:producerClosed': {
    producerId: string;
    reason?: CloseReason;
    userId: string;
  };
  /**
   * A producer is paused.
   */
  'voice:producerPaused': {
    producerId: string;
    userId: string;
  };
  /**
   * A producer is no longer paused.
   */
  'voice:producerResumed': {
    producerId: string;
    userId: string;
  };
  /**
   * The client has the slot it waited for, and can produce now.
   */
  'voice:slot:granted': {
    /**
     * How many slots are taken.
     */
    current: number;
    /**
     * How many slots there are.
     */
    max: number;
    source: VideoSource;
  };
  /**
   * The client's place among those who wait for a slot has changed; it counts from 1.
   */
  'voice:slot:queue': {
    /**
     * How many slots are taken.
     */
    current: number;
    /**
     * How many slots there are.
     */
    max: number;
    position: number;
    source: VideoSource;
  };
  /**
   * The state of one of the client's own transports has changed.
   */
  'voice:transportState': {
    /**
     * Why the transport failed.
     */
    reason?: TransportFailure;
    state: TransportState;
    transportId: string;
  };
}
/**
 * A participant who is heard.
 */
export interface Speaker {
  /**
   * How loud it is, in dBov: -127 (silence) to 0.
   */
  level: number;
  /**
   * The producer that is heard.
   */
  producerId: string;
  /**
   * The participant's user id.
   */
  userId: string;
}
/**
 * What a participant may do in a channel, as the server derived it.
 */
export interface Permissions {
  /**
   * Whether the participant may speak.
   */
  audio: boolean;
  /**
   * When `video` and `screenshare` end (RFC 3339); null if they do not.
   */
  expiresAt: string | null;
  /**
   * The most that the microphone may send, in bit/s.
   */
  maxBitrate: number;
  /**
   * Whether the participant may share the screen.
   */
  screenshare: boolean;
  /**
   * Whether the participant may turn a camera on.
   */
  video: boolean;
}
/**
 * A layer of a simulcast or SVC stream; 0 is the smallest.
 */
export interface Layers {
  /**
   * The layer of picture size.
   */
  spatialLayer: number;
  /**
   * Frame rate; `None` where the stream has no temporal layers or all are wanted.
   */
  temporalLayer?: number;
}
/**
 * An offer or an answer of another participant.
 */
export interface MeshDescription {
  /**
   * The session description.
   */
  sdp: string;
  /**
   * The user.
   */
  userId: string;
}
/**
 * An ICE candidate of another participant.
 */
export interface MeshCandidate {
  /**
   * The candidate, as `RTCPeerConnection.addIceCandidate` takes it; null when there are no more.
   */
  candidate: IceCandidateInit | null;
  /**
   * The user.
   */
  userId: string;
}
/**
 * An ICE candidate as browsers write it (`RTCIceCandidateInit`).
 */
export interface IceCandidateInit {
  /**
   * The candidate (RFC 8839, section 5.1).
   */
  candidate: string;
  /**
   * The place of that description.
   */
  sdpMLineIndex?: number;
  /**
   * The media description it belongs to.
   */
  sdpMid?: string;
  /**
   * The user name fragment of the ICE credentials it belongs to.
   */
  usernameFragment?: string;
}
/**
 * How many links a mesh call has, and whether it should be an SFU call.
 */
export interface MeshLinks {
  /**
   * How many connections there are between them: n(n-1)/2.
   */
  links: number;
  /**
   * How many people are in the call.
   */
  participants: number;
  /**
   * Whether an SFU would serve so many people better: every client of a mesh sends its media to everybody else.
   */
  sfuRecommended: boolean;
}
/**
 * What moderators have taken from somebody in one channel. It outlives leaving: a rejoin does not undo it.
 */
export interface Restrictions {
  /**
   * Nothing they send is heard.
   */
  audio: boolean;
  /**
   * They hear nobody.
   */
  deafened: boolean;
  /**
   * Their shared screen is not seen or heard.
   */
  screen: boolean;
  /**
   * Their camera is not seen.
   */
  video: boolean;
}
/**
 * A track somebody sends.
 */
export interface ProducerInfo {
  /**
   * The `appData` that was given with `produce`.
   */
  appData: AppData;
  /**
   * Whether the track is sound or picture.
   */
  kind: MediaKind;
  /**
   * Whether the sender has paused the track: nothing is sent at the moment.
   */
  paused: boolean;
  /**
   * The producer's id, with which it is consumed.
   */
  producerId: string;
  /**
   * The user who sends it.
   */
  userId: string;
}
/**
 * The part of a producer's `appData` that the server understands and passes on.
 */
export interface AppData {
  /**
   * What the track shows.
   */
  source: Source;
}
/**
 * A participant of a channel, as the others see them.
 */
export interface Participant {
  /**
   * Whether the participant hears nobody.
   */
  deafened: boolean;
  /**
   * How to connect to the participant, in a mesh call.
   */
  mesh?: MeshPeer;
  /**
   * Whether the participant may moderate.
   */
  moderator: boolean;
  /**
   * Whether the participant's microphone is off.
   */
  muted: boolean;
  /**
   * The name to show.
   */
  name: string;
  /**
   * The tracks the participant sends.
   */
  producers: ProducerInfo[];
  /**
   * Whether the participant may speak, or listens only.
   */
  role: Role;
  /**
   * Whether a moderator lets the participant hear nothing.
   */
  serverDeafened: boolean;
  /**
   * What moderators have silenced of the participant.
   */
  serverMuted: ServerMuted;
  /**
   * Whether the participant speaks at the moment, by the client's own account.
   */
  speaking: boolean;
  /**
   * The participant's user id.
   */
  userId: string;
}
/**
 * A participant of a mesh call, as one other participant is told of them.
 */
export interface MeshPeer {
  /**
   * Whether the client that is told this makes the offer to the participant; otherwise it waits for theirs.
   */
  makeOffer: boolean;
  /**
   * The id of the participant's stay in this call.
   */
  peerId: string;
}
/**
 * What moderators have silenced of a participant: nothing of it passes the server.
 */
export interface ServerMuted {
  /**
   * Whether every sound is silenced.
   */
  audio: boolean;
  /**
   * Whether the shared screen is, picture and sound.
   */
  screen: boolean;
  /**
   * Whether the camera is.
   */
  video: boolean;
}
/**
 * A refusal: a code of the closed list, a sentence for a person, and details a program can use.
 */
export interface Refusal {
  /**
   * The code of the closed list.
   */
  code: ErrorCode;
  /**
   * Facts beside the code: `capability`, `current`, `max`, `retryAfterMs`, `field`, `reason`, `until`…
   */
  details: {
    [k: string]: unknown;
  };
  /**
   * The sentence shown to a person.
   */
  error: string;
}
/**
 * The events that answer requests without an acknowledgement.
 */
export interface Replies {
  'voice:connectionReported': ConnectionReported;
  'voice:consumed': Consumed;
  'voice:consumerClosed': ConsumerClosed;
  'voice:consumerPaused': ConsumerPaused;
  'voice:consumerResumed': ConsumerResumed;
  'voice:iceRestarted': IceRestarted;
  'voice:iceServers': IceServers;
  'voice:joined': Joined;
  'voice:keyFrameRequested': KeyFrameRequested;
  'voice:left': Left;
  'voice:mesh:relayed': MeshRelayed;
  'voice:moderated': Moderated;
  'voice:pong': Pong;
  'voice:preferredLayersSet': PreferredLayersSet;
  'voice:produced': Produced;
  'voice:producerClosed': ProducerClosed;
  'voice:producerPaused': ProducerPaused;
  'voice:producerResumed': ProducerResumed;
  'voice:resumed': Resumed;
  'voice:routerRtpCapabilities': RouterRtpCapabilities;
  'voice:slot': Slot;
  'voice:stateUpdated': StateUpdated;
  'voice:transportClosed': TransportClosed;
  'voice:transportConnected': TransportConnected;
  'voice:transportCreated': TransportCreated;
}
/**
 * What was told of a connection is noted: of this transport, or of the one to this participant.
 */
export interface ConnectionReported {
  transportId?: string;
  userId?: string;
}
/**
 * A new consumer: what `mediasoup-client`'s `transport.consume` takes, and whose track it is.
 */
export interface Consumed {
  appData: AppData;
  /**
   * The consumer's id, under the name every request about a consumer has for it.
   */
  consumerId: string;
  /**
   * The consumer's id, under the name `mediasoup-client` reads.
   */
  id: string;
  kind: MediaKind;
  paused: boolean;
  producerId: string;
  producerPaused: boolean;
  rtpParameters: RtpParameters;
  type: StreamType;
  userId: string;
}
/**
 * The consumer is closed.
 */
export interface ConsumerClosed {
  consumerId: string;
}
/**
 * The consumer is paused.
 */
export interface ConsumerPaused {
  consumerId: string;
}
/**
 * The consumer is no longer paused.
 */
export interface ConsumerResumed {
  consumerId: string;
}
/**
 * The transport's new ICE credentials.
 */
export interface IceRestarted {
  iceParameters: IceParameters;
  transportId: string;
}
/**
 * What peer connections are made with from now on.
 */
export interface IceServers {
  /**
   * What the client's peer connections are made with.
   */
  rtcConfig: RtcConfig;
  /**
   * When the TURN credential ends (RFC 3339); null when there is none that ends.
   */
  turnCredentialExpiresAt: string | null;
  /**
   * In how many seconds it ends, for who does not trust their clock; null when there is none that ends.
   */
  turnCredentialTtl: number | null;
}
/**
 * What a client's `RTCPeerConnection` is made with.
 */
export interface RtcConfig {
  /**
   * STUN and TURN servers; none are needed where the client reaches the SFU directly.
   */
  iceServers: IceServer[];
  /**
   * Which candidates the client may try.
   */
  iceTransportPolicy: IceTransportPolicy;
}
/**
 * A server a client may ask for its own address or a relay (`RTCIceServer` of the browser).
 */
export interface IceServer {
  /**
   * The password at a TURN server.
   */
  credential?: string;
  /**
   * The server's addresses: `stun:`, `turn:` or `turns:`.
   */
  urls: string[];
  /**
   * The user name at a TURN server.
   */
  username?: string;
}
/**
 * Everything a client needs to go on after it joined, in one message.
 */
export interface Joined {
  /**
   * The channel the client is in now.
   */
  channelId: string;
  /**
   * The channel's name for people.
   */
  channelName: string;
  /**
   * Whether this channel is encrypted end to end.
   */
  e2ee: Policy;
  /**
   * How many links a mesh call has, with the client's own.
   */
  mesh?: MeshLinks;
  /**
   * Whether the client may moderate.
   */
  moderator: boolean;
  /**
   * The other participants, with what they send.
   */
  participants: Participant[];
  /**
   * What the client may do in the channel.
   */
  permissions: Permissions;
  /**
   * Whether this channel is recorded.
   */
  recording: Policy;
  /**
   * For how many milliseconds after the loss the session can be resumed; 0 if it cannot.
   */
  resumeGraceMs: number;
  /**
   * The token with which another connection resumes this session after its own was lost.
   */
  resumeToken: string;
  /**
   * Whether this session was resumed; otherwise it is a new one.
   */
  resumed: boolean;
  /**
   * Whether the client may speak, or listens only.
   */
  role: Role;
  /**
   * What `getRouterRtpCapabilities` would answer: saves a round trip. A mesh call has none.
   */
  routerRtpCapabilities?: RtpCapabilities;
  /**
   * What the client's peer connections are made with.
   */
  rtcConfig: RtcConfig;
  /**
   * An opaque name of the SFU that holds the room.
   */
  sfuEndpoint?: string;
  /**
   * The client's own state: what moderators decided before holds from the first moment.
   */
  state: ParticipantState;
  /**
   * The way that media takes.
   */
  topology: CallTopology;
  /**
   * When the TURN credential ends (RFC 3339); null when there is none that ends.
   */
  turnCredentialExpiresAt: string | null;
  /**
   * In how many seconds it ends, for who does not trust their clock; null when there is none that ends.
   */
  turnCredentialTtl: number | null;
  /**
   * The client's own user id, as the others see it.
   */
  userId: string;
  /**
   * The video slots of the channel.
   */
  videoSlots: VideoSlots;
}
/**
 * What a participant says of themselves, and what moderators have taken from them.
 */
export interface ParticipantState {
  /**
   * Whether the participant hears nobody.
   */
  deafened: boolean;
  /**
   * Whether the participant's microphone is off.
   */
  muted: boolean;
  /**
   * Whether a moderator lets the participant hear nothing.
   */
  serverDeafened: boolean;
  /**
   * What moderators have silenced of the participant.
   */
  serverMuted: ServerMuted;
  /**
   * Whether the participant speaks at the moment, by the client's own account.
   */
  speaking: boolean;
}
/**
 * How many videos are shown in the channel, and how many can be.
 */
export interface VideoSlots {
  /**
   * How many slots are taken.
   */
  current: number;
  /**
   * How many slots there are.
   */
  max: number;
}
/**
 * A key frame is asked for, or has been a moment ago.
 */
export interface KeyFrameRequested {
  consumerId: string;
}
/**
 * The client has left the channel.
 */
export interface Left {
  channelId: string;
}
/**
 * The message has been passed on to this participant.
 */
export interface MeshRelayed {
  userId: string;
}
/**
 * The act of moderation is done; `userId` is null when it concerned everybody.
 */
export interface Moderated {
  action: ModerationAction;
  userId: string | null;
}
/**
 * A sign of life, with the time of day at the server in milliseconds since 1970 (UTC); `echo` is null if the ping had none.
 */
export interface Pong {
  echo: number | null;
  serverTimeMs: number;
}
/**
 * The layers the client now gets at the most.
 */
export interface PreferredLayersSet {
  consumerId: string;
  /**
   * The layer of picture size.
   */
  spatialLayer: number;
  /**
   * Frame rate; `None` where the stream has no temporal layers or all are wanted.
   */
  temporalLayer?: number;
}
/**
 * The id of the new producer.
 */
export interface Produced {
  producerId: string;
}
/**
 * The producer is closed.
 */
export interface ProducerClosed {
  producerId: string;
}
/**
 * The producer is paused.
 */
export interface ProducerPaused {
  producerId: string;
}
/**
 * The producer is no longer paused.
 */
export interface ProducerResumed {
  producerId: string;
}
/**
 * Everything a client needs to go on after it resumed its session.
 */
export interface Resumed {
  /**
   * The channel the client is in now.
   */
  channelId: string;
  /**
   * The channel's name for people.
   */
  channelName: string;
  /**
   * Whether this channel is encrypted end to end.
   */
  e2ee: Policy;
  /**
   * How many links a mesh call has, with the client's own.
   */
  mesh?: MeshLinks;
  /**
   * Whether the client may moderate.
   */
  moderator: boolean;
  /**
   * The client's own objects that are still there.
   */
  own: Own;
  /**
   * The other participants, with what they send.
   */
  participants: Participant[];
  /**
   * What the client may do in the channel.
   */
  permissions: Permissions;
  /**
   * Whether this channel is recorded.
   */
  recording: Policy;
  /**
   * For how many milliseconds after the loss the session can be resumed; 0 if it cannot.
   */
  resumeGraceMs: number;
  /**
   * The token with which another connection resumes this session after its own was lost.
   */
  resumeToken: string;
  /**
   * Whether this session was resumed; otherwise it is a new one.
   */
  resumed: boolean;
  /**
   * Whether the client may speak, or listens only.
   */
  role: Role;
  /**
   * What `getRouterRtpCapabilities` would answer: saves a round trip. A mesh call has none.
   */
  routerRtpCapabilities?: RtpCapabilities;
  /**
   * What the client's peer connections are made with.
   */
  rtcConfig: RtcConfig;
  /**
   * An opaque name of the SFU that holds the room.
   */
  sfuEndpoint?: string;
  /**
   * The client's own state: what moderators decided before holds from the first moment.
   */
  state: ParticipantState;
  /**
   * The way that media takes.
   */
  topology: CallTopology;
  /**
   * When the TURN credential ends (RFC 3339); null when there is none that ends.
   */
  turnCredentialExpiresAt: string | null;
  /**
   * In how many seconds it ends, for who does not trust their clock; null when there is none that ends.
   */
  turnCredentialTtl: number | null;
  /**
   * The client's own user id, as the others see it.
   */
  userId: string;
  /**
   * The video slots of the channel.
   */
  videoSlots: VideoSlots;
}
/**
 * What a session has that outlived its connection.
 */
export interface Own {
  /**
   * Ids of the consumers that are still there.
   */
  consumers: string[];
  /**
   * Ids of the producers that are still there.
   */
  producers: string[];
  /**
   * The sources that still have a video slot.
   */
  slots: VideoSource[];
  /**
   * Ids of the transports that are still there.
   */
  transports: string[];
}
/**
 * What the SFU can forward.
 */
export interface RouterRtpCapabilities {
  rtpCapabilities: RtpCapabilities;
}
/**
 * What became of the request for a slot; `position` counts those who wait, from 1, and is null for who does not wait.
 */
export interface Slot {
  /**
   * How many slots are taken.
   */
  current: number;
  /**
   * How many slots there are.
   */
  max: number;
  position: number | null;
  source: VideoSource;
  status: SlotStatus;
}
/**
 * The client's own state, as the others see it now.
 */
export interface StateUpdated {
  /**
   * Whether the participant hears nobody.
   */
  deafened: boolean;
  /**
   * Whether the participant's microphone is off.
   */
  muted: boolean;
  /**
   * Whether a moderator lets the participant hear nothing.
   */
  serverDeafened: boolean;
  /**
   * What moderators have silenced of the participant.
   */
  serverMuted: ServerMuted;
  /**
   * Whether the participant speaks at the moment, by the client's own account.
   */
  speaking: boolean;
}
/**
 * The transport is closed.
 */
export interface TransportClosed {
  transportId: string;
}
/**
 * The server has the client's DTLS parameters.
 */
export interface TransportConnected {
  transportId: string;
}
/**
 * A new transport, and what the client needs to connect to it.
 */
export interface TransportCreated {
  direction: Direction;
  dtlsParameters: DtlsParameters;
  iceCandidates: IceCandidate[];
  iceParameters: IceParameters;
  id: string;
}
/**
 * Every request: what it takes, and what it is answered with.
 */
export interface Requests {
  'voice:join': {
    payload: {
      channelId: string;
      rtpCapabilities?: RtpCapabilities | null;
      takeOver?: boolean;
    };
    reply: Joined;
  };
  'voice:leave': {
    payload: {
      channelId?: string | null;
    };
    reply: Left;
  };
  'voice:mesh:answer': {
    payload: {
      sdp: string;
      userId: string;
    };
    reply: MeshRelayed;
  };
  'voice:mesh:ice': {
    payload: {
      candidate?: IceCandidateInitWanted | null;
      userId: string;
    };
    reply: MeshRelayed;
  };
  'voice:mesh:offer': {
    payload: {
      sdp: string;
      userId: string;
    };
    reply: MeshRelayed;
  };
  'voice:moderate': {
    payload: ModerationCommand;
    reply: Moderated;
  };
  'voice:ping': {
    payload: {
      echo?: number | null;
    };
    reply: Pong;
  };
  'voice:resume': {
    payload: {
      channelId: string;
      resumeToken: string;
    };
    reply: Resumed;
  };
  'voice:rtc:closeConsumer': {
    payload: {
      consumerId: string;
    };
    reply: ConsumerClosed;
  };
  'voice:rtc:closeProducer': {
    payload: {
      producerId: string;
    };
    reply: ProducerClosed;
  };
  'voice:rtc:closeTransport': {
    payload: {
      transportId: string;
    };
    reply: TransportClosed;
  };
  'voice:rtc:connectTransport': {
    payload: {
      dtlsParameters: DtlsParameters;
      transportId: string;
    };
    reply: TransportConnected;
  };
  'voice:rtc:consume': {
    payload: {
      paused?: boolean;
      producerId: string;
      rtpCapabilities?: RtpCapabilities | null;
      transportId?: string | null;
    };
    reply: Consumed;
  };
  'voice:rtc:createTransport': {
    payload: {
      direction: Direction;
    };
    reply: TransportCreated;
  };
  'voice:rtc:getIceServers': {
    payload: Record<string, never>;
    reply: IceServers;
  };
  'voice:rtc:getRouterRtpCapabilities': {
    payload: Record<string, never>;
    reply: RouterRtpCapabilities;
  };
  'voice:rtc:pauseConsumer': {
    payload: {
      consumerId: string;
    };
    reply: ConsumerPaused;
  };
  'voice:rtc:pauseProducer': {
    payload: {
      producerId: string;
    };
    reply: ProducerPaused;
  };
  'voice:rtc:produce': {
    payload: {
      appData: WantedAppData;
      kind: MediaKind;
      paused?: boolean;
      rtpParameters: RtpParameters;
      transportId: string;
    };
    reply: Produced;
  };
  'voice:rtc:reportConnection': {
    payload: {
      candidates?: Candidates;
      checks: Checks;
      connectMs?: number | null;
      dtlsState?: DtlsState | null;
      iceState?: IceState | null;
      /**
       * The network of a client, as far as its browser tells: its type (`navigator.connection.type`) or else how fast it is (`effectiveType`).
       */
      network?: 'bluetooth' | 'cellular' | 'ethernet' | 'wifi' | 'wimax' | 'other' | 'none' | 'slow-2g' | '2g' | '3g' | '4g' | 'unknown';
      outcome: ConnectionOutcome;
      pair?: ChosenPair | null;
      transportId?: string | null;
      userId?: string | null;
    };
    reply: ConnectionReported;
  };
  'voice:rtc:requestKeyFrame': {
    payload: {
      consumerId: string;
    };
    reply: KeyFrameRequested;
  };
  'voice:rtc:restartIce': {
    payload: {
      transportId: string;
    };
    reply: IceRestarted;
  };
  'voice:rtc:resumeConsumer': {
    payload: {
      consumerId: string;
    };
    reply: ConsumerResumed;
  };
  'voice:rtc:resumeProducer': {
    payload: {
      producerId: string;
    };
    reply: ProducerResumed;
  };
  'voice:rtc:setPreferredLayers': {
    payload: {
      consumerId: string;
      /**
       * The layer of picture size.
       */
      spatialLayer: number;
      /**
       * Frame rate; `None` where the stream has no temporal layers or all are wanted.
       */
      temporalLayer?: number | null;
    };
    reply: PreferredLayersSet;
  };
  'voice:slot:release': {
    payload: {
      source: VideoSource;
    };
    reply: Slot;
  };
  'voice:slot:request': {
    payload: {
      source: VideoSource;
    };
    reply: Slot;
  };
  'voice:state:update': {
    payload: {
      deafened?: boolean | null;
      muted?: boolean | null;
      speaking?: boolean | null;
    };
    reply: StateUpdated;
  };
}
/**
 * An ICE candidate as browsers write it (`RTCIceCandidateInit`).
 */
export interface IceCandidateInitWanted {
  /**
   * The candidate (RFC 8839, section 5.1).
   */
  candidate: string;
  /**
   * The place of that description.
   */
  sdpMLineIndex?: number | null;
  /**
   * The media description it belongs to.
   */
  sdpMid?: string | null;
  /**
   * The user name fragment of the ICE credentials it belongs to.
   */
  usernameFragment?: string | null;
}
/**
 * The part of `appData` that the server understands.
 */
export interface WantedAppData {
  source: Source;
}
/**
 * The candidates that a client gathered for a connection.
 */
export interface Candidates {
  /**
   * Addresses of its own.
   */
  host?: ByProtocol;
  /**
   * Addresses at TURN servers.
   */
  relay?: ByProtocol;
  /**
   * Addresses that a STUN server saw.
   */
  srflx?: ByProtocol;
}
/**
 * How many candidates of one type a client gathered, by what carries them. Of a relay it is what leads to the TURN server.
 */
export interface ByProtocol {
  /**
   * Over TCP.
   */
  tcp?: number;
  /**
   * Over TLS, of relays only.
   */
  tls?: number;
  /**
   * Over UDP.
   */
  udp?: number;
}
/**
 * The pair of candidates by which media goes.
 */
export interface ChosenPair {
  /**
   * The client's own candidate.
   */
  local: CandidateType;
  /**
   * What carries the packets between the two.
   */
  protocol: Protocol1;
  /**
   * If the own candidate is a relay: how the client reaches it.
   */
  relayProtocol?: RelayProtocol | null;
  /**
   * That of the other side.
   */
  remote: CandidateType;
}
