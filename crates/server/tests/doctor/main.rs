//! `parlor doctor` on deployments that are broken, each in its way: it names the hop that is to blame, and no other.
//!
//! The deployments are real: hosts in network namespaces, a proxy, a NAT, a firewall, coturn.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod proxy;
mod strangers;
mod world;

use self::proxy::{GOOD, Manners};
use self::world::{Certificate, NAME, TURN_SECRET, World, inside};

const URL: &str = "https://voice.example.com";

/// Everything as it should be, but for the proxy's manners and the configuration.
async fn deploy(world: &mut World, manners: Manners, changes: &[(&str, &str)]) {
    proxy::start(&Certificate::fitting(NAME), manners).await;
    world.parlor(changes).await;
}

/// A deployment without TURN, which is warned of, for what has nothing to do with it.
const WITHOUT_TURN: [(&str, &str); 3] = [("turn.provider", "\"none\""), ("turn.urls", "[]"), ("turn.secret", "\"\"")];

#[test]
fn nothing_is_wrong_with_a_deployment_that_is_set_up_as_it_should_be() {
    inside("nothing_is_wrong_with_a_deployment_that_is_set_up_as_it_should_be", async |mut world| {
        deploy(&mut world, GOOD, &[]).await;
        world.coturn(TURN_SECRET, &[]).await;
        let found = world.doctor(URL).await;
        found.are_warnings(&[]);
        assert_eq!((found.skipped(), found.with("ok").len()), (0, 17), "every step is tried, and each address of the TURN server");
    });
}

#[test]
fn a_name_without_an_address_and_a_port_without_anybody() {
    inside("a_name_without_an_address_and_a_port_without_anybody", async |world| {
        world.doctor("https://nowhere.example.com").await.are_broken(&["name-unknown"], "record");
        let found = world.doctor(URL).await;
        found.are_broken(&["port-closed"], "443/tcp");
        assert_eq!(found.skipped(), 12, "nothing is asked of who is not there");
        // The visitor's own wall, because the port is the router's own.
        world.rule("own tcp sport 443 drop");
        world.doctor(URL).await.are_broken(&["port-silent"], "Firewall");
    });
}

#[test]
fn a_proxy_that_does_not_reach_parlor() {
    inside("a_proxy_that_does_not_reach_parlor", async |world| {
        proxy::start(&Certificate::fitting(NAME), GOOD).await;
        world.doctor(URL).await.are_broken(&["proxy-without-server"], "http.listen");
    });
}

#[test]
fn a_certificate_that_has_expired() {
    inside("a_certificate_that_has_expired", async |world| {
        proxy::start(&Certificate::expired(NAME), GOOD).await;
        world.doctor(URL).await.are_broken(&["tls-expired"], "renew");
    });
}

#[test]
fn a_certificate_for_another_name() {
    inside("a_certificate_for_another_name", async |world| {
        proxy::start(&Certificate::fitting("www.example.com"), GOOD).await;
        world.doctor(URL).await.are_broken(&["tls-other-name"], "for this name");
    });
}

#[test]
fn a_certificate_that_nobody_trusts() {
    inside("a_certificate_that_nobody_trusts", async |world| {
        proxy::start(&Certificate::strange(NAME), GOOD).await;
        world.doctor(URL).await.are_broken(&["tls-untrusted"], "fullchain.pem");
    });
}

#[test]
fn a_proxy_that_passes_no_websocket_on() {
    inside("a_proxy_that_passes_no_websocket_on", async |mut world| {
        deploy(&mut world, Manners { upgrades: false, ..GOOD }, &WITHOUT_TURN).await;
        world.doctor(URL).await.are_broken(&["no-upgrade"], "proxy_set_header Upgrade");
    });
}

#[test]
fn a_clock_that_is_wrong() {
    inside("a_clock_that_is_wrong", async |mut world| {
        deploy(&mut world, Manners { date: Some("Mon, 01 Jan 2024 00:00:00 GMT"), ..GOOD }, &WITHOUT_TURN).await;
        world.doctor(URL).await.are_broken(&["clocks-differ"], "timedatectl");
    });
}

