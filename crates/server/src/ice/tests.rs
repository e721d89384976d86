//! Tests of what clients are told: by provider, by privacy, and for how long.

use parlor_proto::ChannelId;

use parlor_proto::Privacy;

use super::*;
use crate::config::{Sources, load};

const NOW: Timestamp = Timestamp(1_772_388_000_900);
const ANNOUNCED: [&str; 4] = ["127.0.0.1:7401", "192.0.2.7:7401", "[::1]:7401", "[2001:db8::7]:7401"];
const SIGNED: &str = "[turn]\nprovider = \"coturn\"\nsecret = \"0123456789abcdef\"\n";
const COTURN: &str = "urls = [\"turn:turn.example.com:3478?transport=udp\", \"turns:turn.example.com:5349\"]\n";

fn ice(file: &str) -> Ice {
    in_mode(file, false)
}

fn in_mode(file: &str, dev: bool) -> Ice {
    let config = load(&Sources { file: Some(("parlor.toml".into(), file.into())), ..Sources::default() }).expect("valid");
    let mut ice = Ice::new(&config, dev).expect("can be used");
    let listening = ["127.0.0.1:5001", "192.0.2.7:3478", "[2001:db8::7]:3478"];
    ice.is_reached_at(&config.media.announced_ip, &addresses(&ANNOUNCED), &addresses(&listening)).expect("has an address");
    ice
}

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|address| address.parse().expect("an address")).collect()
}

fn alice() -> UserId {
    UserId::new("alice").expect("an id")
}

fn channel(privacy: Privacy) -> Channel {
    Channel { privacy, ..Channel::new(ChannelId::new("lobby").expect("an id"), "The lobby") }
}

fn urls(setup: &IceSetup) -> Vec<&str> {
    setup.rtc_config.ice_servers.iter().flat_map(|server| &server.urls).map(String::as_str).collect()
}

async fn in_call(ice: &Ice, privacy: Privacy) -> IceSetup {
    ice.for_call(&channel(privacy), &alice(), NOW).await
}

#[tokio::test]
async fn without_a_provider_there_is_stun_only_and_nothing_ends() {
    let told = in_call(&ice("[[ice.servers]]\nurls = \"stun:stun.example.com\"\n"), Privacy::Standard).await;
    assert_eq!(urls(&told), ["stun:stun.example.com"]);
    assert_eq!((told.turn_credential_expires_at, told.turn_credential_ttl), (None, None));
    assert_eq!(in_call(&ice(""), Privacy::Standard).await, IceSetup::default());
}

#[tokio::test]
async fn coturn_gets_a_credential_for_an_hour_in_a_call_and_for_a_day_otherwise() {
    let ice = ice(&format!("{SIGNED}{COTURN}"));
    let told = in_call(&ice, Privacy::Standard).await;
    assert_eq!(urls(&told), ["turn:turn.example.com:3478?transport=udp", "turns:turn.example.com:5349", "stun:turn.example.com:3478"]);
    let server = &told.rtc_config.ice_servers[0];
    assert_eq!(server.username.as_deref(), Some("1772391600:alice"));
    assert!(server.credential.is_some());
    assert_eq!(told.turn_credential_expires_at.as_deref(), Some("2026-03-01T19:00:00Z"));
    assert_eq!(told.turn_credential_ttl, Some(3_600));
    let told = ice.for_user(&alice(), NOW).await;
    assert_eq!(told.turn_credential_expires_at.as_deref(), Some("2026-03-02T18:00:00Z"));
}

#[tokio::test]
async fn in_privacy_mode_nothing_but_relays_is_told() {
    let own = "[[ice.servers]]\nurls = [\"stun:stun.example.com\", \"turn:other.example.com\"]\nusername = \"u\"\ncredential = \"p\"\n\
               [[ice.servers]]\nurls = \"stun:stun.example.com\"\n";
    let ice = ice(&format!("{own}{SIGNED}{COTURN}"));
    let told = in_call(&ice, Privacy::Relay).await;
    assert_eq!(told.rtc_config.ice_transport_policy, IceTransportPolicy::Relay);
    assert_eq!(urls(&told), ["turn:other.example.com", "turn:turn.example.com:3478?transport=udp", "turns:turn.example.com:5349"]);
    let open = in_call(&ice, Privacy::Standard).await;
    assert_eq!(open.rtc_config.ice_transport_policy, IceTransportPolicy::All);
    assert_eq!(urls(&open).iter().filter(|url| url.starts_with("stun:")).count(), 2, "those of the configuration, and no more");
}

