//! The name of a server, its addresses, and from where an address can be reached at all.

use std::net::{IpAddr, SocketAddr};

use parlor_turn::policy::is_public;
use reqwest::Url;
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::STEP;
use super::finding::{Fault, Finding, Step};

/// The most addresses of a name that are tried: large sites have four to eight.
const MAX_ADDRESSES: usize = 8;

/// The server as its URL names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// Where the server's paths begin.
    pub url: Url,
    /// The host name or address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Whether it is reached over TLS.
    pub tls: bool,
}

impl Site {
    /// Reads a URL. A name alone is taken for one over HTTPS.
    pub fn parse(text: &str) -> Result<Self, String> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let refuse = |why: &str| format!("\"{text}\" {why}. Give the address of the page: https://voice.example.com");
        let url = Url::parse(&with_scheme).map_err(|error| refuse(&format!("is no URL: {error}")))?;
        let tls = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(refuse("is neither http nor https")),
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.path() != "/" {
            return Err(refuse("has more than a host and a port"));
        }
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else { return Err(refuse("has no host")) };
        Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port, tls, url: url.clone() })
    }
}

/// Looks the addresses of a host up.
pub async fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    match timeout(STEP, lookup_host((host, port))).await {
        Err(_) => Err("the name servers do not answer".to_owned()),
        Ok(Err(error)) => Err(error.to_string()),
        Ok(Ok(found)) => {
            let mut all: Vec<SocketAddr> = Vec::new();
            for address in found.take(MAX_ADDRESSES) {
                if !all.contains(&address) {
                    all.push(address);
                }
            }
            Ok(all)
        }
    }
}

/// What the addresses of the name say.
pub fn judge(host: &str, found: &Result<Vec<SocketAddr>, String>) -> Finding {
    let fix = format!("Name service: make an A (and AAAA) record for {host} with the address of the proxy, or of this server.");
    match found {
        Ok(all) if !all.is_empty() => Finding::ok(Step::Name, format!("{host} is {}", list(all.iter().map(SocketAddr::ip)))),
        Ok(_) => Finding::broken(Step::Name, Fault::NameUnknown, format!("{host} has no address"), fix),
        Err(error) => Finding::broken(Step::Name, Fault::NameUnknown, format!("{host} has no address: {error}"), fix),
    }
}

/// From where an address can be reached, from nowhere to everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Reach {
    /// Nobody has it: unspecified, for documentation, for groups.
    Nobody,
    /// Only programs on the same machine have a way to it.
    Machine,
    /// Only machines of the same network have a way to it.
    Network,
    /// Everybody on the internet has a way to it.
    Everybody,
}

/// From where an address can be reached.
pub fn reach(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        ip if is_public(ip) => Reach::Everybody,
        ip if ip.is_loopback() => Reach::Machine,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Reach::Network,
        // Carrier-grade NAT, and what is set aside for networks under test.
        IpAddr::V4(ip) if matches!(ip.octets(), [100, 64..=127, ..] | [198, 18 | 19, ..]) => Reach::Network,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Reach::Network,
        _ => Reach::Nobody,
    }
}

/// Things in a sentence.
pub fn list(all: impl IntoIterator<Item = impl ToString>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_a_host_and_perhaps_a_port() {
        let read = |text: &str| Site::parse(text).map(|site| (site.host, site.port, site.tls)).ok();
        assert_eq!(read("voice.example.com"), Some(("voice.example.com".into(), 443, true)));
        assert_eq!(read("http://[::1]:7400/"), Some(("::1".into(), 7400, false)));
        for wrong in ["", "ftp://a", "https://a/b", "https://u:p@a", "https://a/?x", "https://"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_name_without_an_address_is_broken() {
        assert_eq!(judge("a.example", &Ok(Vec::new())).fault, Some(Fault::NameUnknown));
        assert_eq!(judge("a.example", &Err("no such name".into())).fault, Some(Fault::NameUnknown));
        assert_eq!(judge("a.example", &Ok(vec!["192.0.2.1:1".parse().expect("address")])).fault, None);
    }

    #[test]
    fn an_address_is_reached_from_everywhere_the_same_network_the_same_machine_or_nowhere() {
        let of = |text: &str| reach(text.parse().expect("an address"));
        assert_eq!((of("8.8.8.8"), of("2a00::1")), (Reach::Everybody, Reach::Everybody));
        for network in ["10.0.0.5", "192.168.1.1", "172.16.0.1", "100.64.0.1", "fd00::1", "::ffff:10.0.0.5"] {
            assert_eq!(of(network), Reach::Network, "{network}");
        }
        assert_eq!((of("127.0.0.1"), of("::1")), (Reach::Machine, Reach::Machine));
        for nobody in ["0.0.0.0", "::", "203.0.113.9", "2001:db8::1", "224.0.0.1"] {
            assert_eq!(of(nobody), Reach::Nobody, "{nobody}");
        }
    }
}
