//! The media ports: a connectivity check to each, by UDP and by TCP, as a browser makes it.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use futures_util::future::join_all;
use parlor_turn::client::{Answer, Request};

use super::address::{Reach, list, reach};
use super::call::Call;
use super::connect::Outcome;
use super::finding::{Fault, Finding, Step};
use super::line::Line;
use super::token::fresh_id;

/// The two protocols of media.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// UDP, which calls use.
    Udp,
    /// TCP, the way out where UDP is blocked.
    Tcp,
}

/// What became of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tried {
    /// The address of the media port.
    pub to: SocketAddr,
    /// Whether there was an answer.
    pub outcome: Outcome,
    /// Where the check came from, as the media port sees it.
    pub seen_from: Option<SocketAddr>,
}

/// Checks the transport's addresses with its password, and those of the other workers without one: a refusal is an answer as well.
pub async fn check(protocol: Protocol, call: &Call, others: &[SocketAddr]) -> Vec<Tried> {
    let own = if protocol == Protocol::Udp { &call.udp } else { &call.tcp };
    let (name, password) = call.credentials.clone().unwrap_or_else(|| (fresh_id(), fresh_id()));
    let strangers = others.iter().filter(|address| !own.contains(address));
    let all = own.iter().map(|to| (*to, Request::check(&name, &password)));
    let all = all.chain(strangers.map(|to| (*to, Request::check(&fresh_id(), &fresh_id()))));
    join_all(all.map(async |(to, request)| try_one(protocol, to, &request).await)).await
}

async fn try_one(protocol: Protocol, to: SocketAddr, request: &Request) -> Tried {
    let asked = async {
        let mut line = match protocol {
            Protocol::Udp => Line::udp(to).await?,
            Protocol::Tcp => Line::frames(to).await?,
        };
        line.exchange(&request.bytes, |bytes| request.hear(bytes)).await
    };
    match asked.await {
        Ok(Answer::Granted { mapped, .. }) => Tried { to, outcome: Outcome::Answered, seen_from: mapped },
        Ok(_) => Tried { to, outcome: Outcome::Answered, seen_from: None },
        Err(outcome) => Tried { to, outcome, seen_from: None },
    }
}

/// What the checks of one protocol say; `otherwise` is whether media has another way.
pub fn judge(protocol: Protocol, tried: &[Tried], otherwise: bool) -> Finding {
    let (step, word) = match protocol {
        Protocol::Udp => (Step::MediaUdp, "udp"),
        Protocol::Tcp => (Step::MediaTcp, "tcp"),
    };
    if tried.is_empty() {
        return Finding::skipped(step, "no address of media is known");
    }
    if tried.iter().all(|one| one.outcome == Outcome::NoWay) {
        return Finding::skipped(step, format!("this machine has no way to {}", list(tried.iter().map(|one| one.to))));
    }
    let ports = |answered: bool| -> BTreeSet<u16> {
        let fits = |one: &&Tried| (one.outcome == Outcome::Answered) == answered && one.outcome != Outcome::NoWay;
        tried.iter().filter(fits).map(|one| one.to.port()).collect()
    };
    let (alive, dead) = (ports(true), ports(false));
    let dead: Vec<u16> = dead.difference(&alive).copied().collect();
    let seen = list(tried.iter().map(|one| format!("{}/{word} {}", one.to, one.outcome.words())));
    let which = list(dead.iter().map(|port| format!("{port}/{word}")));
    match (alive.is_empty(), protocol) {
        (false, _) if dead.is_empty() => Finding::ok(step, seen),
        (false, Protocol::Udp) => Finding::broken(step, Fault::UdpPortSilent, seen, one_for_each(&which)),
        (false, Protocol::Tcp) => Finding::warning(step, Fault::TcpPortSilent, seen, one_for_each(&which)),
        (true, Protocol::Udp) => Finding::broken(step, Fault::UdpSilent, seen, udp_fix(tried, &which, otherwise)),
        (true, Protocol::Tcp) => {
            let fix = format!(
                "Firewall or NAT: open and forward {which} to Parlor, for people whose network lets no UDP out. They need TURN otherwise."
            );
            let make = if otherwise { Finding::warning } else { Finding::broken };
            make(step, Fault::TcpSilent, seen, fix)
        }
    }
}

fn one_for_each(which: &str) -> String {
    format!(
        "Firewall or NAT: open and forward {which} too. There is a port for each media worker (media.port and the next ones, media.workers)."
    )
}

fn udp_fix(tried: &[Tried], which: &str, otherwise: bool) -> String {
    let private = tried.iter().all(|one| reach(one.to.ip()) < Reach::Everybody);
    if tried.iter().all(|one| one.outcome == Outcome::Refused) {
        return format!(
            "Host: nobody listens on {which} there. See that media.announced_ip is an address of the machine that Parlor runs on."
        );
    }
    let address = if private { " Or the address is none that is reached from here: media.announced_ip." } else { "" };
    let hint = if otherwise { " TCP comes through, so the address is right: it is a rule for UDP alone." } else { "" };
    format!("Firewall or NAT: open and forward {which} to Parlor, in the cloud's rules and on the host.{hint}{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(all: &[(&str, Outcome)]) -> Vec<Tried> {
        all.iter().map(|(to, outcome)| Tried { to: to.parse().expect("an address"), outcome: *outcome, seen_from: None }).collect()
    }

    #[test]
    fn a_port_is_alive_if_one_of_its_addresses_answers() {
        let fault = |protocol, all: &[(&str, Outcome)]| {
            let finding = judge(protocol, &tried(all), true);
            (finding.fault, finding.verdict)
        };
        use super::super::finding::Verdict::{Broken, Ok, Skipped, Warning};
        use Outcome::{Answered, NoWay, Refused, Silent};
        assert_eq!(fault(Protocol::Udp, &[("8.8.8.8:1", Answered), ("10.0.0.5:1", Silent), ("[2a00::1]:1", NoWay)]), (None, Ok));
        assert_eq!(fault(Protocol::Udp, &[("8.8.8.8:1", Answered), ("8.8.8.8:2", Silent)]), (Some(Fault::UdpPortSilent), Broken));
        assert_eq!(fault(Protocol::Tcp, &[("8.8.8.8:1", Answered), ("8.8.8.8:2", Refused)]), (Some(Fault::TcpPortSilent), Warning));
        assert_eq!(fault(Protocol::Udp, &[("8.8.8.8:1", Silent)]), (Some(Fault::UdpSilent), Broken));
        assert_eq!(fault(Protocol::Tcp, &[("8.8.8.8:1", Silent)]), (Some(Fault::TcpSilent), Warning));
        assert_eq!(fault(Protocol::Udp, &[("[2a00::1]:1", NoWay)]), (None, Skipped));
        assert_eq!(fault(Protocol::Udp, &[]), (None, Skipped));
        assert_eq!(judge(Protocol::Tcp, &tried(&[("8.8.8.8:1", Silent)]), false).verdict, Broken);
    }
}
