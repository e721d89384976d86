//! The command line of `parlor`: its commands, their options, and the log.

mod ban;
mod channel;
mod channel_fields;
mod doctor;
mod ending;
mod key;
mod load;
mod member;
mod output;
mod records;
mod seat;
mod serve;
mod token;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use toml::Value;
use tracing_subscriber::filter::{FilterExt as _, LevelFilter, Targets};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use self::load::load;
use crate::Options;
use crate::config::{self, Config};

pub use output::exit_code;

const ABOUT: &str = "Parlor: voice and video rooms on your own server. One binary: signaling, media and web app.";

const EXAMPLES: &str = "\
Examples:
  parlor serve --dev           try it on this machine: open http://localhost:7400 in two windows
  parlor serve                 serve, with parlor.toml of this directory if there is one
  parlor config                print the configuration in effect, secrets masked
  parlor channel create lobby  make a channel; `parlor channel --help` has more
  parlor key create admin --scope '*'
                               make a key for the REST API
  parlor doctor https://voice.example.com
                               find out why somebody cannot connect

Configuration, the later the stronger: defaults, parlor.toml, PARLOR_* environment variables, flags.
  [media] port = 7401   is   PARLOR_MEDIA__PORT=7401   is   --media-port 7401";

const SERVE_EXAMPLES: &str = "\
Examples:
  parlor serve --dev
      Development: guest tokens for everybody, a channel for every name, on localhost only.
  PARLOR_AUTH__SECRET=$(openssl rand -hex 32) parlor serve
      Production: your application signs tokens (JWT, HS256) with the same secret.
      Put TLS in front: browsers give microphones to https pages (and localhost) only.
  parlor serve --announced-ip 203.0.113.9
      Behind NAT (most clouds): tell clients the public address.

Open in the firewall:
  TCP 7400              HTTP and WebSocket
  UDP and TCP 7401...   media: one port for each worker, one worker for each core by default
                        (4 cores: 7401 to 7404). UDP is what calls use, TCP is the way out when
                        UDP is blocked.";

/// The arguments of `parlor`.
#[derive(Debug, Parser)]
#[command(name = "parlor", version, about = ABOUT, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Print the configuration in effect as TOML, secrets masked
    Config(Settings),
    /// Make, change and list channels, their invitations and seats
    #[command(after_help = help(channel::EXAMPLES))]
    Channel(channel::ChannelArgs),
    /// Say who belongs to a channel
    #[command(after_help = help(member::EXAMPLES))]
    Member(member::MemberArgs),
    /// Keep people out of a channel, for a time or for good
    #[command(after_help = help(ban::EXAMPLES))]
    Ban(ban::BanArgs),
    /// Make keys for the REST API, and revoke them
    #[command(after_help = help(key::EXAMPLES))]
    Key(key::KeyArgs),
    /// Check a server from outside, and name what is broken on the way to it
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(Doctor),
    /// Sign a token for a user
    #[command(after_help = token::EXAMPLES)]
    Token(Token),
}

#[derive(Debug, Args)]
struct Serve {
    /// Development mode: POST /api/dev/token gives tokens to everybody, channels are made on first join
    #[arg(long)]
    dev: bool,
    /// Adds POST /api/dev/crash to the development mode: it makes the media workers panic.
    #[arg(long, hide = true, requires = "dev")]
    dev_crash_route: bool,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, Args)]
struct Doctor {
    #[command(flatten)]
    doctor: doctor::DoctorArgs,
    /// Configuration file, to sign a token with its secret [default: parlor.toml, if it is there]
    #[arg(long, env = "PARLOR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Token {
    #[command(flatten)]
    token: token::TokenArgs,
    /// Configuration file [default: parlor.toml, if it is there]
    #[arg(long, env = "PARLOR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Settings {
    /// Configuration file [default: parlor.toml, if it is there]
    #[arg(long, env = "PARLOR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    // Not a doc comment, because brackets are links in those.
    #[arg(
        long,
        value_name = "IP:PORT",
        value_parser = config::written::<SocketAddr>,
        help = "Where to serve HTTP and WebSocket; may be given again [default: [::]:7400, with --dev 127.0.0.1:7400]"
    )]
    http_listen: Vec<SocketAddr>,
    /// UDP and TCP port of the first media worker [default: 7401]
    #[arg(long, value_name = "PORT")]
    media_port: Option<u16>,
    /// Media threads [default: one for each core]
    #[arg(long, value_name = "N")]
    media_workers: Option<u16>,
    /// Address to bind media to; may be given again [default: those of the network interfaces]
    #[arg(long, value_name = "IP", value_parser = config::written::<IpAddr>)]
    listen_ip: Vec<IpAddr>,
    /// Address clients are told for media, or a name of it; may be given again [default: the bound ones]
    #[arg(long, value_name = "IP|NAME", value_parser = config::written::<config::Announced>)]
    announced_ip: Vec<config::Announced>,
    /// error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<String>,
}

