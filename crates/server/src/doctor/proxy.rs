//! Whether the server sees who asks, or only the proxy in between: then everybody counts as one, and shares one limit.

use std::net::IpAddr;

use serde_json::Value;

use super::address::{Reach, list, reach};
use super::finding::{Fault, Finding, Step};
use super::web::{Page, shown};
use crate::net::source::site;

/// What the server says of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Whom it takes the request to be from.
    pub address: IpAddr,
    /// What became of `X-Forwarded-For`.
    pub forwarded: Forwarded,
}

/// What became of `X-Forwarded-For`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Forwarded {
    /// There was none.
    None,
    /// It is not believed.
    Ignored,
    /// It is believed.
    Believed,
}

/// Reads the answer to `GET /api/voice/connection`.
pub fn read(page: &Page) -> Option<(Seen, Value)> {
    let value: Value = serde_json::from_str(&page.body).ok().filter(|_| page.status == 200)?;
    let address = value.get("address")?.as_str()?.parse().ok()?;
    let forwarded = match value.get("forwarded")?.as_str()? {
        "none" => Forwarded::None,
        "ignored" => Forwarded::Ignored,
        "believed" => Forwarded::Believed,
        _ => return None,
    };
    Some((Seen { address, forwarded }, value))
}

/// What the server's picture says. `ours` are the addresses of this machine, as far as they are known: its own end of the connection,
/// and those that media ports and STUN servers saw.
pub fn judge(seen: Option<Seen>, ours: &[IpAddr], reached: &[IpAddr]) -> Finding {
    let Some(Seen { address, forwarded }) = seen else {
        return Finding::skipped(Step::Proxy, "the server does not say whom it sees (GET /api/voice/connection)");
    };
    let is_ours = ours.iter().any(|ours| site(*ours) == site(address));
    let told = format!("Parlor takes this machine for {}", shown(&address.to_string()));
    if forwarded == Forwarded::Ignored {
        let fix = format!(
            "Parlor: it does not trust the proxy that says whom it serves, so that all people share one limit. Set api.trusted_proxies = \
             [\"{address}\"] (PARLOR_API__TRUSTED_PROXIES={address})."
        );
        return Finding::broken(Step::Proxy, Fault::ProxyNotTrusted, format!("{told}, and ignores X-Forwarded-For"), fix);
    }
    if is_ours {
        return Finding::ok(Step::Proxy, told);
    }
    let comparable = |ours: &IpAddr| ours.is_ipv4() == address.is_ipv4() && reach(*ours) == Reach::Everybody;
    if reach(address) == Reach::Everybody && !ours.iter().any(comparable) {
        return Finding::skipped(Step::Proxy, format!("{told}, and nothing says whether that is right"));
    }
    let here = reached.iter().map(|ip| reach(*ip)).max().unwrap_or(Reach::Everybody);
    let seen = if ours.is_empty() { told } else { format!("{told}, which is {}", list(ours)) };
    // Who has two ways out of their network is seen at two public addresses, and no proxy is to blame.
    if reach(address) == Reach::Everybody && forwarded == Forwarded::None && here == Reach::Everybody {
        let fix = "Proxy: if one with a public address stands before Parlor, it does not send X-Forwarded-For. If there is none, this machine has \
                   another way out for UDP, and all is well.";
        return Finding::warning(Step::Proxy, Fault::ProxyHidesAddress, seen, fix);
    }
    let fix = match forwarded {
        Forwarded::Believed => format!("Proxy: the first of several is not trusted. Add {address} to api.trusted_proxies of Parlor."),
        _ => "Proxy: it does not say whom it serves, so that all people share one limit. Have it send X-Forwarded-For (nginx: proxy_set_header \
              X-Forwarded-For $proxy_add_x_forwarded_for), and name it in api.trusted_proxies of Parlor."
            .to_owned(),
    };
    Finding::broken(Step::Proxy, Fault::ProxyHidesAddress, seen, fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_to_say_whom_it_serves_and_to_be_believed() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let fault =
            |address: &str, forwarded, ours: &[IpAddr]| judge(Some(Seen { address: ip(address), forwarded }), ours, &[ip("8.8.8.8")]).fault;
        let ours = [ip("192.168.1.7"), ip("9.9.9.9")];
        assert_eq!(fault("9.9.9.9", Forwarded::Believed, &ours), None);
        assert_eq!(fault("9.9.9.9", Forwarded::None, &ours), None, "no proxy at all");
        assert_eq!(fault("10.0.0.2", Forwarded::Ignored, &ours), Some(Fault::ProxyNotTrusted));
        assert_eq!(fault("10.0.0.2", Forwarded::None, &ours), Some(Fault::ProxyHidesAddress));
        assert_eq!(fault("10.0.0.2", Forwarded::Believed, &ours), Some(Fault::ProxyHidesAddress));
        assert_eq!(fault("10.0.0.2", Forwarded::None, &[]), Some(Fault::ProxyHidesAddress));
        assert_eq!(fault("9.9.9.9", Forwarded::Believed, &[ip("192.168.1.7")]), None, "behind a NAT, and nothing to compare with");
        assert_eq!(judge(None, &ours, &[]).fault, None);
        let other = judge(Some(Seen { address: ip("9.9.9.8"), forwarded: Forwarded::None }), &ours, &[ip("8.8.8.8")]);
        assert_eq!(other.verdict, super::super::finding::Verdict::Warning, "two ways out");
        let v6 = [ip("2a00:1:2:3::7")];
        assert_eq!(fault("2a00:1:2:3::", Forwarded::Believed, &v6), None, "a site counts as one");
    }

    #[test]
    fn an_answer_that_is_none_is_nothing() {
        let page = |status, body: &str| read(&Page::new(status, body)).map(|(seen, _)| seen);
        let expected = Seen { address: IpAddr::from([10, 0, 0, 2]), forwarded: Forwarded::Ignored };
        assert_eq!(page(200, r#"{"address":"10.0.0.2","forwarded":"ignored","media":[]}"#), Some(expected));
        for (status, body) in [(404, r#"{"address":"10.0.0.2","forwarded":"ignored"}"#), (200, "ok"), (200, r#"{"address":7}"#)] {
            assert_eq!(page(status, body), None, "{body}");
        }
    }
}
