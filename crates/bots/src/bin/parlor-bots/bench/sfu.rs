//! The servers that are measured, and their rooms full of bots, in one shape.

use std::any::Any;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use parlor_bots::{AudioOptions, Bot, BotError, BotOptions, BotStats, Engine, JanusBot, JanusOptions, StreamStats, VideoOptions};

use super::janus::JanusServer;
use super::process::Process;
use super::server::BenchServer;

/// Audio payload in bytes: about 40 kbit/s.
pub const AUDIO_BYTES: usize = 100;
/// Bitrate of the video.
pub const VIDEO_BITRATE: u32 = 1_500_000;
/// Payload of a video packet, for the limit.
pub const VIDEO_BYTES: usize = 1_042;
/// Bots that join at the same time.
const JOINING: usize = 4;
/// How long a room may take to fill.
const FILL: Duration = Duration::from_secs(60);
/// Level of who is to be heard, in dBov.
const LOUD: i8 = -20;
/// Level of who has the microphone open and says nothing.
const QUIET: i8 = -70;

/// What is sent in a room.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Media {
    /// Everybody's microphone is open.
    Audio {
        /// How many of them are loud; the server forwards only those.
        loud: usize,
    },
    /// One of them shows a picture.
    Video,
}

/// A room that is filled with bots.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The number of the room.
    pub number: usize,
    /// The media that is sent in it.
    pub media: Media,
    /// By and to how many.
    pub people: usize,
    /// How many of the bots decrypt streams, and so give delays.
    pub timed: usize,
    /// How many streams each of those decrypts.
    pub opened: usize,
}

/// A participant, to be kept as long as it is to take part.
pub type Person = Box<dyn Any>;

/// A running server, of either kind.
pub enum Sfu {
    /// Parlor's server.
    Parlor(BenchServer),
    /// The peer's server.
    Janus(JanusServer),
}

impl Sfu {
    /// The process of the server.
    pub const fn process(&self) -> &Process {
        match self {
            Self::Parlor(server) => &server.process,
            Self::Janus(server) => &server.process,
        }
    }

    /// Adds to an error what the server knows of it, and keeps its log.
    pub async fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let counters = match self {
            Self::Parlor(server) => server.counters().await.unwrap_or_else(|error| error.to_string()),
            Self::Janus(_) => String::new(),
        };
        let kept: PathBuf = self.process().log().with_extension("kept.log");
        let _ = std::fs::copy(self.process().log(), &kept);
        error.context(format!("the server's log: {}; its counters: {counters}", kept.display()))
    }

    /// Fills a room, and waits until everybody receives everybody.
    pub async fn fill(&self, engine: &Engine, room: Room) -> anyhow::Result<Vec<Person>> {
        match self {
            Self::Parlor(server) => fill_parlor(server, engine, room).await,
            Self::Janus(server) => fill_janus(server, engine, room).await,
        }
    }
}

impl Room {
    /// To how many each forwarded packet goes.
    pub const fn destinations(&self) -> usize {
        self.people - 1
    }

    /// How many senders have their packets forwarded.
    pub const fn forwarded(&self) -> usize {
        match self.media {
            Media::Audio { loud } => loud,
            Media::Video => 1,
        }
    }

    /// How many of the bots send.
    pub const fn senders(&self) -> usize {
        match self.media {
            Media::Audio { .. } => self.people,
            Media::Video => 1,
        }
    }

    /// Streams that run: each forwarded sender to everybody else.
    pub const fn streams(&self) -> usize {
        self.forwarded() * self.destinations()
    }

    /// Streams that a bot has to receive before the room is complete.
    const fn expected(&self, number: usize) -> usize {
        if number < self.forwarded() { self.forwarded() - 1 } else { self.forwarded() }
    }

    const fn open_streams(&self, number: usize) -> usize {
        if number < self.timed { self.opened } else { 0 }
    }

