//! The addresses that clients are told instead of the bound ones: those of the configuration, with names looked up.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::timeout;

use crate::config::Announced;

/// How often names are looked up. A resolver keeps answers for as long as they are good, so it is seldom asked over the network.
pub const LOOK_UP_EVERY: Duration = Duration::from_secs(10);
/// The longest that one name may take.
const LOOK_UP_WITHIN: Duration = Duration::from_secs(10);
/// The most addresses of a name: each is a candidate that every client checks.
const MAX_OF_A_NAME: usize = 4;

/// Addresses that are told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// The addresses, in the order of the configuration. Empty: the bound ones are told.
    pub ips: Vec<IpAddr>,
    /// Whether they may become others while the server runs.
    pub moves: bool,
}

impl Told {
    /// Looks names up. The error names the one that has no address, and says what to do.
    pub async fn look_up(configured: &[Announced]) -> Result<Self, String> {
        let mut told = Self::default();
        for entry in configured {
            let found = match entry {
                Announced::Ip(ip) => vec![*ip],
                Announced::Name(name) => {
                    told.moves = true;
                    addresses(name).await.map_err(|reason| {
                        format!(
                            "media.announced_ip: the name {name} has no address ({reason}); enter one in the DNS, or set the address itself"
                        )
                    })?
                }
            };
            for ip in found {
                if !told.ips.contains(&ip) {
                    told.ips.push(ip);
                }
            }
        }
        Ok(told)
    }
}

/// The addresses of a name, always in the same order: servers of names change it from answer to answer.
async fn addresses(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = timeout(LOOK_UP_WITHIN, tokio::net::lookup_host((name, 0))).await.map_err(|_| "the look-up takes too long".to_owned())?;
    let found = found.map_err(|error| error.to_string())?;
    let mut ips: Vec<IpAddr> = found.map(|address| address.ip()).filter(|ip| !ip.is_unspecified() && !ip.is_multicast()).collect();
    ips.sort_unstable();
    ips.dedup();
    ips.truncate(MAX_OF_A_NAME);
    if ips.is_empty() { Err("the answer has none that clients could connect to".to_owned()) } else { Ok(ips) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configured(texts: &[&str]) -> Vec<Announced> {
        texts.iter().map(|text| text.parse().expect("valid")).collect()
    }

    #[tokio::test]
    async fn names_have_their_addresses_and_each_is_told_once() {
        let told = Told::look_up(&configured(&["203.0.113.9"])).await.expect("needs no look-up");
        assert_eq!((told.ips, told.moves), (vec!["203.0.113.9".parse().expect("an address")], false));
        let told = Told::look_up(&configured(&["127.0.0.1", "localhost"])).await.expect("every machine has it");
        assert!(told.moves && told.ips.iter().all(IpAddr::is_loopback), "{told:?}");
        assert_eq!(told.ips.iter().filter(|ip| ip.is_ipv4()).count(), 1);
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_named_with_the_way_out() {
        let error = Told::look_up(&configured(&["nobody.invalid"])).await.expect_err("reserved for this (RFC 6761)");
        assert!(error.contains("media.announced_ip") && error.contains("nobody.invalid") && error.contains("DNS"), "{error}");
    }
}
