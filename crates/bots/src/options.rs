//! What a bot is and sends.

use parlor_proto::media::Source;

use crate::forge::Forge;
use crate::source::VideoCodec;
use crate::token::TokenSource;

/// The person who joins, the channel, and the way.
#[derive(Clone, Debug)]
pub struct BotOptions {
    /// The address of the server, as `http://host:port`.
    pub server: String,
    /// The channel to join.
    pub channel: String,
    /// The user to be.
    pub user: String,
    /// Whether the person may send video.
    pub pro: bool,
    /// The source of the token.
    pub token: TokenSource,
    /// Media over TCP instead of UDP.
    pub tcp: bool,
    /// Consume whatever is announced.
    pub consume: bool,
    /// Share of the media packets lost, both ways, in percent.
    pub loss_percent: u8,
    /// How many streams are decrypted and looked into. The others are counted by their clear headers, which
    /// costs a fraction; their feedback is not sent.
    pub open_streams: usize,
    /// Only streams of users whose name begins so are decrypted.
    pub open_users: String,
    /// Learns the keys of what is sent on the send and the receive transport, to send what no honest client does.
    pub forges: Option<(Forge, Forge)>,
}

impl BotOptions {
    /// A pro user who consumes everything over UDP, with a token of the development route.
    #[must_use]
    pub fn new(server: &str, channel: &str, user: &str) -> Self {
        Self {
            server: server.trim_end_matches('/').to_owned(),
            channel: channel.to_owned(),
            user: user.to_owned(),
            pro: true,
            token: TokenSource::Development,
            tcp: false,
            consume: true,
            loss_percent: 0,
            open_streams: usize::MAX,
            open_users: String::new(),
            forges: None,
        }
    }
}

/// The sound to send.
#[derive(Clone, Copy, Debug)]
pub struct AudioOptions {
    /// Bytes of a 20 ms frame.
    pub bytes: usize,
    /// Level said in the packets, in dBov.
    pub level: i8,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self { bytes: 100, level: -25 }
    }
}

/// The picture to send.
#[derive(Clone, Debug)]
pub struct VideoOptions {
    /// The codec whose payload format is used.
    pub codec: VideoCodec,
    /// Whether it is the camera or the screen.
    pub source: Source,
    /// Bit/s of each simulcast layer from small to large; one means no simulcast.
    pub bitrates: Vec<u32>,
    /// Temporal layers of each, 1 to 3.
    pub temporal_layers: u8,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self { codec: VideoCodec::Vp8, source: Source::Camera, bitrates: vec![1_500_000], temporal_layers: 1 }
    }
}
