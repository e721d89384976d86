//! Counters of an `Sfu`: what went through it, and what was dropped for which reason.

/// Datagrams and packets that were dropped, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drops {
    /// Datagrams from an address no transport knows that are no STUN binding requests.
    pub unknown_address: u64,
    /// STUN requests for a transport that does not exist.
    pub unknown_ufrag: u64,
    /// STUN requests whose message integrity does not verify.
    pub bad_integrity: u64,
    /// What is not STUN, DTLS, RTP or RTCP, or truncated, or redundant sound that lies about what is in it.
    pub malformed: u64,
    /// What DTLS or SRTP refused.
    pub transport: u64,
    /// RTCP, or parts of it, beyond what a client may make us do.
    pub over_reports: u64,
    /// Valid STUN requests beyond what a client may make us do.
    pub over_checks: u64,
    /// Packets that were there before.
    pub replayed: u64,
    /// RTP of no producer of its transport.
    pub unknown_stream: u64,
    /// RTP over the producer's bitrate.
    pub over_bitrate: u64,
    /// RTP beyond the packets a second of its transport.
    pub over_rate: u64,
    /// Valid STUN requests from an address that another transport is using.
    pub taken_address: u64,
    /// Addresses beyond those that a transport may use at once.
    pub too_many_addresses: u64,
    /// Packets a consumer's transport could not take.
    pub send: u64,
    /// Packets for another thread that did not keep up.
    pub pipe: u64,
}

/// What was done because a client asked for it: steps, each of about the same cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Work {
    /// Packets that transport-wide feedback spoke of, and that were looked up.
    pub statuses: u64,
    /// Numbers in NACKs that were looked up.
    pub nacked: u64,
    /// Reports, report blocks, requests for key frames and bitrates that were read.
    pub report_items: u64,
    /// Valid STUN requests that were answered.
    pub checks: u64,
}

/// Counters and sizes of an `Sfu`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SfuStats {
    /// Datagrams that arrived.
    pub datagrams_in: u64,
    /// The bytes of the datagrams that arrived.
    pub bytes_in: u64,
    /// Datagrams that were sent.
    pub datagrams_out: u64,
    /// The bytes of the datagrams that were sent.
    pub bytes_out: u64,
    /// RTP packets received of producers.
    pub rtp_in: u64,
    /// RTP packets that other threads handed over.
    pub rtp_piped: u64,
    /// RTP packets forwarded to consumers.
    pub rtp_forwarded: u64,
    /// RTP packets sent again because a receiver lost them.
    pub rtp_repeated: u64,
    /// Key frames asked of senders.
    pub key_frame_requests: u64,
    /// Datagrams and packets that were dropped, by reason.
    pub drops: Drops,
    /// What clients made us do.
    pub work: Work,
    /// How many routers there are.
    pub routers: usize,
    /// How many transports there are.
    pub transports: usize,
    /// How many producers there are, without mirrors.
    pub producers: usize,
    /// Mirrors of producers on other threads.
    pub mirrors: usize,
    /// How many consumers there are.
    pub consumers: usize,
}
