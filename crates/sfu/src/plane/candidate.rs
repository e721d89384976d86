//! The candidates clients are told, from the configured addresses.

use parlor_proto::transport::{CandidateKind, IceCandidate, Protocol, TcpType};

use crate::plane::config::{LocalCandidate, SfuError};

/// RFC 8445, section 5.1.2.2: host candidates.
const HOST_PREFERENCE: u32 = 126;

/// UDP before TCP, and in both the order of the configuration.
pub(crate) fn announce(candidates: &[LocalCandidate]) -> Result<Vec<IceCandidate>, SfuError> {
    if candidates.is_empty() {
        return Err(SfuError::NoCandidates);
    }
    if let Some(bad) = candidates.iter().find(|c| c.address.ip().is_unspecified() || c.address.port() == 0) {
        return Err(SfuError::BadCandidate(bad.address));
    }
    let mut announced: Vec<IceCandidate> = (0_u32..).zip(candidates).map(|(rank, candidate)| describe(*candidate, rank)).collect();
    announced.sort_by_key(|candidate| std::cmp::Reverse(candidate.priority));
    Ok(announced)
}

fn describe(candidate: LocalCandidate, rank: u32) -> IceCandidate {
    let is_tcp = candidate.protocol == Protocol::Tcp;
    // RFC 6544, section 4.2: of host candidates by TCP, passive ones have direction preference 4 of 7.
    let protocol_preference: u32 = if is_tcp { 4 << 13 } else { 0xffff };
    let local_preference = protocol_preference.saturating_sub(rank.min(0x1000));
    let protocol_name = if is_tcp { "tcp" } else { "udp" };
    IceCandidate {
        foundation: format!("{protocol_name}{rank}"),
        // RFC 8445, section 5.1.2.1, with component 1: RTP and RTCP share it.
        priority: (HOST_PREFERENCE << 24) + (local_preference << 8) + 255,
        ip: candidate.address.ip(),
        address: candidate.address.ip(),
        protocol: candidate.protocol,
        port: candidate.address.port(),
        kind: CandidateKind::Host,
        tcp_type: is_tcp.then_some(TcpType::Passive),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(protocol: Protocol, last: u8) -> LocalCandidate {
        LocalCandidate { protocol, address: ([10, 0, 0, last], 7401).into() }
    }

    #[test]
    fn udp_comes_before_tcp_and_the_order_is_kept() {
        let given = [local(Protocol::Tcp, 1), local(Protocol::Udp, 1), local(Protocol::Udp, 2)];
        let announced = announce(&given).expect("valid");
        let order: Vec<_> = announced.iter().map(|c| (c.protocol, c.ip.to_string())).collect();
        assert_eq!(order, [(Protocol::Udp, "10.0.0.1".into()), (Protocol::Udp, "10.0.0.2".into()), (Protocol::Tcp, "10.0.0.1".into())]);
        assert_eq!(announced[2].tcp_type, Some(TcpType::Passive));
        assert_eq!(announced[0].tcp_type, None);
    }

    #[test]
    fn an_address_nobody_can_reach_is_refused() {
        assert_eq!(announce(&[]), Err(SfuError::NoCandidates));
        let any = LocalCandidate { protocol: Protocol::Udp, address: ([0, 0, 0, 0], 7401).into() };
        assert_eq!(announce(&[any]), Err(SfuError::BadCandidate(any.address)));
    }
}