#[test]
fn a_token_of_another_secret() {
    inside("a_token_of_another_secret", async |mut world| {
        deploy(&mut world, GOOD, &WITHOUT_TURN).await;
        let other = [("auth.secret", "\"0123456789abcdef0123456789abcdef-another\"")];
        world.doctor_with(URL, &other).await.are_broken(&["token-refused"], "auth.secret");
    });
}

#[test]
fn a_proxy_that_is_not_trusted() {
    inside("a_proxy_that_is_not_trusted", async |mut world| {
        let changes = [&WITHOUT_TURN[..], &[("api.trusted_proxies", "[]")]].concat();
        deploy(&mut world, GOOD, &changes).await;
        world.doctor(URL).await.are_broken(&["proxy-not-trusted"], "api.trusted_proxies = [\"10.0.0.1\"]");
    });
}

#[test]
fn a_proxy_that_does_not_say_whom_it_serves() {
    inside("a_proxy_that_does_not_say_whom_it_serves", async |mut world| {
        deploy(&mut world, Manners { forwards: false, ..GOOD }, &WITHOUT_TURN).await;
        world.doctor(URL).await.are_broken(&["proxy-hides-address"], "X-Forwarded-For");
    });
}

#[test]
fn a_nat_that_parlor_does_not_know_of() {
    inside("a_nat_that_parlor_does_not_know_of", async |mut world| {
        let changes = [&WITHOUT_TURN[..], &[("media.announced_ip", "[]")]].concat();
        deploy(&mut world, GOOD, &changes).await;
        world.doctor(URL).await.are_broken(&["announced-unreachable"], "media.announced_ip");
    });
}

#[test]
fn a_firewall_that_lets_no_udp_through() {
    inside("a_firewall_that_lets_no_udp_through", async |mut world| {
        deploy(&mut world, GOOD, &WITHOUT_TURN).await;
        world.rule("through udp dport 7401 drop");
        world.doctor(URL).await.are_broken(&["udp-silent"], "7401/udp");
    });
}

#[test]
fn a_firewall_that_lets_no_media_over_tcp_through() {
    inside("a_firewall_that_lets_no_media_over_tcp_through", async |mut world| {
        deploy(&mut world, GOOD, &WITHOUT_TURN).await;
        world.rule("through tcp dport 7401 drop");
        world.doctor(URL).await.are_warnings(&["tcp-silent", "no-turn"]);
    });
}

#[test]
fn a_turn_server_that_is_not_there() {
    inside("a_turn_server_that_is_not_there", async |mut world| {
        deploy(&mut world, GOOD, &[]).await;
        world.doctor(URL).await.are_broken(&["turn-silent"; 4], "Host of the TURN server");
    });
}

#[test]
fn a_turn_server_with_another_secret() {
    inside("a_turn_server_with_another_secret", async |mut world| {
        deploy(&mut world, GOOD, &[]).await;
        world.coturn("another secret than Parlor has", &[]).await;
        world.doctor(URL).await.are_broken(&["turn-refused"; 3], "static-auth-secret");
    });
}

#[test]
fn a_turn_server_that_does_not_relay_to_parlor() {
    inside("a_turn_server_that_does_not_relay_to_parlor", async |mut world| {
        deploy(&mut world, GOOD, &[]).await;
        world.coturn(TURN_SECRET, &["--denied-peer-ip=11.22.33.44"]).await;
        world.doctor(URL).await.are_broken(&["turn-denies-media"; 3], "denied-peer-ip");
    });
}

#[test]
fn a_turn_server_whose_relayed_packets_go_nowhere() {
    inside("a_turn_server_whose_relayed_packets_go_nowhere", async |mut world| {
        deploy(&mut world, GOOD, &[]).await;
        world.coturn(TURN_SECRET, &[]).await;
        world.rule("own ip saddr 11.22.33.45 udp dport 7401 drop");
        world.doctor(URL).await.are_broken(&["turn-relays-nothing"; 3], "49152-65535/udp");
    });
}

#[test]
fn privacy_mode_without_a_relay() {
    inside("privacy_mode_without_a_relay", async |mut world| {
        let changes = [&WITHOUT_TURN[..], &[("channels", "[{ id = \"lobby\", privacy = \"relay\" }]")]].concat();
        deploy(&mut world, GOOD, &changes).await;
        world.doctor(URL).await.are_broken(&["no-turn"], "turn.provider");
    });
}
