// The main dialect as types: what goes over the socket, in the field names of the wire. They are made from the server's own types.

import type { Joined, Participant, ParticipantState, Pushes, Requests, VideoSlots } from './protocol.generated.js';

export { PUSH_NAMES } from './protocol.generated.js';
export type {
  CloseReason,
  Consumed,
  Direction,
  Joined,
  Layers,
  LeftReason,
  MediaKind,
  ModerationAction,
  ModerationCommand,
  ParticipantState,
  Permissions,
  ProducerInfo,
  Pushes,
  Requests,
  Restrictions,
  Resumed,
  Role,
  RtcConfig,
  RtpCapabilities,
  RtpParameters,
  ServerMuted,
  Slot,
  Source,
  Speaker,
  TransportCreated,
  VideoSource,
} from './protocol.generated.js';

/** What somebody says of themselves. */
export type SaidState = Pick<ParticipantState, 'muted' | 'deafened' | 'speaking'>;
/** What peer connections are made with, and how long it lasts. */
export type IceSetup = Pick<Joined, 'rtcConfig' | 'turnCredentialExpiresAt' | 'turnCredentialTtl'>;
/** Somebody in the room, as the wire has it. */
export type WireParticipant = Participant;
/** How many videos are sent in the channel, and how many may be. */
export type SlotCount = VideoSlots;

export type RequestName = keyof Requests;
export type PushName = keyof Pushes;
