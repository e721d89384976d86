//! Capability matching: which codecs and header extensions a producer and a consumer use.

use parlor_proto::rtp::RtpCapabilities;

/// What a router can forward.
#[must_use]
pub fn router_capabilities() -> RtpCapabilities {
    RtpCapabilities::default()
}
