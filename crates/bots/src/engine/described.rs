//! Peers that agree with another client by session descriptions (RFC 8829), as in a mesh call: one track of sound each way.

use str0m::Candidate;
use str0m::change::{SdpAnswer, SdpOffer, SdpPendingOffer};
use str0m::format::Codec;
use str0m::media::{Direction, MediaKind, Mid, Pt};

use super::peer::Peer;
use crate::error::BotError;

/// A peer that has agreed on a track can send sound under this name, number and payload type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Agreed {
    pub(crate) mid: Mid,
    pub(crate) ssrc: u32,
    pub(crate) payload_type: Pt,
}

/// An offer that has no answer yet.
pub(crate) struct Offered {
    mid: Mid,
    pending: SdpPendingOffer,
}

impl Peer {
    /// Offers a connection: the description, and what is needed to take its answer.
    pub(crate) fn offer(&mut self) -> Result<(String, Offered), BotError> {
        let mut api = self.session().rtc.sdp_api();
        let mid = api.add_media(MediaKind::Audio, Direction::SendRecv, None, None, None);
        let (offer, pending) = api.apply().ok_or_else(|| BotError::Media("there is nothing to offer".into()))?;
        Ok((offer.to_sdp_string(), Offered { mid, pending }))
    }

    /// Takes an offer, and gives the description that answers it.
    pub(crate) fn answer(&mut self, offer: &str) -> Result<(String, Agreed), BotError> {
        let offer = SdpOffer::from_sdp_string(offer).map_err(media)?;
        let answer = self.session().rtc.sdp_api().accept_offer(offer).map_err(media)?.to_sdp_string();
        let mid = answer.lines().find_map(|line| line.trim_end().strip_prefix("a=mid:")).map(Mid::from);
        let agreed = self.agreed(mid.ok_or_else(no_sound)?)?;
        Ok((answer, agreed))
    }

    /// Takes the answer to an offer of ours.
    pub(crate) fn answered(&mut self, Offered { mid, pending }: Offered, answer: &str) -> Result<Agreed, BotError> {
        let answer = SdpAnswer::from_sdp_string(answer).map_err(media)?;
        self.session().rtc.sdp_api().accept_answer(pending, answer).map_err(media)?;
        self.agreed(mid)
    }

    /// Takes a candidate of the other side (RFC 8839, section 5.1). One with a name in place of an address is left out: it is
    /// for those who ask by multicast DNS, and the other side's checks show its address all the same.
    pub(crate) fn candidate(&mut self, text: &str) {
        if let Ok(candidate) = Candidate::from_sdp_string(text) {
            self.session().rtc.add_remote_candidate(candidate);
        }
    }

    /// What both sides agreed on for sound.
    fn agreed(&mut self, mid: Mid) -> Result<Agreed, BotError> {
        let rtc = &mut self.session().rtc;
        let numbers = rtc.media(mid).map(|media| media.remote_pts().to_vec()).unwrap_or_default();
        let opus = |number: &Pt| rtc.codec_config().iter().any(|codec| codec.pt() == *number && codec.spec().codec == Codec::Opus);
        let payload_type = numbers.into_iter().find(opus).ok_or_else(no_sound)?;
        let ssrc = rtc.direct_api().stream_tx_by_mid(mid, None).map(|stream| *stream.ssrc()).ok_or_else(no_sound)?;
        Ok(Agreed { mid, ssrc, payload_type })
    }
}

fn no_sound() -> BotError {
    BotError::Media("no sound was agreed on".into())
}

fn media(error: impl std::fmt::Display) -> BotError {
    BotError::Media(error.to_string())
}
