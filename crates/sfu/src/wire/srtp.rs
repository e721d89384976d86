//! SRTP and SRTCP of one transport: seals what leaves, opens what arrives (RFC 3711, RFC 7714).
//!
//! One [`Sealer`] and one [`Opener`] serve all streams of a transport, as they share their keys. Key schedules
//! are made once; a packet is worked on in place, and costs no allocation.

mod counter;
mod derive;
mod gcm;
mod replay;
mod rtcp_replay;
#[cfg(test)]
mod tests;

use counter::Counter;
use derive::Labels;
use gcm::Gcm;
pub(crate) use replay::Replay;
use rtcp_replay::RtcpReplay;

/// What sealing adds at most: the tag of AES-GCM and the index word of SRTCP (RFC 7714, section 9).
pub(crate) const MAX_OVERHEAD: usize = gcm::TAG_LEN + WORD_LEN;

/// The flag and index at the end of an SRTCP packet (RFC 3711, section 3.4).
const WORD_LEN: usize = 4;
/// The flag in that word: the packet is encrypted.
const ENCRYPTED: u32 = 1 << 31;
/// The fixed part of an RTP header (RFC 3550, section 5.1).
const RTP_HEADER_LEN: usize = 12;
/// What stays readable of a compound packet: the first header and its SSRC (RFC 3711, section 3.4).
const RTCP_HEADER_LEN: usize = 8;
/// No datagram is longer, and AES-CM has keystream for 2^20 bytes of a packet (RFC 3711, section 4.1.1).
const MAX_PACKET_LEN: usize = 65_535;
/// Rollover counter and sequence number; beyond it keystream would repeat (RFC 3711, section 9.2).
const MAX_RTP_INDEX: u64 = (1 << 48) - 1;
/// The highest index of SRTCP; beyond it keystream would repeat (RFC 3711, section 9.2).
const MAX_RTCP_INDEX: u32 = (1 << 31) - 1;

/// A protection profile that a DTLS handshake can agree on (RFC 5764, section 4.1.2; RFC 7714, section 14.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Profile {
    AeadAes128Gcm,
    AeadAes256Gcm,
    Aes128CmSha1_80,
}

impl Profile {
    /// Bytes of a master key.
    pub(crate) const fn key_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::Aes128CmSha1_80 => 16,
            Self::AeadAes256Gcm => 32,
        }
    }

    /// Bytes of a master salt.
    pub(crate) const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => gcm::SALT_LEN,
            Self::Aes128CmSha1_80 => counter::SALT_LEN,
        }
    }
}

/// Seals the packets that leave over one transport.
#[derive(Debug)]
pub(crate) struct Sealer {
    rtp: Cipher,
    rtcp: Cipher,
    /// Index of the next SRTCP packet. One for all SSRCs, so it never repeats for any of them.
    next_rtcp: u32,
}

impl Sealer {
    /// `None` if the lengths are not those of the profile.
    pub(crate) fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        let (rtp, rtcp) = Cipher::pair(profile, key, salt)?;
        Some(Self { rtp, rtcp, next_rtcp: 0 })
    }

    /// Seals the RTP packet `packet[..len]` in place and returns its new length; the buffer must have room for
    /// [`MAX_OVERHEAD`] more. `None`, and nothing is changed, if it has not or if this is no such packet.
    ///
    /// An index must never be used for two different packets of an SSRC: both could then be read. A stream
    /// should begin below 2^15: a receiver that misses the first packets then still guesses the rollover
    /// counter right (RFC 3711, section 3.3.1).
    pub(crate) fn seal_rtp(&self, packet: &mut [u8], len: usize, header_len: usize, index: u64) -> Option<usize> {
        let ssrc = rtp_ssrc(packet.get(..len)?, header_len, index)?;
        match &self.rtp {
            Cipher::Gcm(gcm) => gcm.seal_rtp(packet, len, header_len, ssrc, index),
            Cipher::Counter(counter) => counter.seal_rtp(packet, len, header_len, ssrc, index),
        }
    }

    /// Seals the compound packet `packet[..len]`, likewise. `None` for good once the indexes are used up.
    pub(crate) fn seal_rtcp(&mut self, packet: &mut [u8], len: usize) -> Option<usize> {
        let ssrc = rtcp_ssrc(packet.get(..len)?)?;
        let index = self.next_rtcp;
        if index > MAX_RTCP_INDEX {
            return None;
        }
        let sealed = match &self.rtcp {
            Cipher::Gcm(gcm) => gcm.seal_rtcp(packet, len, ssrc, index),
            Cipher::Counter(counter) => counter.seal_rtcp(packet, len, ssrc, index),
        };
        self.next_rtcp = index.saturating_add(1);
        sealed
    }
}

