//! Every denied range at both of its ends, every disguise of an IPv4 address, and what the modes allow.

use proptest::prelude::*;

use super::*;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address and a port")
}

fn policy() -> PeerPolicy {
    let media = vec![at("10.0.0.5:7401"), at("203.0.113.9:7401"), at("[fd00::5]:7401")];
    let own = vec![ip("10.0.0.5"), ip("93.184.216.1"), ip("127.0.0.1")];
    PeerPolicy::new(media, own, vec![ip("93.184.216.1"), ip("10.0.0.5"), ip("2a00::1")], 49_152..=65_535)
}

/// The first and the last address of each range that is denied.
const DENIED: &[(&str, &str)] = &[
    ("0.0.0.0", "0.255.255.255"),
    ("10.0.0.0", "10.255.255.255"),
    ("100.64.0.0", "100.127.255.255"),
    ("127.0.0.0", "127.255.255.255"),
    ("169.254.0.0", "169.254.255.255"),
    ("168.63.129.16", "168.63.129.16"),
    ("172.16.0.0", "172.31.255.255"),
    ("192.0.0.0", "192.0.0.255"),
    ("192.0.2.0", "192.0.2.255"),
    ("192.88.99.0", "192.88.99.255"),
    ("192.168.0.0", "192.168.255.255"),
    ("198.18.0.0", "198.19.255.255"),
    ("198.51.100.0", "198.51.100.255"),
    ("203.0.113.0", "203.0.113.255"),
    ("224.0.0.0", "239.255.255.255"),
    ("240.0.0.0", "255.255.255.255"),
    ("::", "::"),
    ("::1", "::1"),
    ("::7f00:1", "::ffff"),
    ("::10.0.0.1", "::255.255.255.255"),
    ("::ffff:0.0.0.0", "::ffff:255.255.255.255"),
    ("::ffff:0:0.0.0.0", "::ffff:0:255.255.255.255"),
    ("64:ff9b::", "64:ff9b::ffff:ffff"),
    ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff"),
    ("100::", "100::ffff:ffff:ffff:ffff"),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff"),
    ("2001::", "2001:0:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff"),
    ("2001:10::", "2001:2f:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:1ff::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3ffe::", "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("4000::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    ("2a00:1450:4001::5efe:a00:1", "2a00:1450:4001:0:200:5efe:a00:1"),
    ("2a00:1450:4001:0:100:5efe:a00:1", "2a00:1450:4001:0:300:5efe:a00:1"),
];

#[test]
fn no_denied_range_is_a_peer_at_either_of_its_ends() {
    for (first, last) in DENIED {
        for end in [first, last] {
            assert!(!is_public(ip(end)), "{end}");
            for mode in [Peers::Sfu, Peers::Mesh] {
                assert!(!policy().allows(mode, SocketAddr::new(ip(end), 4_000)), "{end}");
                assert!(!policy().allows_permission(mode, SocketAddr::new(ip(end), 4_000)), "{end}");
            }
        }
    }
}

#[test]
fn what_lies_beside_the_denied_ranges_is_public() {
    for public in [
        "1.0.0.0",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.255",
        "192.88.100.0",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2000::1",
        "2001:200::1",
        "2001:db7:ffff::",
        "2001:db9::1",
        "2003::1",
        "2606:4700::1",
        "2a00:1450:4001::5eff:a00:1",
        "3ffd::1",
        "3fff:1000::1",
    ] {
        assert!(is_public(ip(public)), "{public}");
        assert!(policy().allows(Peers::Mesh, SocketAddr::new(ip(public), 4_000)), "{public}");
        assert!(!policy().allows(Peers::Sfu, SocketAddr::new(ip(public), 4_000)), "{public}");
    }
}

#[test]
fn our_own_media_is_reached_at_its_exact_addresses_and_nothing_else_of_ours_is() {
    for mode in [Peers::Sfu, Peers::Mesh] {
        for media in ["10.0.0.5:7401", "203.0.113.9:7401", "[fd00::5]:7401"] {
            assert!(policy().allows(mode, at(media)));
            assert!(policy().allows_permission(mode, at(media)));
        }
        // HTTP, Redis, metrics, the database, and the TURN server itself.
        for own in ["10.0.0.5:7400", "93.184.216.1:7400", "127.0.0.1:6379", "93.184.216.1:9090", "93.184.216.1:5432", "93.184.216.1:3478"] {
            assert!(!policy().allows(mode, at(own)), "{own}");
            assert!(!policy().allows_permission(mode, at(own)), "{own}");
        }
        assert!(!policy().allows(mode, at("[::ffff:10.0.0.5]:7401")), "one way to write it is enough");
    }
}

#[test]
fn allocations_of_this_server_are_peers_of_mesh_calls_only() {
    for relayed in ["93.184.216.1:49152", "10.0.0.5:65535", "[2a00::1]:50000"] {
        assert!(policy().is_relayed(at(relayed)));
        assert!(policy().allows(Peers::Mesh, at(relayed)));
        assert!(!policy().allows(Peers::Sfu, at(relayed)));
    }
    assert!(!policy().allows(Peers::Mesh, at("93.184.216.1:49151")));
    let media = PeerPolicy::new(vec![at("10.0.0.5:50000")], Vec::new(), vec![ip("10.0.0.5")], 49_152..=65_535);
    assert!(media.is_relayed(at("10.0.0.5:50001")) && !media.is_relayed(at("10.0.0.5:50000")), "a media port in the same range");
}

#[test]
fn a_permission_that_names_no_port_is_for_an_address_with_something_that_may_be_reached() {
    assert!(policy().allows_permission(Peers::Sfu, at("10.0.0.5:0")));
    assert!(policy().allows_permission(Peers::Mesh, at("93.184.216.1:0")));
    assert!(policy().allows_permission(Peers::Mesh, at("8.8.8.8:0")));
    for denied in ["127.0.0.1:0", "192.168.0.1:0", "[::1]:0"] {
        assert!(!policy().allows_permission(Peers::Mesh, at(denied)));
    }
    assert!(!policy().allows_permission(Peers::Sfu, at("8.8.8.8:0")));
    assert!(!policy().allows(Peers::Mesh, at("8.8.8.8:0")), "nothing is sent to port 0");
}

#[test]
fn the_services_of_strangers_are_no_peers() {
    for (peer, allowed) in [("8.8.8.8:53", false), ("8.8.8.8:1023", false), ("8.8.8.8:1024", true), ("[2a00::8]:443", false)] {
        assert_eq!(policy().allows(Peers::Mesh, at(peer)), allowed, "{peer}");
        assert_eq!(policy().allows_permission(Peers::Mesh, at(peer)), allowed, "{peer}");
    }
    let low_media = PeerPolicy::new(vec![at("93.184.216.9:443")], Vec::new(), Vec::new(), 49_152..=65_535);
    assert!(low_media.allows(Peers::Sfu, at("93.184.216.9:443")), "media of our own is where we say it is");
}

#[test]
fn what_the_operator_denies_is_no_peer_but_for_our_own_media_in_it() {
    let denied = ["8.8.8.0/24", "203.0.113.0/24", "2a00:1::/32"].map(|network| network.parse().expect("a network"));
    let policy = policy().denying(denied.to_vec());
    for (peer, allowed) in [
        ("8.8.8.8:4000", false),
        ("8.8.9.8:4000", true),
        ("[2a00:1::5]:4000", false),
        ("[2a00:2::5]:4000", true),
        ("203.0.113.9:7401", true),
    ] {
        assert_eq!(policy.allows(Peers::Mesh, at(peer)), allowed, "{peer}");
        assert_eq!(policy.allows_permission(Peers::Mesh, at(peer)), allowed, "{peer}");
    }
    assert!(!policy.allows_permission(Peers::Mesh, at("8.8.8.8:0")));
}

proptest! {
    #[test]
    fn no_ipv4_address_hides_in_an_ipv6_one(bits in any::<u32>(), network in any::<u64>()) {
        let v4 = Ipv4Addr::from_bits(bits);
        let low = u128::from(bits);
        let forms = [
            low,
            0xffff_0000_0000 | low,
            0xffff_0000_0000_0000 | low,
            0x0064_ff9b << 96 | low,
            0x0064_ff9b_0001 << 80 | low,
            0x2002 << 112 | low << 80,
            0x2001_0000 << 96 | low << 64,
            0x2001_0000 << 96 | u128::from(!bits),
            u128::from(network) << 64 | 0x5efe << 32 | low,
            u128::from(network) << 64 | 0x0200_5efe << 32 | low,
        ];
        for form in forms {
            let disguised = Ipv6Addr::from_bits(form);
            prop_assert!(!is_public(disguised.into()), "{v4} as {disguised}");
        }
    }

    #[test]
    fn an_ipv4_address_is_public_exactly_if_no_denied_network_has_it(bits in any::<u32>()) {
        let ip = Ipv4Addr::from_bits(bits);
        let denied = DENIED_V4.iter().any(|(network, length)| {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            bits & mask == network.to_bits()
        });
        prop_assert_eq!(is_public(ip.into()), !denied);
        if ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() || ip.is_documentation() {
            prop_assert!(!is_public(ip.into()));
        }
    }
}
