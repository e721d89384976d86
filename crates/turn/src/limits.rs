//! The numbers of the server, each with its reason.

use std::time::Duration;

/// The lifetime of an allocation, asked for or not (RFC 8656, section 3.2). Longer ones would let a credential that has
/// expired, or a client that is gone, keep its port for longer; clients refresh a minute before the end anyway.
pub const LIFETIME: Duration = Duration::from_secs(600);
/// How long a permission lasts (RFC 8656, section 9).
pub const PERMISSION: Duration = Duration::from_secs(300);
/// How long a channel lasts (RFC 8656, section 12).
pub const CHANNEL: Duration = Duration::from_secs(600);
/// How long a nonce is good for: a stolen request can be repeated from its client's address for that long (the recommendation
/// of RFC 8656, section 5, is an hour at the most). Clients get the next one with a 438 and go on.
pub const NONCE: Duration = Duration::from_secs(600);
/// The most permissions of an allocation. A browser asks for one for each candidate of the other side, twenty or so with many
/// interfaces; an SFU has a handful.
pub const MAX_PERMISSIONS: usize = 64;
/// The most channels of an allocation: one for each pair of candidates that a browser sends media on.
pub const MAX_CHANNELS: usize = 32;
/// The longest STUN message, and the longest datagram relayed. WebRTC keeps below an MTU of 1,500; a longer one is no WebRTC.
pub const MAX_MESSAGE: usize = 2_048;
/// The longest user name (RFC 8489, section 14.3).
pub const MAX_USERNAME: usize = 508;
/// How many ports are tried for an allocation before it is refused: with 10,000 of 16,384 ports in use, one try in a million
/// fails 29 times in a row.
pub(crate) const PORT_TRIES: usize = 32;
/// How often another port is asked of the system, when another program has the chosen one.
pub(crate) const OPEN_TRIES: u8 = 4;
/// How often allocations that ended are looked for. They end in time all the same: it is only the port that is kept longer.
pub(crate) const SWEEP: Duration = Duration::from_secs(1);

/// The limits that are configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most allocations. Each has a socket.
    pub allocations: usize,
    /// The most allocations of a user.
    pub per_user: usize,
    /// The most allocations from an address (IPv6: from a /64).
    pub per_address: usize,
    /// The most bytes relayed in a second, for an allocation and direction; a second's worth at once. 0: no limit.
    pub bytes_per_second: u64,
}

impl Limits {
    /// Limits for one process on a machine of its own.
    pub const DEFAULT: Self = Self {
        // Half of the open files that systems commonly allow a process (20,000 and more).
        allocations: 10_000,
        // A browser makes one for each of three addresses of the server, on each of its interfaces, for two connections; an ICE
        // restart has the old ones and the new ones; a mesh call of five has four connections. Two devices.
        per_user: 64,
        // An office behind NAT: a hundred people with ten each.
        per_address: 1_000,
        // 40 Mbit/s: what a call of twenty cameras is at its best.
        bytes_per_second: 5_000_000,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
