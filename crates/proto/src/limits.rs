//! What a message may contain at the most. Each bound is far above what a real client sends.

/// A message of any dialect, in bytes. The largest real one, `produce` of a simulcast video with
/// every codec, is under 8 KiB.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// A user or channel id, in characters: room for a UUID with a prefix, small enough to show and to store.
pub const MAX_ID_CHARS: usize = 128;
/// A display name, in characters.
pub const MAX_NAME_CHARS: usize = 64;
/// Codecs in one set of RTP parameters or capabilities. Chromium lists about 25 of a kind.
pub const MAX_CODECS: usize = 64;
/// RTCP feedback entries of one codec. Browsers list at most 6.
pub const MAX_RTCP_FEEDBACK: usize = 16;
/// Format parameters of one codec. H264 has the most in use: 4.
pub const MAX_CODEC_PARAMETERS: usize = 16;
/// A short text inside parameters (a mime type, a URI, a format parameter), in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// Header extensions in parameters or capabilities. The two-byte form allows 255; browsers use about 15.
pub const MAX_HEADER_EXTENSIONS: usize = 32;
/// Encodings of a producer: three simulcast layers, and one to spare.
pub const MAX_ENCODINGS: usize = 4;
/// DTLS fingerprints of one certificate: one a hash function is all there can be use for.
pub const MAX_FINGERPRINTS: usize = 8;
/// A rid, in bytes (RFC 8851 leaves it open; browsers let pages choose, `mediasoup-client` uses `r0`…).
pub const MAX_RID_BYTES: usize = 16;
/// A mid, in bytes: the one-byte header extension carries 16 at the most (RFC 8285).
pub const MAX_MID_BYTES: usize = 16;
/// A session description of a mesh call, in bytes. One with a camera, a screen and every codec is about 20 KiB.
pub const MAX_SDP_BYTES: usize = 48 * 1024;
/// An ICE candidate that is written as text, in bytes. The longest have about 300 (RFC 8839).
pub const MAX_CANDIDATE_BYTES: usize = 2048;
/// Values of a relayed message of a mesh call, at every depth. One that browsers write has about six.
pub const MAX_SIGNAL_VALUES: usize = 64;
/// The time a client took to connect, in milliseconds: browsers give up after half a minute, and nobody waits for ten.
pub const MAX_CONNECT_MS: u32 = 600_000;
/// The reason a moderator gives, in characters: two sentences.
pub const MAX_REASON_CHARS: usize = 256;
