// What the service tells its listeners.

import type { VoiceError } from './errors.js';
import type { MicrophoneStatus } from './local-media.js';
import type { State } from './machine.js';
import type { MicrophoneChange } from './microphone.js';
import type {
  CloseReason,
  Layers,
  LeftReason,
  ModerationAction,
  Permissions,
  Restrictions,
  Role,
  SlotCount,
  Speaker,
  VideoSource,
} from './protocol.js';
import type { MediaSlot, Participant } from './roster.js';

/** What the dot of a voice bar shows: yellow, green, red. */
export type ConnectionStatus = 'disconnected' | 'connecting' | 'connected';

/** What a tier may lack. */
export type Capability = 'VIDEO_CALLING' | 'SCREEN_SHARE';

/** Done; not allowed; or waiting for one of the channel's video slots: then it begins by itself. */
export type ToggleOutcome = boolean | 'queued';

/** The user's place among those who wait for a video slot. The next in line is 1. */
export interface SlotPosition extends SlotCount {
  readonly position: number;
}

/** The user's own sources that wait for a video slot. */
export type VideoQueue = Readonly<Partial<Record<VideoSource, SlotPosition>>>;

/** The channel the user is in. */
export interface ChannelInfo {
  readonly id: string;
  readonly name: string;
  readonly permissions: Permissions;
  readonly role: Role;
  /** May mute, remove and move others here, and end the call. */
  readonly moderator: boolean;
  /** Whether media is encrypted end to end. */
  readonly e2ee: boolean;
  /** Whether the server records. */
  readonly recording: boolean;
}

/** The user of this client, as the others see them. */
export interface Self {
  /** Empty before the first join. */
  readonly userId: string;
  readonly muted: boolean;
  readonly deafened: boolean;
  /** The server hears one. */
  readonly speaking: boolean;
  readonly microphone: MicrophoneStatus;
  /** In a channel, and nothing one says or shows gets through at the moment: the connection is being restored. */
  readonly cutOff: boolean;
  /**
   * In a channel, and media cannot be sent or received: no connection to the server's media was made within 10 s, or one could not be
   * restored. The user is in the channel all the same, and it is tried again; `cutOff` is true too.
   */
  readonly unreached: boolean;
  /** What a moderator has taken away; it cannot be toggled then. */
  readonly restrictions: Restrictions;
  /** The user's own pictures, for the preview. */
  readonly media: Readonly<Partial<Record<'camera' | 'screen', MediaStreamTrack>>>;
}

/** The events of a voice service by name, with what each brings. */
export interface VoiceEvents {
  /** The state machine moved. */
  state: { state: State; previous: State };
  /** The connection to the server was made, broke, or is being made anew. */
  connection: ConnectionStatus;
  /** In the channel; `again` after the stay broke and was replaced by another. */
  joined: { channel: ChannelInfo; again: boolean };
  /** The connection broke and is back, and the stay went on meanwhile: nobody saw one leave, no sound was lost. */
  resumed: { channel: ChannelInfo };
  /** The user is out of the channel. `error` says why if they did not ask for it; while `rejoining`, the service tries to come back. */
  left: { channelId: string; error?: VoiceError; reason?: LeftReason; rejoining: boolean };
  /** A moderator moved one to another channel; the service joins it by itself. */
  moved: { from: string; to: string };
  /** Anything about the others changed: read `participants` again. */
  participants: readonly Participant[];
  /** Somebody came into the channel. */
  'participant:joined': { userId: string; name: string };
  /** Somebody left the channel, or was not heard of any more. */
  'participant:left': { userId: string; name: string };
  /** Who is heard changed: the loudest first, the user included. */
  speakers: readonly Speaker[];
  /** Anything about oneself changed. */
  self: Self;
  /** The microphone went away and there is one again, or there is one now that can be turned on with `toggleMute()`. */
  microphone: { change: MicrophoneChange };
  /** The browser plays no sound until somebody clicks: call `resumeAudio()` from a click. */
  'audio:blocked': boolean;
  /** The tier does not include it. */
  'capability:required': { capability: Capability };
  /** What the user may do changed in mid-call. What is lost has been stopped. */
  entitlement: { permissions: Permissions; lost: readonly Capability[]; gained: readonly Capability[]; reason: 'expired' | 'changed' };
  /** The user's place among those who wait for a video slot; empty when nothing waits (any more). */
  'slot:queue': VideoQueue;
  /** A slot became free: what waited begins. */
  'slot:granted': { source: VideoSource };
  /** A moderator did something to one. */
  moderation: { action: ModerationAction; byUserId: string | null; restrictions: Restrictions; reason: string | null };
  /** The server closed one of the user's own tracks. */
  'producer:closed': { slot: MediaSlot; reason?: CloseReason };
  /** Other layers of somebody's picture arrive now; null while none does. */
  layers: { userId: string; slot: MediaSlot; layers: Layers | null };
  /** Something failed that nobody was waiting for. What a method was called for is thrown by the method instead. */
  error: VoiceError;
}
