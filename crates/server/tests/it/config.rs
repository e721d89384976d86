//! Configuration: precedence, unknown keys, wrong types, masked secrets, and the example file.

use std::path::PathBuf;

use parlor::config::{Announced, Config, ConfigError, Provider, Secret, Sources, load};
use parlor::{Options, Server};
use toml::Value;

use super::test_config;

fn sources(file: &str, env: &[(&str, &str)], flags: &[(&'static str, Value)]) -> Sources {
    let file = (!file.is_empty()).then(|| (PathBuf::from("parlor.toml"), file.to_owned()));
    Sources { file, env: env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), flags: flags.to_vec() }
}

fn error(file: &str, env: &[(&str, &str)]) -> String {
    load(&sources(file, env, &[])).expect_err("refused").to_string()
}

#[test]
fn flags_beat_environment_beats_file_beats_defaults() {
    let file = "[media]\nport = 1000\nworkers = 3\nsocket_buffer = 5\n";
    let env = [("PARLOR_MEDIA__PORT", "2000"), ("PARLOR_MEDIA__WORKERS", "4"), ("PATH", "/bin")];
    let config = load(&sources(file, &env, &[("media.port", Value::Integer(3000))])).expect("valid");
    assert_eq!((config.media.port, config.media.workers, config.media.socket_buffer), (3000, 4, 5));
    assert_eq!(config.limits, Config::default().limits);
}

#[test]
fn an_unknown_key_is_an_error_that_names_it_and_what_was_meant() {
    let said = error("[http]\nlisen = \"127.0.0.1:1\"\n", &[]);
    assert_eq!(said, "parlor.toml: there is no key \"http.lisen\". Did you mean \"http.listen\"?");
    let said = error("", &[("PARLOR_MEDIA__PROT", "1")]);
    assert_eq!(said, "the environment variable PARLOR_MEDIA__PROT: there is no key \"media.prot\". Did you mean \"PARLOR_MEDIA__PORT\"?");
    let said = error("", &[("PARLOR_AUTH_SECRET", "x")]);
    assert!(said.ends_with("Did you mean \"PARLOR_AUTH__SECRET\"?"), "one underscore instead of two: {said}");
    let said = error("", &[("PARLOR_HTTP_CORS_ORIGINS", "x")]);
    assert!(said.ends_with("Did you mean \"PARLOR_HTTP__CORS_ORIGINS\"?"), "{said}");
    assert!(error("", &[("PARLOR_ZZZ", "1")]).contains("there is no key \"zzz\""));
    assert!(error("", &[("PARLOR_LOG__LEVEL__X", "1")]).contains("log.level.x"));
    let said = error("[[channels]]\nid = \"a\"\ncolour = \"red\"\n", &[]);
    assert!(said.contains("parlor.toml") && said.contains("channels[0]") && said.contains("colour"), "{said}");
}

#[test]
fn a_wrong_type_is_an_error_that_names_key_and_origin() {
    let said = error("[media]\nport = \"many\"\n", &[]);
    assert!(said.starts_with("parlor.toml: media.port: "), "{said}");
    let said = error("", &[("PARLOR_MEDIA__PORT", "many")]);
    assert_eq!(said, "the environment variable PARLOR_MEDIA__PORT: media.port: must be a whole number");
    let said = error("", &[("PARLOR_MEDIA__ANNOUNCED_IP", "203.0.113")]);
    assert!(said.contains("PARLOR_MEDIA__ANNOUNCED_IP") && said.contains("media.announced_ip") && said.contains("203.0.113"), "{said}");
    assert!(said.ends_with("must be an IP address, as 203.0.113.9 or 2001:db8::9, or a host name, as media.example.com"), "{said}");
    let said = error("[http]\nlisten = [\"localhost:7400\"]\n", &[]);
    assert_eq!(said, "parlor.toml: http.listen: \"localhost:7400\" must be an IP address and a port, as 127.0.0.1:7400 or [::]:7400");
    assert!(error("", &[("PARLOR_MEDIA__PORT", "70000")]).contains("media.port"));
    assert!(error("", &[("PARLOR_MEDIA", "x")]).contains("is a section"));
    assert!(error("media = 1\n", &[]).contains("media"));
    assert!(error("[media\n", &[]).starts_with("parlor.toml: "));
    assert!(error("[log]\nlevel = \"loud\"\n", &[]).contains("log.level"));
    assert!(error("", &[("PARLOR_LOG__LEVEL", "info,parlor=loud")]).contains("log.level"));
}

#[test]
fn what_is_wrong_with_all_together_is_named_where_it_stands() {
    assert!(error("[media]\nworkers = 65\n", &[]).starts_with("parlor.toml: media.workers: "));
    let said = error("[media]\nworkers = 1\n", &[("PARLOR_MEDIA__WORKERS", "65")]);
    assert!(said.starts_with("the environment variable PARLOR_MEDIA__WORKERS: "), "{said}");
    let flags = [("media.workers", Value::Integer(65))];
    let refused = load(&sources("[media]\nworkers = 1\n", &[("PARLOR_MEDIA__WORKERS", "2")], &flags)).expect_err("refused");
    assert_eq!(refused.to_string(), "--media-workers: must not be over 64");
    assert!(refused.is_of_command_line());
    assert!(error("[[webhooks]]\nurl = \"x\"\nsecret = \"y\"\n", &[]).starts_with("parlor.toml: webhooks[0].url: "));
}

#[test]
fn the_turn_provider_may_be_set_by_the_names_that_others_have_too() {
    let env = [
        ("TURN_PROVIDER", "coturn"),
        ("TURN_URL", "turn:a.example.com:3478?transport=udp, turns:a.example.com"),
        ("TURN_SECRET", "from-plain"),
        ("TURN_API_KEY", ""),
        ("PARLOR_TURN__SECRET", "from-prefixed"),
    ];
    let turn = load(&sources("[turn]\nprovider = \"static\"\napi_key = \"from-file\"\n", &env, &[])).expect("valid").turn;
    assert_eq!((turn.provider, turn.urls.len()), (Provider::Coturn, 2), "stronger than the file");
    assert_eq!(turn.secret.reveal(), "from-prefixed", "weaker than the prefixed one");
    assert_eq!(turn.api_key.reveal(), "from-file", "an empty one is none");
    let said = error("", &[("TURN_PROVIDER", "stunner")]);
    assert!(said.starts_with("the environment variable TURN_PROVIDER: turn.provider: ") && said.contains("metered"), "{said}");
    let said = error("", &[("TURN_PROVIDER", "coturn"), ("TURN_URL", "http://a.example.com")]);
    assert!(said.starts_with("the environment variable TURN_URL: turn.urls: \"http://a.example.com\" is no address"), "{said}");
    let said = error("", &[("TURN_PROVIDER", "coturn"), ("TURN_URL", "turn:a.example.com")]);
    assert!(said.contains("turn.secret: must be the static-auth-secret of coturn (TURN_SECRET)"), "{said}");
    let said = error("[[ice.servers]]\nurls = \"stun:a\"\n[[ice.servers]]\nurls = [\"turn:b\", \"stun:c?transport=udp\"]\n", &[]);
    assert!(said.contains("ice.servers[1].urls: \"stun:c?transport=udp\" is no address"), "{said}");
}

#[test]
fn an_origin_that_would_never_match_is_refused_with_the_one_that_does() {
    let said = error("[http]\ncors_origins = [\"https://app.example.com/\"]\n", &[]);
    assert!(
        said.starts_with("parlor.toml: http.cors_origins: \"https://app.example.com/\"") && said.ends_with("\"https://app.example.com\""),
        "{said}"
    );
    assert!(error("", &[("PARLOR_HTTP__CORS_ORIGINS", "*")]).contains("name each site"));
}

#[tokio::test]
async fn the_error_of_a_channel_spells_its_keys_as_the_file_does() {
    let mut config = test_config();
    let file = "[[channels]]\nid = \"sea\"\nopens_at = \"2100-02-01T00:00:00Z\"\ncloses_at = \"2100-01-01T00:00:00Z\"\n";
    config.channels = load(&sources(file, &[], &[])).expect("valid each for itself").channels;
    let error = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect_err("refused").to_string();
    assert!(error.contains("\"sea\": closes_at: must be later than the moment it opens"), "{error}");
}

#[test]
fn a_flush_interval_that_would_be_heard_is_refused() {
    assert_eq!(Config::default().media.flush_interval_us, 0);
    let config = load(&sources("[media]\nflush_interval_us = 2000\n", &[], &[])).expect("valid");
    assert_eq!(config.media.flush_interval_us, 2000);
    assert!(error("[media]\nflush_interval_us = 2001\n", &[]).contains("media.flush_interval_us: must not be over 2000"));
}

#[test]
fn an_address_of_redis_is_checked_and_never_repeated() {
    for wrong in
        ["localhost:6379", "http://:hidden@host", "redis://:hidden@0.0.0.0", "rediss://:hidden@host/#insecure", "redis://:hidden@host/x"]
    {
        let said = error("", &[("PARLOR_REDIS__URL", wrong)]);
        assert!(said.starts_with("the environment variable PARLOR_REDIS__URL: redis.url: ") && !said.contains("hidden"), "{wrong}: {said}");
    }
    for fine in ["redis://host", "redis://user:hidden@[::1]:7000/3", "rediss://:hidden@host", "unix:///run/redis.sock?db=2&pass=hidden"] {
        let config = load(&sources("", &[("PARLOR_REDIS__URL", fine)], &[])).expect("valid");
        for shown in [config.to_toml().expect("prints"), format!("{config:?}")] {
            assert!(!shown.contains("hidden"), "{shown}");
        }
    }
    assert!(error("[redis]\ncall_state_ttl_s = 3\n", &[]).contains("redis.call_state_ttl_s: must be from 4 to 86400"));
}

#[test]
fn a_list_may_be_one_value_in_the_file_and_comma_separated_in_the_environment() {
    let config = load(&sources("[media]\nannounced_ip = \"192.0.2.1\"\n", &[], &[])).expect("valid");
    assert_eq!(config.media.announced_ip, ["192.0.2.1".parse::<Announced>().expect("ip")]);
    let env = [("PARLOR_MEDIA__ANNOUNCED_IP", "192.0.2.1, 2001:db8::1"), ("PARLOR_CHANNELS", "[{id = \"lobby\", banned = [\"mallory\"]}]")];
    let config = load(&sources("", &env, &[])).expect("valid");
    assert_eq!(config.media.announced_ip.len(), 2);
    assert_eq!(config.channels[0].banned[0].as_str(), "mallory");
}

#[test]
fn a_printed_configuration_shows_no_secret_and_can_be_read_again() {
    let mut config = Config::default();
    config.auth.secret = Secret::new("very-secret".into());
    let ice = "[[ice.servers]]\nurls = \"turn:x\"\ncredential = \"also-secret\"\n";
    config.ice = load(&sources(ice, &[], &[])).expect("valid").ice;
    // A line that is not TOML is not quoted.
    let said = error("[log]\nlevel = \"info\"\n[auth]\nsecret = \"very-secret\n", &[]);
    assert!(said.starts_with("parlor.toml: line 4: ") && !said.contains("very-secret"), "{said}");
    for shown in [config.to_toml().expect("prints"), format!("{config:?}")] {
        assert!(!shown.contains("very-secret") && !shown.contains("also-secret"), "{shown}");
        assert!(shown.contains("********"));
    }
    let printed = Config::default().to_toml().expect("prints");
    assert_eq!(load(&sources(&printed, &[], &[])), Ok(Config::default()));
}

#[test]
fn the_example_file_has_every_key_at_its_default() {
    let text = include_str!("../../../../deploy/parlor.example.toml");
    assert_eq!(load(&sources(text, &[], &[])), Ok(Config::default()));
    let example: toml::Table = text.parse().expect("toml");
    let mut defaults: toml::Table = Config::default().to_toml().expect("prints").parse().expect("toml");
    defaults.remove("channels");
    defaults.remove("webhooks");
    assert_eq!(example, defaults, "a key is missing in the example, or not at its default");
    // The parts that are commented out hold as well.
    let part = |begins: &str| -> Config {
        let lines = text.lines().skip_while(|line| *line != begins).take_while(|line| !line.is_empty());
        let uncommented: String = lines.map(|line| format!("{}\n", line.trim_start_matches("# "))).collect();
        load(&sources(&uncommented, &[], &[])).expect("valid")
    };
    let channels = part("# [[channels]]").channels;
    assert_eq!((channels[0].id.as_str(), channels[0].banned.len(), channels[0].owner.is_some()), ("lobby", 1, true));
    assert_eq!(part("# [[webhooks]]").webhooks[0].name(), "app");
}

#[test]
fn values_that_cannot_work_are_refused() {
    let bad = |file: &str| matches!(load(&sources(file, &[], &[])), Err(ConfigError::BadValue { .. }));
    assert!(bad("[media]\nworkers = 65\n"));
    assert!(bad("[media]\nport = 65530\n"));
    assert!(bad("[media]\nannounced_ip = \"0.0.0.0\"\n"));
    assert!(bad("[limits]\nparticipants_free = 0\n"));
    assert!(bad("[http]\ncors_origins = [\"example.com\"]\n"));
    assert!(bad("[[channels]]\nid = \"a\"\n[[channels]]\nid = \"a\"\n"));
}

#[tokio::test]
async fn a_missing_or_weak_secret_stops_the_start_with_the_way_out() {
    for secret in ["", "short", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"] {
        let mut config = test_config();
        config.auth.secret = Secret::new(secret.into());
        let error = Server::start(&config, Options::default()).await.expect_err("refused").to_string();
        assert!(error.contains("auth.secret") && error.contains("openssl rand -hex 32"), "{error}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_explained() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind");
    let mut config = test_config();
    config.http.listen = vec![taken.local_addr().expect("address")];
    let error = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect_err("refused").to_string();
    assert!(error.contains("is in use") && error.contains("--http-listen"), "{error}");
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").expect("bind");
    let mut config = test_config();
    config.media.port = taken.local_addr().expect("address").port().min(60_000);
    if config.media.port == taken.local_addr().expect("address").port() {
        let error = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect_err("refused").to_string();
        assert!(error.contains("is in use") && error.contains("--media-port"), "{error}");
    }
}

#[tokio::test]
async fn a_media_address_that_is_none_of_this_machine_is_named_with_the_key_for_it() {
    for port in [0, 61_234] {
        let mut config = test_config();
        config.media.listen_ip = vec!["203.0.113.9".parse().expect("an address")];
        config.media.port = port;
        let error = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect_err("refused");
        let error = format!("{error:#}");
        assert!(error.contains("203.0.113.9") && error.contains("media.listen_ip") && error.contains("media.announced_ip"), "{error}");
    }
}

#[test]
fn a_value_of_a_wrong_type_is_refused_without_words_of_the_parser() {
    for (file, said) in [
        ("[media]\nport = \"x\"\n", "parlor.toml: media.port: is text \"x\", and must be a whole number from 0 to 65535"),
        ("[media]\nport = 70000\n", "parlor.toml: media.port: is integer `70000`, and must be a whole number from 0 to 65535"),
        ("[[channels]]\nid = \"a\"\nspectators = 5\n", "parlor.toml: channels[0].spectators: is integer `5`, and must be true or false"),
        ("[[channels]]\nid = \"a\"\ntier = \"gold\"\n", "parlor.toml: channels[0].tier: is \"gold\", and must be \"free\" or \"pro\""),
    ] {
        let error = load(&sources(file, &[], &[])).expect_err("refused").to_string();
        assert_eq!(error, said);
    }
}

#[tokio::test]
async fn a_media_port_that_is_our_own_http_is_said_to_be_that() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("an address");
    let mut config = test_config();
    config.http.listen = vec![free];
    config.media.port = free.port();
    let error = Server::start(&config, Options { dev: true, ..Options::default() }).await.expect_err("refused").to_string();
    assert!(error.contains("the HTTP of this server itself") && !error.contains("another program"), "{error}");
}

#[test]
fn the_store_is_beside_the_configuration_unless_it_is_said_where() {
    let loaded = |path: &str, url: &str| {
        let file = Some((PathBuf::from(path), format!("[store]\nurl = \"{url}\"\n")));
        load(&Sources { file, ..Sources::default() }).expect("valid").store
    };
    assert_eq!(loaded("/etc/parlor/parlor.toml", "").effective_url(false), "sqlite:/etc/parlor/parlor.db");
    assert_eq!(loaded("parlor.toml", "").effective_url(false), "sqlite:parlor.db");
    assert_eq!(Config::default().store.effective_url(false), "sqlite:parlor.db");
    assert_eq!(Config::default().store.effective_url(true), "sqlite::memory:", "development leaves nothing behind");
    assert_eq!(loaded("x/parlor.toml", "postgres://a:b@c/d").effective_url(true), "postgres://a:b@c/d");
    assert!(!format!("{:?}", loaded("x", "postgres://a:hush@c/d")).contains("hush"));
}

#[test]
fn a_channel_can_have_everything_a_channel_has() {
    let file = "[[channels]]\nid = \"sea\"\naccess = \"invited\"\nspectators = true\nmax_spectators = 5\nowner = \"ann\"\nprivacy = \"relay\"\n\
                opens_at = \"2026-01-31T18:00:00Z\"\ncloses_at = \"2026-02-01T18:00:00Z\"\n";
    let config = load(&sources(file, &[], &[])).expect("valid");
    let channel = config.channels[0].channel();
    let day = channel.window.closes_at.zip(channel.window.opens_at).map(|(closes, opens)| closes.0 - opens.0);
    assert_eq!((channel.spectators, day, channel.owner.as_ref().map(|owner| owner.as_str())), (true, Some(86_400_000), Some("ann")));
    assert_eq!((channel.max_spectators, channel.max_participants), (Some(5), None));
    let printed = config.to_toml().expect("prints");
    assert_eq!(load(&sources(&printed, &[], &[])), Ok(config));
    assert!(error("[[channels]]\nid = \"a\"\nopens_at = \"tomorrow\"\n", &[]).contains("must look like"));
    assert!(error("[[channels]]\nid = \"a\"\naccess = \"vip\"\n", &[]).contains("vip"));
}
