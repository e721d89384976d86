//! TCP connections to the addresses of a server.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use futures_util::future::join_all;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::STEP;
use super::address::list;
use super::finding::{Fault, Finding, Step};

/// How an attempt to connect ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Somebody answered.
    Answered,
    /// The machine is there, and nobody listens.
    Refused,
    /// Nothing came back.
    Silent,
    /// This machine has no way there, for instance no IPv6.
    NoWay,
}

impl Outcome {
    /// The outcome in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Answered => "answers",
            Self::Refused => "refuses",
            Self::Silent => "is silent",
            Self::NoWay => "cannot be reached from here",
        }
    }

    /// What an error of the system means.
    pub fn of(error: &io::Error) -> Self {
        match error.kind() {
            ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset => Self::Refused,
            ErrorKind::NetworkUnreachable | ErrorKind::AddrNotAvailable | ErrorKind::Unsupported => Self::NoWay,
            _ => Self::Silent,
        }
    }
}

/// Connects to an address in time.
pub async fn connect(address: SocketAddr) -> Result<TcpStream, Outcome> {
    match timeout(STEP, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(Outcome::of(&error)),
        Err(_) => Err(Outcome::Silent),
    }
}

/// This machine's address on the way there. Nothing is sent.
pub fn own_end(to: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(to).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Connects to all addresses at the same time.
pub async fn connect_each(addresses: &[SocketAddr]) -> Vec<(SocketAddr, Outcome)> {
    join_all(addresses.iter().map(async |address| (*address, connect(*address).await.err().unwrap_or(Outcome::Answered)))).await
}

/// What the attempts say.
pub fn judge(port: u16, tried: &[(SocketAddr, Outcome)]) -> Finding {
    let with = |outcome: Outcome| list(tried.iter().filter(|(_, is)| *is == outcome).map(|(address, _)| address));
    let seen = list(tried.iter().map(|(address, outcome)| format!("{address} {}", outcome.words())));
    let any = |outcome: Outcome| tried.iter().any(|(_, is)| *is == outcome);
    if any(Outcome::Answered) {
        if !any(Outcome::Refused) && !any(Outcome::Silent) {
            return Finding::ok(Step::Tcp, seen);
        }
        let dead = [with(Outcome::Refused), with(Outcome::Silent)].into_iter().filter(|one| !one.is_empty());
        let fix = format!(
            "Name service or host: people who try {} first wait in vain. Open {port}/tcp there, have the proxy listen there too (IPv6 as well), \
             or take the record away.",
            dead.collect::<Vec<_>>().join(", ")
        );
        return Finding::warning(Step::Tcp, Fault::AddressSilent, seen, fix);
    }
    if any(Outcome::Refused) {
        let fix =
            format!("Host: nobody listens on {port}/tcp. Start the proxy (or Parlor) there, and see that it listens on this address.");
        return Finding::broken(Step::Tcp, Fault::PortClosed, seen, fix);
    }
    let fix =
        format!("Firewall: open {port}/tcp to everybody, in the cloud's rules and on the host; or the name leads to a wrong address.");
    Finding::broken(Step::Tcp, Fault::PortSilent, seen, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_that_answers_is_enough_and_another_that_does_not_is_warned_of() {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let (v4, v6) = (address("192.0.2.1:443"), address("[2001:db8::1]:443"));
        let fault = |tried: &[(SocketAddr, Outcome)]| judge(443, tried).fault;
        assert_eq!(fault(&[(v4, Outcome::Answered)]), None);
        assert_eq!(fault(&[(v4, Outcome::Answered), (v6, Outcome::NoWay)]), None, "no IPv6 here is no fault there");
        assert_eq!(fault(&[(v4, Outcome::Answered), (v6, Outcome::Silent)]), Some(Fault::AddressSilent));
        assert_eq!(fault(&[(v4, Outcome::Refused), (v6, Outcome::Silent)]), Some(Fault::PortClosed));
        assert_eq!(fault(&[(v4, Outcome::Silent)]), Some(Fault::PortSilent));
    }
}