#[tokio::test]
async fn the_operator_can_have_privacy_everywhere() {
    let ice = ice(&format!("[ice]\ntransport_policy = \"relay\"\n{SIGNED}{COTURN}"));
    for told in [in_call(&ice, Privacy::Standard).await, ice.for_user(&alice(), NOW).await] {
        assert_eq!(told.rtc_config.ice_transport_policy, IceTransportPolicy::Relay);
        assert!(urls(&told).iter().all(|url| url.starts_with("turn")), "{:?}", urls(&told));
    }
}

#[tokio::test]
async fn one_name_and_password_for_everybody_never_end() {
    let ice = ice(&format!("[turn]\nprovider = \"static\"\nusername = \"u\"\ncredential = \"p\"\n{COTURN}"));
    let told = in_call(&ice, Privacy::Standard).await;
    let server = &told.rtc_config.ice_servers[0];
    assert_eq!((server.username.as_deref(), server.credential.as_deref()), (Some("u"), Some("p")));
    assert_eq!((told.turn_credential_expires_at, told.turn_credential_ttl), (None, None));
}

#[tokio::test]
async fn the_embedded_server_is_at_this_servers_own_addresses_and_learns_the_kind_of_call() {
    let ice = ice("[turn]\nprovider = \"embedded\"\n");
    let told = in_call(&ice, Privacy::Relay).await;
    let expected = ["192.0.2.7:3478?transport=udp", "192.0.2.7:3478?transport=tcp", "[2001:db8::7]:3478?transport=udp"];
    assert_eq!(urls(&told)[..3], expected.map(|address| format!("turn:{address}")));
    let server = &told.rtc_config.ice_servers[0];
    let name = server.username.as_deref().expect("a name");
    assert_eq!(name, "1772391600:alice:sfu");
    let signer = ice.embedded().expect("signs");
    assert_eq!(signer.passwords(name).next(), server.credential, "what the server itself would compute");
    let any = ice.for_user(&alice(), NOW).await;
    assert_eq!(any.rtc_config.ice_servers[0].username.as_deref(), Some("1772474400:alice:any"));
}

#[tokio::test]
async fn addresses_of_the_embedded_server_can_be_configured() {
    let ice = ice("[turn]\nprovider = \"embedded\"\nurls = \"turns:turn.example.com:443?transport=tcp\"\n");
    assert_eq!(urls(&in_call(&ice, Privacy::Standard).await), ["turns:turn.example.com:443?transport=tcp"]);
}

#[test]
fn the_port_of_the_embedded_server_is_that_on_the_address_that_is_told() {
    let told = |announced: &[&str], listening: &[&str]| own_urls(&addresses(announced), &addresses(listening)).into_iter().next();
    let listening = ["10.0.0.5:3478", "127.0.0.1:5001"];
    assert_eq!(told(&["127.0.0.1:1"], &listening).as_deref(), Some("turn:127.0.0.1:5001?transport=udp"));
    assert_eq!(told(&["203.0.113.9:1"], &listening).as_deref(), Some("turn:203.0.113.9:3478?transport=udp"), "behind NAT");
    assert_eq!(told(&["[::1]:1"], &listening), None, "it does not listen there");
}

#[tokio::test]
async fn the_embedded_server_of_a_machine_with_a_name_is_told_by_it() {
    let ice = ice("[media]\nannounced_ip = [\"2001:db8::7\", \"media.example.com\"]\n[turn]\nprovider = \"embedded\"\n");
    let told = in_call(&ice, Privacy::Relay).await;
    assert_eq!(urls(&told), ["turn:media.example.com:5001?transport=udp", "turn:media.example.com:5001?transport=tcp"]);
}

#[tokio::test]
async fn a_development_server_relays_itself_for_who_may_use_nothing_else() {
    let dev = in_mode("", true);
    assert_eq!(in_call(&dev, Privacy::Standard).await, IceSetup::default());
    assert_eq!(urls(&in_call(&dev, Privacy::Relay).await)[0], "turn:192.0.2.7:3478?transport=udp");
    assert_eq!(urls(&dev.for_user(&alice(), NOW).await)[0], "turn:192.0.2.7:3478?transport=udp");
    let everywhere = in_mode("[ice]\ntransport_policy = \"relay\"\n", true);
    assert!(!urls(&in_call(&everywhere, Privacy::Standard).await).is_empty());
    for (file, dev) in [("[turn]\nprovider = \"none\"\n", true), ("", false)] {
        let ice = in_mode(file, dev);
        assert!(ice.embedded().is_none() && urls(&in_call(&ice, Privacy::Relay).await).is_empty(), "{file}");
    }
}
