//! What is in datagrams: reading and writing of RTP, RTCP, SRTP, STUN and what they carry.

pub(crate) mod extension;
pub mod framing;
pub(crate) mod red;
pub(crate) mod rtcp;
pub(crate) mod rtp;
pub(crate) mod scratch;
pub(crate) mod srtp;
pub(crate) mod stun;
pub(crate) mod wall_clock;
