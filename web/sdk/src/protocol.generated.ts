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
 * Sound or picture.
 */
export type MediaKind = 'audio' | 'video';
/**
 * What somebody in a room is there for.
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
 * Whether media is encrypted end to end, or recorded. Both are off until the features exist; the fields
 * are there so that a client can always say truly which it is.
 */
export type Policy = 'off';
export type RtpCapabilities = types.RtpCapabilities;
/**
 * Whether the client may try every candidate or relays only.
 */
export type IceTransportPolicy = 'all' | 'relay';
/**
 * How a wish for a video slot stands.
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
   * Who is heard, loudest first; empty when all are silent.
   */
  'voice:activeSpeakers': {
    speakers: Speaker[];
  };
  /**
   * One may do more or less than before.
   */
  'voice:entitlement': {
    permissions: Permissions;
    reason: EntitlementReason;
  };
  /**
   * One's consumer gets other layers now; null while it gets nothing.
   */
  'voice:layersChanged': {
    consumerId: string;
    layers: Layers | null;
  };
  /**
   * One is no longer in the channel, not by one's own doing; join again if `rejoin`.
   */
  'voice:left': {
    channelId: string;
    reason: LeftReason;
    rejoin: boolean;
    to?: string;
  };
  /**
   * One was moderated.
   */
  'voice:moderation': {
    action: ModerationAction;
    byUserId: string | null;
    reason: string | null;
    restrictions: Restrictions;
  };
  /**
   * Somebody sends a new track: consume it.
   */
  'voice:newProducer': ProducerInfo;
  /**
   * Somebody came.
   */
  'voice:participant:joined': Participant;
  /**
   * Somebody went.
   */
  'voice:participant:left': {
    userId: string;
  };
  /**
   * Somebody muted, deafened, began or ceased to speak.
   */
  'voice:participant:state': {
    /**
     * Hears nobody.
     */
    deafened: boolean;
    /**
     * Nothing of the microphone is heard.
     */
    muted: boolean;
    /**
     * A moderator lets them hear nothing.
     */
    serverDeafened: boolean;
    /**
     * What moderators have silenced.
     */
    serverMuted: ServerMuted;
    /**
     * Speaks at the moment, by the client's own account.
     */
    speaking: boolean;
    userId: string;
  };
  /**
   * A track is no more: drop its consumer.
   */
  'voice:producerClosed': {
    producerId: string;
    reason?: CloseReason;
    userId: string;
  };
  /**
   * A track is silent for now.
   */
  'voice:producerPaused': {
    producerId: string;
    userId: string;
  };
  /**
   * It goes on.
   */
  'voice:producerResumed': {
    producerId: string;
    userId: string;
  };
  /**
   * A slot one waited for is one's own now: produce.
   */
  'voice:slot:granted': {
    /**
     * Slots held.
     */
    current: number;
    /**
     * Slots there are.
     */
    max: number;
    source: VideoSource;
  };
  /**
   * One's place among those who wait for a slot has changed; it counts from 1.
   */
  'voice:slot:queue': {
    /**
     * Slots held.
     */
    current: number;
    /**
     * Slots there are.
     */
    max: number;
    position: number;
    source: VideoSource;
  };
  /**
   * A transport of one's own moved on.
   */
  'voice:transportState': {
    /**
     * Why, if it failed.
     */
    reason?: TransportFailure;
    state: TransportState;
    transportId: string;
  };
}
/**
 * One who is heard.
 */
export interface Speaker {
  /**
   * How loud, in dBov: -127 (silence) to 0.
   */
  level: number;
  /**
   * On which track.
   */
  producerId: string;
  /**
   * Who.
   */
  userId: string;
}
/**
 * What a participant may do in a room, derived on the server (features 3).
 */
export interface Permissions {
  /**
   * May speak.
   */
  audio: boolean;
  /**
   * When `video` and `screenshare` end; `None` if they do not.
   */
  expiresAt: string | null;
  /**
   * Audio bitrate at the most, in bit/s.
   */
  maxBitrate: number;
  /**
   * May share the screen.
   */
  screenshare: boolean;
  /**
   * May turn a camera on.
   */
  video: boolean;
}
/**
 * A layer of a simulcast or SVC stream; 0 is the smallest.
 */
