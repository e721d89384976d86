//! Tests of what clients are told: by provider, by privacy, and for how long.

use parlor_proto::ChannelId;

use super::*;
use crate::config::{Sources, load};

const NOW: Timestamp = Timestamp(1_772_388_000_900);
const ANNOUNCED: [&str; 4] = ["127.0.0.1:7401", "192.0.2.7:7401", "[::1]:7401", "[2001:db8::7]:7401"];
const SIGNED: &str = "[turn]\nprovider = \"coturn\"\nsecret = \"0123456789abcdef\"\n";
const COTURN: &str = "urls = [\"turn:turn.example.com:3478?transport=udp\", \"turns:turn.example.com:5349\"]\n";

fn ice(file: &str) -> Ice {
    let config = load(&Sources { file: Some(("parlor.toml".into(), file.into())), ..Sources::default() }).expect("valid");
    let announced = ANNOUNCED.map(|address| address.parse().expect("an address"));
    Ice::new(&config, &announced).expect("can be used")
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
    let signer = ice.signer().expect("signs");
    assert_eq!(signer.passwords(name).next(), server.credential, "what the server itself would compute");
    let any = ice.for_user(&alice(), NOW).await;
    assert_eq!(any.rtc_config.ice_servers[0].username.as_deref(), Some("1772474400:alice"));
}

#[tokio::test]
async fn addresses_of_the_embedded_server_can_be_configured() {
    let ice = ice("[turn]\nprovider = \"embedded\"\nurls = \"turns:turn.example.com:443?transport=tcp\"\n");
    assert_eq!(urls(&in_call(&ice, Privacy::Standard).await), ["turns:turn.example.com:443?transport=tcp"]);
    assert_eq!(
        own_urls(&["127.0.0.1:1".parse().expect("an address")], &Turn::default())[0],
        "turn:127.0.0.1:3478?transport=udp",
        "in development"
    );
}
