//! `parlor-bots join`: fills a room, and says every few seconds what the bots send and receive.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Args;
use parlor_bots::mesh::{MeshBot, MeshDialect, MeshOptions};
use parlor_bots::{AudioOptions, Bot, BotOptions, BotStats, Engine, TokenSource, VideoCodec, VideoOptions};

/// Between two lines of output.
const REPORT: Duration = Duration::from_secs(5);
/// The longest that ICE and DTLS may take.
const CONNECT: Duration = Duration::from_secs(15);

/// The code of a refusal where as many show themselves as may.
const VIDEO_LIMIT: &str = "VIDEO_LIMIT_REACHED";

/// The arguments of `join`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The server
    #[arg(long, default_value = "http://localhost:7400")]
    url: String,
    /// The channel to join
    #[arg(long, default_value = "test")]
    channel: String,
    /// How many
    #[arg(long, default_value_t = 2)]
    bots: usize,
    /// Users are called NAME-1, NAME-2…
    #[arg(long, default_value = "bot")]
    name: String,
    /// Send sound: 50 packets a second each
    #[arg(long)]
    audio: bool,
    /// Bytes of an audio packet
    #[arg(long, default_value_t = 100)]
    audio_bytes: usize,
    /// Take part in a mesh call, in these dialects one after the other: media goes from bot to bot, and to browsers
    #[arg(long, value_name = "DIALECT", value_enum, value_delimiter = ',', conflicts_with_all = ["video", "tcp", "loss"])]
    mesh: Vec<MeshDialect>,
    /// Send picture
    #[arg(long)]
    video: bool,
    /// Bitrates of the simulcast layers in kbit/s, small to large; one value means no simulcast
    #[arg(long, default_value = "150,500,1500", value_delimiter = ',')]
    video_kbps: Vec<u32>,
    /// Pack the picture as H264 instead of VP8
    #[arg(long)]
    h264: bool,
    /// Media over TCP instead of UDP
    #[arg(long)]
    tcp: bool,
    /// Lose this share of the media packets, both ways, in percent
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=100))]
    loss: u8,
    /// File with the server's secret, to sign tokens with; without it, the server must run with --dev
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// How long to stay; 0: until interrupted
    #[arg(long, default_value_t = 0)]
    seconds: u64,
}

/// Runs until the time is over or Ctrl-C.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let token = match &arguments.secret_file {
        Some(path) => {
            let secret = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            TokenSource::Secret(secret.trim().to_owned())
        }
        None => TokenSource::Development,
    };
    let engine = Engine::start(None)?;
    if arguments.mesh.is_empty() { by_server(&engine, &arguments, token).await } else { by_mesh(&engine, &arguments, token).await }
}

/// Fills a room whose media goes by the server.
async fn by_server(engine: &Engine, arguments: &Arguments, token: TokenSource) -> anyhow::Result<()> {
    let mut bots = Vec::new();
    for number in 1..=arguments.bots {
        let user = format!("{}-{number}", arguments.name);
        let options = BotOptions { token: token.clone(), tcp: arguments.tcp, ..BotOptions::new(&arguments.url, &arguments.channel, &user) };
        bots.push(start(engine, options, arguments).await.with_context(|| format!("{user} could not take part"))?);
    }
    println!("{} in {:?} at {}", counted(bots.len()), arguments.channel, arguments.url);
    report(arguments.seconds, || total(&bots)).await?;
    for bot in bots {
        bot.leave().await?;
    }
    Ok(())
}

fn counted(bots: usize) -> String {
    if bots == 1 { "1 bot is".to_owned() } else { format!("{bots} bots are") }
}

