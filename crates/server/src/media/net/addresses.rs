//! Chooses the addresses that media sockets are bound to, and the addresses that clients are told.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::media::told::Told;

/// The most addresses to bind. A candidate costs every client a check; on a machine with more interfaces,
/// `media.listen_ip` says which to use.
const MAX_BINDINGS: usize = 16;

/// One address to bind, and the addresses under which clients know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Binding {
    /// The address the sockets are bound to.
    pub bind: IpAddr,
    /// The addresses clients are told; never empty. What arrives at this binding is taken to have been sent to the first.
    pub announced: Vec<IpAddr>,
}

/// Chooses bindings from the interface addresses and the configuration.
#[must_use]
pub fn plan(interfaces: &[IpAddr], listen: &[IpAddr], told: &Told) -> Vec<Binding> {
    let Told { ips: announced, moves } = told;
    let mut bindings = match (listen, announced.as_slice()) {
        ([], []) => each(preferred_first(interfaces)),
        (_, []) => each(expand(listen, interfaces)),
        ([], _) if !moves && announced.iter().all(|ip| interfaces.contains(ip)) => each(announced.clone()),
        // Behind NAT the announced address is on no interface, or may become one that is on none: media is accepted on every address.
        ([], _) => assign(&[IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)], announced),
        _ => assign(listen, announced),
    };
    bindings.truncate(MAX_BINDINGS);
    bindings
}

/// The addresses of this machine that media can use.
pub fn interface_addresses() -> std::io::Result<Vec<IpAddr>> {
    let mut found = Vec::new();
    for interface in nix::ifaddrs::getifaddrs()? {
        let Some(address) = interface.address else { continue };
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => IpAddr::V4(v4.ip()),
            (_, Some(v6)) => IpAddr::V6(v6.ip()),
            _ => continue,
        };
        if interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP) && usable(ip) && !found.contains(&ip) {
            found.push(ip);
        }
    }
    Ok(found)
}

/// Whether a candidate can carry the address: a link-local one needs a scope, which a candidate has no place for.
const fn usable(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => !v4.is_link_local() && !v4.is_unspecified(),
        IpAddr::V6(v6) => !v6.is_unicast_link_local() && !v6.is_unspecified(),
    }
}

/// Puts interface addresses before loopback: a browser on another machine would waste its first checks on 127.0.0.1,
/// and Firefox does not use loopback at all.
fn preferred_first(interfaces: &[IpAddr]) -> Vec<IpAddr> {
    let mut list = interfaces.to_vec();
    list.sort_by_key(|ip| (ip.is_loopback(), ip.is_ipv6()));
    list
}

fn each(addresses: Vec<IpAddr>) -> Vec<Binding> {
    addresses.into_iter().map(|ip| Binding { bind: ip, announced: vec![ip] }).collect()
}

/// Replaces `0.0.0.0` and `::` by every interface address of their family.
fn expand(listen: &[IpAddr], interfaces: &[IpAddr]) -> Vec<IpAddr> {
    let mut list = Vec::new();
    for ip in listen {
        let meant = if ip.is_unspecified() {
            preferred_first(interfaces).into_iter().filter(|i| i.is_ipv4() == ip.is_ipv4()).collect()
        } else {
            vec![*ip]
        };
        for ip in meant {
            if !list.contains(&ip) {
                list.push(ip);
            }
        }
    }
    list
}

/// Gives each announced address a bound one of its family: the first to the first, and so on, the rest to the last.
fn assign(listen: &[IpAddr], announced: &[IpAddr]) -> Vec<Binding> {
    let mut bindings: Vec<Binding> = Vec::new();
    for v4 in [true, false] {
        let bound: Vec<IpAddr> = listen.iter().copied().filter(|ip| ip.is_ipv4() == v4).collect();
        for (n, ip) in announced.iter().filter(|ip| ip.is_ipv4() == v4).enumerate() {
            let Some(bind) = bound.get(n).or(bound.last()) else { continue };
            match bindings.iter_mut().find(|b| b.bind == *bind) {
                Some(binding) => binding.announced.push(*ip),
                None => bindings.push(Binding { bind: *bind, announced: vec![*ip] }),
            }
        }
    }
    bindings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().expect("address")).collect()
    }

    fn planned(interfaces: &[&str], listen: &[&str], announced: &[&str]) -> Vec<(String, Vec<String>)> {
        plan(&ips(interfaces), &ips(listen), &Told { ips: ips(announced), moves: false })
            .into_iter()
            .map(|b| (b.bind.to_string(), b.announced.iter().map(ToString::to_string).collect()))
            .collect()
    }

    fn same(ip: &str) -> (String, Vec<String>) {
        (ip.to_owned(), vec![ip.to_owned()])
    }

    #[test]
    fn by_default_every_interface_is_used_and_loopback_comes_last() {
        let plan = planned(&["127.0.0.1", "::1", "2001:db8::1", "192.0.2.1"], &[], &[]);
        assert_eq!(plan, [same("192.0.2.1"), same("2001:db8::1"), same("127.0.0.1"), same("::1")]);
    }

    #[test]
    fn a_wildcard_to_listen_on_stands_for_the_interfaces_of_its_family() {
        assert_eq!(planned(&["127.0.0.1", "::1", "192.0.2.1"], &["0.0.0.0"], &[]), [same("192.0.2.1"), same("127.0.0.1")]);
    }

    #[test]
    fn an_announced_address_of_an_interface_is_bound_itself() {
        assert_eq!(planned(&["127.0.0.1", "192.0.2.1"], &[], &["192.0.2.1"]), [same("192.0.2.1")]);
    }

    #[test]
    fn an_address_that_may_become_another_is_heard_everywhere() {
        let told = Told { ips: ips(&["192.0.2.1"]), moves: true };
        let plan = plan(&ips(&["127.0.0.1", "192.0.2.1"]), &[], &told);
        assert_eq!(plan, [Binding { bind: Ipv4Addr::UNSPECIFIED.into(), announced: ips(&["192.0.2.1"]) }]);
    }

    #[test]
    fn an_announced_address_of_no_interface_is_heard_everywhere() {
        let plan = planned(&["10.0.0.5"], &[], &["203.0.113.9", "10.0.0.5"]);
        assert_eq!(plan, [("0.0.0.0".to_owned(), vec!["203.0.113.9".to_owned(), "10.0.0.5".to_owned()])]);
    }

    #[test]
    fn bound_and_announced_addresses_go_together_in_order() {
        let plan = planned(&[], &["10.0.0.5", "10.0.0.6"], &["203.0.113.9", "203.0.113.10"]);
        assert_eq!(plan, [("10.0.0.5".into(), vec!["203.0.113.9".into()]), ("10.0.0.6".into(), vec!["203.0.113.10".into()])]);
    }
}
