// What the service tells its listeners.

import type { VoiceError } from './errors.js';
import type { MicrophoneStatus } from './local-media.js';
import type { State } from './machine.js';
import type { Layers, Permissions, Speaker } from './protocol.js';
import type { MediaSlot, Participant } from './roster.js';

/** What the dot of a voice bar shows: yellow, green, red. */
export type ConnectionStatus = 'disconnected' | 'connecting' | 'connected';

/** A channel one is in. */
export interface ChannelInfo {
  readonly id: string;
  readonly name: string;
  readonly permissions: Permissions;
  /** Whether media is encrypted end to end. */
  readonly e2ee: boolean;
  /** Whether the server records. */
  readonly recording: boolean;
}

/** Oneself, as one is now. */
export interface Self {
  /** Empty before the first join. */
  readonly userId: string;
  readonly muted: boolean;
  readonly deafened: boolean;
  /** The server hears one. */
  readonly speaking: boolean;
  readonly microphone: MicrophoneStatus;
  /** One's own pictures, for the preview. */
  readonly media: Readonly<Partial<Record<'camera' | 'screen', MediaStreamTrack>>>;
}

export interface VoiceEvents {
  /** The state machine moved. */
  state: { state: State; previous: State };
  connection: ConnectionStatus;
  /** In the channel; `again` after the connection broke and was restored. */
  joined: { channel: ChannelInfo; again: boolean };
  /** Out of the channel. `error` says why if it was not one's own wish; while `rejoining`, the service tries to come back. */
  left: { channelId: string; error?: VoiceError; rejoining: boolean };
  /** Anything about the others changed: read `participants` again. */
  participants: readonly Participant[];
  'participant:joined': { userId: string; name: string };
  'participant:left': { userId: string; name: string };
  speakers: readonly Speaker[];
  /** Anything about oneself changed. */
  self: Self;
  /** The browser plays no sound until somebody clicks: call `resumeAudio()` from a click. */
  'audio:blocked': boolean;
  /** The tier does not include it. */
  'capability:required': { capability: 'VIDEO_CALLING' | 'SCREEN_SHARE' };
  /** Other layers of somebody's picture arrive now; null while none does. */
  layers: { userId: string; slot: MediaSlot; layers: Layers | null };
  /** Something failed that nobody was waiting for. What a method was called for is thrown by the method instead. */
  error: VoiceError;
}
