//! Every number of the rules in one place, with the defaults of the product.

use std::time::Duration;

use parlor_proto::event::IceTransportPolicy;
use parlor_proto::{Channel, Tier, Topology};

/// The numbers an operator can change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Policy {
    /// Participants of a free channel that has no limit of its own.
    pub participants_free: u32,
    /// Participants of a pro channel that has no limit of its own.
    pub participants_pro: u32,
    /// Participants of a mesh call whose channel has no limit of its own: each sends to all others.
    pub participants_mesh: u32,
    /// Which candidates people may use, in every channel that is not stricter.
    pub ice_transport_policy: IceTransportPolicy,
    /// Spectators of a channel that says nothing else: they send nothing and take nobody's place, and each costs what a receiver costs.
    pub spectators: u32,
    /// The most cameras and shared screens at the same time in a free channel.
    pub videos_free: u32,
    /// The most cameras and shared screens at the same time in a pro channel.
    pub videos_pro: u32,
    /// Bitrate of a free user's sound, in bit/s.
    pub audio_bitrate_free: u32,
    /// Bitrate of a pro user's sound, in bit/s.
    pub audio_bitrate_pro: u32,
    /// Bitrate of a camera, all layers together, in bit/s.
    pub camera_bitrate: u32,
    /// Bitrate of a shared screen, in bit/s.
    pub screen_bitrate: u32,
    /// How long it may take to get into a channel.
    pub join_timeout: Duration,
    /// How long the media plane may take to make a transport.
    pub create_transport_timeout: Duration,
    /// How long it may take to accept a transport's DTLS parameters.
    pub connect_transport_timeout: Duration,
    /// How long it may take to give a transport new ICE credentials.
    pub restart_ice_timeout: Duration,
    /// How long it may take to make a producer.
    pub produce_timeout: Duration,
    /// How long it may take to make a consumer.
    pub consume_timeout: Duration,
    /// Joins of one user in a minute.
    pub joins_per_minute: u32,
    /// The least time between two joins that each follow a lost connection.
    pub reconnect_interval: Duration,
    /// How long somebody whose connection was lost stays in the room, to resume; 0 means not at all.
    pub resume_grace: Duration,
    /// How long somebody stays whose connection was closed as a page that goes away closes it. A proxy that is told to load its
    /// configuration again does so too, and its clients are back within this time: socket.io-client tries again after
    /// half a second to one and a half.
    pub away_grace: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            participants_free: 8,
            participants_pro: 25,
            participants_mesh: 8,
            ice_transport_policy: IceTransportPolicy::All,
            spectators: 100,
            videos_free: 4,
            videos_pro: 6,
            audio_bitrate_free: 32_000,
            audio_bitrate_pro: 64_000,
            camera_bitrate: 2_500_000,
            screen_bitrate: 1_500_000,
            join_timeout: Duration::from_secs(10),
            create_transport_timeout: Duration::from_secs(5),
            connect_transport_timeout: Duration::from_secs(10),
            restart_ice_timeout: Duration::from_secs(5),
            produce_timeout: Duration::from_secs(5),
            consume_timeout: Duration::from_secs(5),
            joins_per_minute: 10,
            reconnect_interval: Duration::from_secs(5),
            resume_grace: Duration::from_secs(10),
            away_grace: Duration::from_millis(2500),
        }
    }
}

impl Policy {
    /// How many participants may be in a channel that has no limit of its own.
    #[must_use]
    pub const fn participants(&self, channel: &Channel) -> u32 {
        match (channel.topology, channel.tier) {
            (Topology::Mesh, _) => self.participants_mesh,
            (Topology::Sfu | Topology::Auto, Tier::Free) => self.participants_free,
            (Topology::Sfu | Topology::Auto, Tier::Pro) => self.participants_pro,
        }
    }

    /// How many cameras and screens may be shown at once in a channel of this tier.
    #[must_use]
    pub const fn videos(&self, tier: Tier) -> u32 {
        match tier {
            Tier::Free => self.videos_free,
            Tier::Pro => self.videos_pro,
        }
    }

    /// The audio bitrate of a user of this tier.
    #[must_use]
    pub const fn audio_bitrate(&self, tier: Tier) -> u32 {
        match tier {
            Tier::Free => self.audio_bitrate_free,
            Tier::Pro => self.audio_bitrate_pro,
        }
    }
}