/// Opens the packets that arrive over one transport.
#[derive(Debug)]
pub(crate) struct Opener {
    rtp: Cipher,
    rtcp: Cipher,
    rtcp_replay: RtcpReplay,
}

impl Opener {
    /// `None` if the lengths are not those of the profile.
    pub(crate) fn new(profile: Profile, key: &[u8], salt: &[u8]) -> Option<Self> {
        let (rtp, rtcp) = Cipher::pair(profile, key, salt)?;
        Some(Self { rtp, rtcp, rtcp_replay: RtcpReplay::default() })
    }

    /// Authenticates and decrypts an RTP packet in place and returns its new length; the index is that of
    /// [`Replay::guess`], and [`Replay::accept`] has to hear of the success. The bytes of a packet that is
    /// refused are worthless afterwards.
    pub(crate) fn open_rtp(&self, packet: &mut [u8], header_len: usize, index: u64) -> Option<usize> {
        let ssrc = rtp_ssrc(packet, header_len, index)?;
        match &self.rtp {
            Cipher::Gcm(gcm) => gcm.open_rtp(packet, header_len, ssrc, index),
            Cipher::Counter(counter) => counter.open_rtp(packet, header_len, ssrc, index),
        }
    }

    /// Authenticates and decrypts a compound packet, likewise, and refuses one that was opened before.
    ///
    /// Unencrypted packets are refused: no profile of [`Profile`] has them (RFC 5764, section 4.1.2).
    pub(crate) fn open_rtcp(&mut self, packet: &mut [u8]) -> Option<usize> {
        let ssrc = rtcp_ssrc(packet)?;
        let word = match &self.rtcp {
            Cipher::Gcm(_) => gcm::rtcp_word(packet)?,
            Cipher::Counter(_) => counter::rtcp_word(packet)?,
        };
        let index = word & MAX_RTCP_INDEX;
        if word & ENCRYPTED == 0 || !self.rtcp_replay.is_new(ssrc, index) {
            return None;
        }
        let len = match &self.rtcp {
            Cipher::Gcm(gcm) => gcm.open_rtcp(packet, ssrc, index),
            Cipher::Counter(counter) => counter.open_rtcp(packet, ssrc, index),
        }?;
        self.rtcp_replay.accept(ssrc, index);
        Some(len)
    }
}

/// The session keys of one direction, for RTP or for RTCP.
#[derive(Debug)]
enum Cipher {
    Gcm(Gcm),
    /// Boxed: the larger of the two by far, and the rarer.
    Counter(Box<Counter>),
}

impl Cipher {
    fn pair(profile: Profile, key: &[u8], salt: &[u8]) -> Option<(Self, Self)> {
        if key.len() != profile.key_len() || salt.len() != profile.salt_len() {
            return None;
        }
        let derive = |labels| match profile {
            Profile::AeadAes128Gcm | Profile::AeadAes256Gcm => Gcm::derive(key, salt, labels).map(Self::Gcm),
            Profile::Aes128CmSha1_80 => Counter::derive(key, salt, labels).map(Box::new).map(Self::Counter),
        };
        Some((derive(Labels::RTP)?, derive(Labels::RTCP)?))
    }
}

/// The SSRC of an RTP packet; `None` if it cannot be one, or if the index is not one of this packet.
fn rtp_ssrc(packet: &[u8], header_len: usize, index: u64) -> Option<u32> {
    if header_len < RTP_HEADER_LEN || header_len > packet.len() || packet.len() > MAX_PACKET_LEN || index > MAX_RTP_INDEX {
        return None;
    }
    let &[_, _, high, low, _, _, _, _, a, b, c, d, ..] = packet else { return None };
    (u64::from(u16::from_be_bytes([high, low])) == index & 0xffff).then_some(u32::from_be_bytes([a, b, c, d]))
}

/// The SSRC of the first packet in a compound packet.
fn rtcp_ssrc(packet: &[u8]) -> Option<u32> {
    match packet {
        &[_, _, _, _, a, b, c, d, ..] if packet.len() <= MAX_PACKET_LEN => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    }
}