/// Fills a room whose media goes from client to client.
async fn by_mesh(engine: &Engine, arguments: &Arguments, token: TokenSource) -> anyhow::Result<()> {
    let mut bots = Vec::new();
    for (number, dialect) in (1..=arguments.bots).zip(arguments.mesh.iter().copied().cycle()) {
        let user = format!("{}-{number}", arguments.name);
        let options = MeshOptions {
            server: arguments.url.trim_end_matches('/').to_owned(),
            channel: arguments.channel.clone(),
            user: user.clone(),
            token: token.clone(),
            dialect,
            audio: arguments.audio.then(|| AudioOptions { bytes: arguments.audio_bytes, ..AudioOptions::default() }),
        };
        bots.push(MeshBot::join(engine, options).await.with_context(|| format!("{user} could not take part"))?);
    }
    println!("{} in {:?} at {}", counted(bots.len()), arguments.channel, arguments.url);
    report(arguments.seconds, || total_of_mesh(&bots)).await?;
    for bot in bots {
        let user = bot.user().to_owned();
        bot.leave().await.with_context(|| format!("{user} was not in the call any more"))?;
    }
    Ok(())
}

/// Says every few seconds what happened since, until the time is over or Ctrl-C.
async fn report<F: Future<Output = anyhow::Result<Total>>>(seconds: u64, total: impl Fn() -> F) -> anyhow::Result<()> {
    let end = (seconds > 0).then(|| Instant::now() + Duration::from_secs(seconds));
    let mut before = total().await?;
    while end.is_none_or(|end| Instant::now() < end) {
        let pause = end.map_or(REPORT, |end| REPORT.min(end.saturating_duration_since(Instant::now())));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = tokio::signal::ctrl_c() => break,
        }
        let now = total().await?;
        now.print(&before, pause);
        before = now;
    }
    Ok(())
}

async fn start(engine: &Engine, options: BotOptions, arguments: &Arguments) -> anyhow::Result<Bot> {
    let bot = Bot::join(engine, options).await?;
    bot.connected(CONNECT).await?;
    if arguments.audio {
        bot.produce_audio(AudioOptions { bytes: arguments.audio_bytes, ..AudioOptions::default() }).await?;
    }
    if arguments.video {
        let codec = if arguments.h264 { VideoCodec::H264 } else { VideoCodec::Vp8 };
        let bitrates = arguments.video_kbps.iter().map(|kbps| kbps.saturating_mul(1000)).collect();
        match bot.produce_video(VideoOptions { codec, bitrates, ..VideoOptions::default() }).await {
            Ok(_) => {}
            // So are people who come late: in the call, and not seen.
            Err(error) if error.code() == Some(VIDEO_LIMIT) => {
                println!("{} takes part without picture: the video slots of the channel are taken", bot.user());
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bot)
}

/// The sums over all bots.
#[derive(Clone, Copy, Default)]
struct Total {
    streams: usize,
    sent: u64,
    received: u64,
    bytes: u64,
    lost: u64,
    frames: u64,
}

impl Total {
    fn print(&self, before: &Self, time: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "for people to read")]
        let per_second = |now: u64, then: u64| now.saturating_sub(then) as f64 / time.as_secs_f64().max(0.001);
        println!(
            "sent {:.0}/s, received {:.0}/s on {} streams ({:.0} kbit/s), {:.0} frames/s, lost {}",
            per_second(self.sent, before.sent),
            per_second(self.received, before.received),
            self.streams,
            per_second(self.bytes, before.bytes) * 8.0 / 1000.0,
            per_second(self.frames, before.frames),
            self.lost,
        );
    }
}

async fn total(bots: &[Bot]) -> anyhow::Result<Total> {
    let mut total = Total::default();
    for bot in bots {
        let BotStats { sent, streams, .. } = bot.stats().await?;
        total.sent += sent;
        total.streams += streams.len();
        for (_, stream) in streams {
            total.received += stream.packets;
            total.bytes += stream.bytes;
            total.lost += stream.lost;
            total.frames += stream.frames.decoded;
        }
    }
    Ok(total)
}

async fn total_of_mesh(bots: &[MeshBot]) -> anyhow::Result<Total> {
    let mut total = Total::default();
    for bot in bots {
        for link in bot.stats().await? {
            total.sent += link.sent;
            for stream in link.received {
                total.streams += 1;
                total.received += stream.packets;
                total.bytes += stream.bytes;
                total.lost += stream.lost;
            }
        }
    }
    Ok(total)
}