impl Cli {
    /// Carries out the command.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Config(settings) => {
                print!("{}", settings.load()?.to_toml()?);
                Ok(())
            }
            Command::Channel(arguments) => channel::run(arguments),
            Command::Member(arguments) => member::run(arguments),
            Command::Ban(arguments) => ban::run(arguments),
            Command::Key(arguments) => key::run(arguments),
            Command::Doctor(Doctor { doctor, config }) => doctor::run(&doctor, &load(config, Vec::new())?),
            Command::Token(Token { token, config }) => token::run(&token, &load(config, Vec::new())?),
            Command::Serve(Serve { dev, dev_crash_route, settings }) => {
                serve(&settings.load()?, Options { dev, crash_route: dev_crash_route })
            }
        }
    }
}

impl Settings {
    fn load(self) -> anyhow::Result<Config> {
        load(self.config.clone(), self.flags())
    }

    fn flags(self) -> Vec<(&'static str, Value)> {
        fn list<T: ToString>(values: &[T]) -> Option<Value> {
            let texts = || values.iter().map(|v| Value::String(v.to_string())).collect();
            (!values.is_empty()).then(|| Value::Array(texts()))
        }
        let flags = [
            ("http.listen", list(&self.http_listen)),
            ("media.port", self.media_port.map(|port| Value::Integer(port.into()))),
            ("media.workers", self.media_workers.map(|count| Value::Integer(count.into()))),
            ("media.listen_ip", list(&self.listen_ip)),
            ("media.announced_ip", list(&self.announced_ip)),
            ("log.level", self.log_level.map(Value::String)),
        ];
        flags.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
    }
}

/// The text below the options of a command that works on the store.
fn help(examples: &str) -> String {
    format!("{examples}\n\n{}", output::NOTES)
}

/// The most that libraries may log, whatever the level of the log; at a lower level they log less, as everything does.
///
/// At `trace` the WebSocket library prints every message, and with it tokens and passwords. The libraries of STUN and
/// DTLS warn of the contents of packets, hundreds of times for one packet of a stranger, who could fill the log.
const LIBRARIES: [(&str, LevelFilter); 4] = [
    ("tungstenite", LevelFilter::DEBUG),
    ("is::stun", LevelFilter::ERROR),
    ("stun_types", LevelFilter::ERROR),
    ("dimpl", LevelFilter::ERROR),
];

/// The filter that decides what is logged.
fn log_filter<S>(level: &str) -> anyhow::Result<impl Filter<S> + use<S>> {
    let ceiling = Targets::new().with_default(LevelFilter::TRACE).with_targets(LIBRARIES);
    Ok(EnvFilter::try_new(level)?.and(ceiling))
}

fn serve(config: &Config, options: Options) -> anyhow::Result<()> {
    let log = tracing_subscriber::fmt::layer().with_target(false).with_ansi(output::colours()).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(log.with_filter(log_filter(&config.log.level)?)).init();
    serve::run(config, options)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::subscriber::with_default;

    use super::*;

    /// Notes the events that pass the filter.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Seen {
        fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
            let text = format!("{} {}", event.metadata().level(), event.metadata().target());
            self.0.lock().expect("no panic").push(text);
        }
    }

    fn seen(level: &str) -> Vec<String> {
        let seen = Seen::default();
        let log = tracing_subscriber::registry().with(seen.clone().with_filter(log_filter(level).expect("a filter")));
        with_default(log, || {
            tracing::trace!(target: "tungstenite::protocol", "a message");
            tracing::debug!(target: "tungstenite::protocol", "what a stranger wrote");
            tracing::warn!(target: "is::stun", "a packet of a stranger");
            tracing::warn!(target: "stun_types::message", "another packet of a stranger");
            tracing::warn!(target: "parlor", "ours");
        });
        let seen = seen.0.lock().expect("no panic");
        seen.clone()
    }

    #[test]
    fn libraries_say_less_than_they_want_and_never_more_than_the_level() {
        assert_eq!(seen("error"), [""; 0]);
        assert_eq!(seen("info"), ["WARN parlor"]);
        for all in ["debug", "trace", "trace,tungstenite=trace,is::stun=trace"] {
            assert_eq!(seen(all), ["DEBUG tungstenite::protocol", "WARN parlor"], "{all}");
        }
        assert_eq!(seen("info,tungstenite=debug"), ["DEBUG tungstenite::protocol", "WARN parlor"]);
    }
}
