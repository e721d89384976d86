//! `[limits]`: the limits and timeouts of channels and sessions.

use std::time::Duration;

use parlor_proto::event::IceTransportPolicy;
use parlor_rooms::Policy;
use serde::{Deserialize, Serialize};

/// The section `[limits]`: the policy's numbers, times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Participants of a free channel that has no limit of its own.
    pub participants_free: u32,
    /// Participants of a pro channel that has no limit of its own.
    pub participants_pro: u32,
    /// Participants of a mesh call whose channel has no limit of its own.
    pub participants_mesh: u32,
    /// Spectators of a channel that has no limit of its own; they take no place of a participant.
    pub spectators: u32,
    /// Cameras and shared screens at the same time in a free channel.
    pub videos_free: u32,
    /// Cameras and shared screens at the same time in a pro channel.
    pub videos_pro: u32,
    /// Audio bitrate of a free user, in bit/s.
    pub audio_bitrate_free: u32,
    /// Audio bitrate of a pro user, in bit/s.
    pub audio_bitrate_pro: u32,
    /// Bitrate of a camera, all layers together, in bit/s.
    pub camera_bitrate: u32,
    /// Bitrate of a shared screen, in bit/s.
    pub screen_bitrate: u32,
    /// Time to get into a channel.
    pub join_timeout_ms: u64,
    /// Time to make a transport.
    pub create_transport_timeout_ms: u64,
    /// Time to accept a transport's DTLS parameters.
    pub connect_transport_timeout_ms: u64,
    /// Time to give a transport new ICE credentials.
    pub restart_ice_timeout_ms: u64,
    /// Time to make a producer.
    pub produce_timeout_ms: u64,
    /// Time to make a consumer.
    pub consume_timeout_ms: u64,
    /// Joins of one user in a minute.
    pub joins_per_minute: u32,
    /// Least time between two joins that each follow a lost connection.
    pub reconnect_interval_ms: u64,
    /// How long somebody whose connection was lost stays in the call, to continue it. 0: not at all.
    pub resume_grace_ms: u64,
    /// How long somebody stays in the call whose connection was closed because the page, or a proxy on the way, goes away.
    pub away_grace_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        let policy = Policy::default();
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            participants_free: policy.participants_free,
            participants_pro: policy.participants_pro,
            participants_mesh: policy.participants_mesh,
            spectators: policy.spectators,
            videos_free: policy.videos_free,
            videos_pro: policy.videos_pro,
            audio_bitrate_free: policy.audio_bitrate_free,
            audio_bitrate_pro: policy.audio_bitrate_pro,
            camera_bitrate: policy.camera_bitrate,
            screen_bitrate: policy.screen_bitrate,
            join_timeout_ms: ms(policy.join_timeout),
            create_transport_timeout_ms: ms(policy.create_transport_timeout),
            connect_transport_timeout_ms: ms(policy.connect_transport_timeout),
            restart_ice_timeout_ms: ms(policy.restart_ice_timeout),
            produce_timeout_ms: ms(policy.produce_timeout),
            consume_timeout_ms: ms(policy.consume_timeout),
            joins_per_minute: policy.joins_per_minute,
            reconnect_interval_ms: ms(policy.reconnect_interval),
            resume_grace_ms: ms(policy.resume_grace),
            away_grace_ms: ms(policy.away_grace),
        }
    }
}

impl Limits {
    /// These limits as the policy of rooms, with the candidates that people may use everywhere.
    #[must_use]
    pub fn policy(&self, ice_transport_policy: IceTransportPolicy) -> Policy {
        Policy {
            participants_free: self.participants_free,
            participants_pro: self.participants_pro,
            participants_mesh: self.participants_mesh,
            ice_transport_policy,
            spectators: self.spectators,
            videos_free: self.videos_free,
            videos_pro: self.videos_pro,
            audio_bitrate_free: self.audio_bitrate_free,
            audio_bitrate_pro: self.audio_bitrate_pro,
            camera_bitrate: self.camera_bitrate,
            screen_bitrate: self.screen_bitrate,
            join_timeout: Duration::from_millis(self.join_timeout_ms),
            create_transport_timeout: Duration::from_millis(self.create_transport_timeout_ms),
            connect_transport_timeout: Duration::from_millis(self.connect_transport_timeout_ms),
            restart_ice_timeout: Duration::from_millis(self.restart_ice_timeout_ms),
            produce_timeout: Duration::from_millis(self.produce_timeout_ms),
            consume_timeout: Duration::from_millis(self.consume_timeout_ms),
            joins_per_minute: self.joins_per_minute,
            reconnect_interval: Duration::from_millis(self.reconnect_interval_ms),
            resume_grace: Duration::from_millis(self.resume_grace_ms),
            away_grace: Duration::from_millis(self.away_grace_ms),
        }
    }
}
