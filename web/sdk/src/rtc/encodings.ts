// The encodings of each source: layers, bitrates, codec. The server's limits are 2.5 Mbit/s for a camera, 1.5 for a screen.

import type { types } from 'mediasoup-client';

import type { RtpCapabilities } from '../protocol.js';
import type { ProduceOptions, VideoCodec } from './rtc.js';

/** A camera of 720 lines in three sizes, small to large as simulcast demands; together under 2.5 Mbit/s. */
const CAMERA_LAYERS = [
  { scaleResolutionDownBy: 4, maxBitrate: 150_000 },
  { scaleResolutionDownBy: 2, maxBitrate: 500_000 },
  { scaleResolutionDownBy: 1, maxBitrate: 1_700_000 },
] as const;

/** A screen is one stream: text that is scaled down cannot be read. */
const SCREEN_BITRATE = 1_500_000;

/** The estimate starts here instead of at the browser's 300 kbit/s, so that the picture is sharp sooner. */
const START_BITRATE_KBPS = 1_000;

/** What mediasoup-client's `produce` takes beside the track. */
export function producerOptions(options: ProduceOptions, capabilities: RtpCapabilities): Partial<types.ProducerOptions> {
  if (options.track.kind === 'audio') return audioOptions(options);
  const codec = findVideoCodec(capabilities, options.videoCodec);
  return {
    encodings: options.source === 'screen' ? [{ maxBitrate: SCREEN_BITRATE, scalabilityMode: 'L1T1' }] : cameraEncodings(codec),
    codecOptions: { videoGoogleStartBitrate: START_BITRATE_KBPS },
    ...(codec ? { codec } : {}),
  };
}

function audioOptions({ source, maxBitrate }: ProduceOptions): Partial<types.ProducerOptions> {
  const speech = source === 'mic';
  return {
    codecOptions: {
      opusStereo: !speech,
      opusFec: true,
      // Music that comes with a screen would be chopped by it.
      opusDtx: speech,
      opusMaxAverageBitrate: maxBitrate,
    },
  };
}

function cameraEncodings(codec: types.RtpCodecCapability | undefined): types.RtpEncodingParameters[] {
  // Encoders of H264 in browsers have no temporal layers; asking for them makes Chromium refuse the encodings.
  const scalabilityMode = codec?.mimeType.toLowerCase() === 'video/h264' ? 'L1T1' : 'L1T3';
  return CAMERA_LAYERS.map((layer) => ({ ...layer, scalabilityMode }));
}

/** The codec wished for, if both sides have it; otherwise the first they share is used. */
function findVideoCodec(capabilities: RtpCapabilities, wanted: VideoCodec): types.RtpCodecCapability | undefined {
  return capabilities.codecs?.find((codec) => codec.mimeType.toLowerCase() === `video/${wanted.toLowerCase()}`);
}