export interface Layers {
  /**
   * Size.
   */
  spatialLayer: number;
  /**
   * Frame rate; `None` where the stream has no temporal layers or all are wanted.
   */
  temporalLayer?: number;
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
   * They hear nothing.
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
   * `{source}`, as it was given with `produce`.
   */
  appData: AppData;
  /**
   * Sound or picture.
   */
  kind: MediaKind;
  /**
   * Nothing is sent at the moment.
   */
  paused: boolean;
  /**
   * Its id, to consume it.
   */
  producerId: string;
  /**
   * Whose it is.
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
 * Somebody in a room.
 */
export interface Participant {
  /**
   * Hears nobody.
   */
  deafened: boolean;
  /**
   * May moderate.
   */
  moderator: boolean;
  /**
   * Nothing of the microphone is heard.
   */
  muted: boolean;
  /**
   * The name to show.
   */
  name: string;
  /**
   * What they send.
   */
  producers: ProducerInfo[];
  /**
   * Speaks, or listens only.
   */
  role: Role;
  /**
   * A moderator lets them hear nothing.
   */
  serverDeafened: boolean;
  /**
   * What moderators have silenced.
   */
  serverMuted: ServerMuted;
  /**
   * Speaks at the moment, by the client's own account.
   */
  speaking: boolean;
  /**
   * Who.
   */
  userId: string;
}
/**
 * What of somebody moderators have silenced.
 */
export interface ServerMuted {
  /**
   * Every sound.
   */
  audio: boolean;
  /**
   * The shared screen, picture and sound.
   */
  screen: boolean;
  /**
   * The camera.
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
  'voice:consumed': Consumed;
  'voice:consumerClosed': ConsumerClosed;
  'voice:consumerPaused': ConsumerPaused;
  'voice:consumerResumed': ConsumerResumed;
  'voice:iceRestarted': IceRestarted;
  'voice:joined': Joined;
  'voice:keyFrameRequested': KeyFrameRequested;
  'voice:left': Left;
  'voice:moderated': Moderated;
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
 * What `mediasoup-client`'s `transport.consume` takes, and who it is from.
 */
export interface Consumed {
  appData: AppData;
  /**
   * The same, as every request about it calls it.
   */
  consumerId: string;
  /**
   * What `mediasoup-client` calls it.
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
 * The consumer is no more.
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
 * The consumer goes on.
 */
export interface ConsumerResumed {
  consumerId: string;
}
/**
 * The new ICE credentials.
 */
export interface IceRestarted {
  iceParameters: IceParameters;
  transportId: string;
}
/**
 * Everything a client needs to go on after it joined, in one message.
 */
export interface Joined {
  /**
   * Where one is now.
   */
  channelId: string;
  /**
   * What people call it.
   */
  channelName: string;
  /**
   * End-to-end encryption of this channel.
   */
  e2ee: Policy;
  /**
   * May moderate.
   */
  moderator: boolean;
  /**
   * The others, with what they send.
   */
  participants: Participant[];
  /**
   * What one may do.
   */
  permissions: Permissions;
  /**
   * Recording of this channel.
   */
  recording: Policy;
  /**
   * For how long after the loss, in milliseconds; 0 if not at all.
   */
  resumeGraceMs: number;
  /**
   * What takes the session up again after its connection was lost.
   */
  resumeToken: string;
  /**
   * This is a session taken up again, not a new one.
   */
  resumed: boolean;
  /**
   * Speaks, or listens only.
   */
  role: Role;
  /**
   * What `getRouterRtpCapabilities` would answer: saves a round trip.
   */
  routerRtpCapabilities: RtpCapabilities;
  /**
   * How to make peer connections.
   */
  rtcConfig: RtcConfig;
  /**
   * Which SFU holds the room: an opaque name.
   */
  sfuEndpoint: string;
  /**
   * How one is: what moderators decided before holds from the first moment.
   */
  state: ParticipantState;
  /**
   * RFC 3339, or null when there is no TURN credential.
   */
  turnCredentialExpiresAt: string | null;
  /**
   * Who one is, as the others see it.
   */
  userId: string;
  /**
   * The video slots of the channel.
   */
  videoSlots: VideoSlots;
}
/**
 * What a client's `RTCPeerConnection` is made with.
 */
export interface RtcConfig {
  /**
   * STUN and TURN servers; empty is fine, the SFU is reached directly.
   */
  iceServers: IceServer[];
  /**
   * Which candidates to use.
   */
  iceTransportPolicy: IceTransportPolicy;
}
/**
 * A server a client may ask for its own address or a relay (`RTCIceServer` of the browser).
 */
export interface IceServer {
  /**
   * TURN password.
   */
  credential?: string;
  /**
   * `stun:`, `turn:` or `turns:` addresses.
   */
  urls: string[];
  /**
   * TURN user name.
   */
  username?: string;
}
/**
 * How a participant is.
 */
export interface ParticipantState {
  /**
   * Hears nobody.
   */
  deafened: boolean;
  /**
   * Nothing of the microphone is heard.
   */
  muted: boolean;
  /**
   * A moderator lets them hear nothing.
   */
  serverDeafened: boolean;
  /**
   * What moderators have silenced.
   */
  serverMuted: ServerMuted;
  /**
   * Speaks at the moment, by the client's own account.
   */
  speaking: boolean;
}
/**
 * How many show video, and how many can.
 */
export interface VideoSlots {
  /**
   * Slots held.
   */
  current: number;
  /**
   * Slots there are.
   */
  max: number;
}
/**
 * A key frame is asked for, or was a moment ago.
 */
export interface KeyFrameRequested {
  consumerId: string;
}
/**
 * Out of it.
 */
export interface Left {
  channelId: string;
}
/**
 * It is done.
 */
export interface Moderated {
  action: ModerationAction;
  userId: string | null;
}
/**
 * The wish is noted.
 */
export interface PreferredLayersSet {
  consumerId: string;
  /**
   * Size.
   */
  spatialLayer: number;
  /**
   * Frame rate; `None` where the stream has no temporal layers or all are wanted.
   */
  temporalLayer?: number;
}
/**
 * The producer's id.
 */
export interface Produced {
  producerId: string;
}
/**
 * The producer is no more.
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
 * The producer goes on.
 */
export interface ProducerResumed {
  producerId: string;
}
/**
 * Everything a client needs to go on after it came back.
 */
export interface Resumed {
  /**
   * Where one is now.
   */
  channelId: string;
  /**
   * What people call it.
   */
  channelName: string;
  /**
   * End-to-end encryption of this channel.
   */
  e2ee: Policy;
  /**
   * May moderate.
   */
  moderator: boolean;
  /**
   * What of one's own is still there.
   */
  own: Own;
  /**
   * The others, with what they send.
   */
  participants: Participant[];
  /**
   * What one may do.
   */
  permissions: Permissions;
  /**
   * Recording of this channel.
   */
  recording: Policy;
  /**
   * For how long after the loss, in milliseconds; 0 if not at all.
   */
  resumeGraceMs: number;
  /**
   * What takes the session up again after its connection was lost.
   */
  resumeToken: string;
  /**
   * This is a session taken up again, not a new one.
   */
  resumed: boolean;
  /**
   * Speaks, or listens only.
   */
  role: Role;
  /**
   * What `getRouterRtpCapabilities` would answer: saves a round trip.
   */
  routerRtpCapabilities: RtpCapabilities;
  /**
   * How to make peer connections.
   */
  rtcConfig: RtcConfig;
  /**
   * Which SFU holds the room: an opaque name.
   */
  sfuEndpoint: string;
  /**
   * How one is: what moderators decided before holds from the first moment.
   */
  state: ParticipantState;
  /**
   * RFC 3339, or null when there is no TURN credential.
   */
  turnCredentialExpiresAt: string | null;
  /**
   * Who one is, as the others see it.
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
   * Consumers.
   */
  consumers: string[];
  /**
   * Producers.
   */
  producers: string[];
  /**
   * The sources one holds a video slot for.
   */
  slots: VideoSource[];
  /**
   * Transports.
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
 * How one's wish for a slot stands; `position` counts from 1, for those who wait.
 */
export interface Slot {
  /**
   * Slots held.
   */
  current: number;
  /**
   * Slots there are.
   */
  max: number;
  position: number | null;
  source: VideoSource;
  status: SlotStatus;
}
/**
 * One's state, as the others see it now.
 */
export interface StateUpdated {
  /**
   * Hears nobody.
   */
  deafened: boolean;
  /**
   * Nothing of the microphone is heard.
   */
  muted: boolean;
  /**
   * A moderator lets them hear nothing.
   */
  serverDeafened: boolean;
  /**
   * What moderators have silenced.
   */
  serverMuted: ServerMuted;
  /**
   * Speaks at the moment, by the client's own account.
   */
  speaking: boolean;
}
/**
 * The transport is no more.
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
 * A transport to connect to.
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
  'voice:moderate': {
    payload: ModerationCommand;
    reply: Moderated;
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
       * Size.
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
 * The part of `appData` that the server understands.
 */
export interface WantedAppData {
  source: Source;
}