    const fn audio(&self, number: usize) -> AudioOptions {
        let loud = matches!(self.media, Media::Audio { loud } if number < loud);
        AudioOptions { bytes: AUDIO_BYTES, level: if loud { LOUD } else { QUIET } }
    }

    fn user(&self, number: usize) -> String {
        let kind = if number < self.forwarded() { "loud" } else { "quiet" };
        format!("{kind}-{}-{number}", self.number)
    }
}

fn video() -> VideoOptions {
    VideoOptions { bitrates: vec![VIDEO_BITRATE], ..VideoOptions::default() }
}

/// Whether this many streams run. Those that are only counted show no more than that they arrive.
fn complete(room: Room, number: usize) -> impl Fn(&BotStats) -> bool {
    let (expected, all_opened) = (room.expected(number), room.open_streams(number) >= room.expected(number));
    let running = move |stream: &StreamStats| match all_opened {
        true => stream.first_decodable_ns.is_some(),
        false => stream.first_packet_ns.is_some(),
    };
    move |stats| stats.streams.iter().filter(|(_, stream)| running(stream)).count() >= expected
}

async fn fill_parlor(server: &BenchServer, engine: &Engine, room: Room) -> anyhow::Result<Vec<Person>> {
    let channel = format!("bench-{}", room.number);
    let join = |number: usize| {
        let options = BotOptions {
            open_streams: room.open_streams(number),
            open_users: "loud".to_owned(),
            ..BotOptions::new(server.url(), &channel, &room.user(number))
        };
        async move {
            let bot = Bot::join(engine, options).await?;
            bot.connected(FILL).await?;
            Ok::<_, BotError>((number, bot))
        }
    };
    let bots: Vec<(usize, Bot)> = stream::iter(0..room.people).map(join).buffer_unordered(JOINING).try_collect().await?;
    // Only when all are connected: a load that is too much for the server would keep them from it.
    for (number, bot) in &bots {
        match room.media {
            Media::Audio { .. } => drop(bot.produce_audio(room.audio(*number)).await?),
            Media::Video if *number == 0 => drop(bot.produce_video(video()).await?),
            Media::Video => {}
        }
    }
    for (number, bot) in &bots {
        bot.received(FILL, "media of everybody", complete(room, *number)).await?;
    }
    Ok(bots.into_iter().map(|(_, bot)| Box::new(bot) as Person).collect())
}

async fn fill_janus(server: &JanusServer, engine: &Engine, room: Room) -> anyhow::Result<Vec<Person>> {
    let id = 1000 + room.number as u64;
    server.create_room(id, room.people).await?;
    let publish = |number: usize| async move {
        let options = JanusOptions {
            url: server.url().to_owned(),
            room: id,
            name: room.user(number),
            towards: server.towards(),
            open_streams: room.open_streams(number),
        };
        let mut bot = JanusBot::connect(engine, options).await?;
        let feed = match room.media {
            Media::Audio { .. } => Some(bot.publish_audio(room.audio(number)).await?),
            Media::Video if number == 0 => Some(bot.publish_video(video()).await?),
            Media::Video => None,
        };
        Ok::<_, BotError>((number, feed, bot))
    };
    let publishing = stream::iter(0..room.people).map(publish).buffer_unordered(JOINING);
    let mut bots: Vec<(usize, Option<u64>, JanusBot)> = publishing.try_collect().await?;
    let feeds: Vec<u64> = bots.iter().filter_map(|(_, feed, _)| *feed).collect();
    for (_, own, bot) in &mut bots {
        let others: Vec<u64> = feeds.iter().copied().filter(|feed| Some(*feed) != *own).collect();
        if !others.is_empty() {
            bot.subscribe(&others).await?;
        }
    }
    for (_, _, bot) in &bots {
        bot.start_sending().await?;
    }
    for (number, _, bot) in &bots {
        bot.received(FILL, "media of everybody", complete(room, *number)).await?;
    }
    Ok(bots.into_iter().map(|(_, _, bot)| Box::new(bot) as Person).collect())
}
