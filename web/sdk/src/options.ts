// What a voice service is made of.

import type { Network } from './network.js';
import type { Capture } from './rtc/capture.js';
import type { AudioOutputFactory } from './rtc/playback.js';
import type { RtcFactory, VideoCodec } from './rtc/rtc.js';
import type { SignalFactory } from './signal/signal.js';
import type { TokenSource } from './signal/socketio.js';

/** The server, and the user there. */
export interface VoiceServiceOptions {
  /** A JWT the server trusts, or a function that fetches a fresh one for every connection. */
  token: TokenSource;
  /** The server's origin; the page's own by default. */
  url?: string;
  /** The codec to send video with, if the browser and the server both have it. VP8 by default. */
  videoCodec?: VideoCodec;
}

/** The choices for joining a channel. */
export interface JoinOptions {
  /**
   * Goes on here where one is in the channel with another device or window already, which is put out with the reason
   * `moved-device`. Without it, the join is refused with ALREADY_IN_CHANNEL then. Only for who asked for it: what comes
   * back by itself after a break never takes over.
   */
  takeOver?: boolean;
}

/** The parts that touch the outside world. Tests replace them; applications need not. */
export interface VoiceServiceParts {
  signal?: SignalFactory;
  rtc?: RtcFactory;
  capture?: Capture;
  audio?: AudioOutputFactory;
  network?: Network;
}
