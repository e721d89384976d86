// The public face of @parlor/client.

import { VoiceError } from './errors.js';
import type { VoiceServiceOptions, VoiceServiceParts } from './options.js';
import { VoiceService } from './service.js';

export { CLIENT_ERROR_CODES, readWireError, SERVER_ERROR_CODES, VoiceError } from './errors.js';
export type { ClientErrorCode, DeviceName, ErrorCode, ErrorDetails, ServerErrorCode } from './errors.js';
export type { Capability, ChannelInfo, ConnectionStatus, Self, SlotPosition, ToggleOutcome, VideoQueue, VoiceEvents } from './events.js';
export type { MicrophoneStatus } from './local-media.js';
export type { MicrophoneChange } from './microphone.js';
export type { Network, NetworkType } from './network.js';
export { isInCall, isJoined, next, STATES, TABLE } from './machine.js';
export type { MachineEvent, State } from './machine.js';
export type { JoinOptions, VoiceServiceOptions, VoiceServiceParts } from './options.js';
export type {
  CloseReason,
  Layers,
  LeftReason,
  ModerationAction,
  ModerationCommand,
  Permissions,
  Restrictions,
  Role,
  ServerMuted,
  Source,
  Speaker,
  VideoSource,
} from './protocol.js';
export type { MediaSlot, Participant, ReceivedMedia } from './roster.js';
export type { ConnectionState, VideoCodec } from './rtc/rtc.js';
export { VoiceService } from './service.js';
export type { CallStats, StatsEntry, TrackStats } from './stats.js';
export type { TokenSource } from './signal/socketio.js';

let service: VoiceService | undefined;

/** Makes the page's voice service; one made before is closed. */
export function initVoiceService(options: VoiceServiceOptions, parts?: VoiceServiceParts): VoiceService {
  void service?.close();
  service = new VoiceService(options, parts);
  return service;
}

/** The page's voice service. Throws INVALID_STATE if there is none yet. */
export function getVoiceService(): VoiceService {
  if (!service) throw new VoiceError('INVALID_STATE', 'Call initVoiceService() first.');
  return service;
}
