//! What a participant can do by media and reports, in a channel of their own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::Context;
use parlor_bots::{AudioOptions, Bot, BotOptions, BotStats, Forge, Sent, VideoOptions};
use parlor_proto::transport::{Direction, Protocol};
use str0m::ice::{StunMessage, TransId};
use tokio::net::UdpSocket;

use super::Stage;

/// The longest an attacker takes to begin.
const BEGIN: Duration = Duration::from_secs(15);
/// A flood goes out in bursts so far apart.
const TURN: Duration = Duration::from_millis(2);
const TURNS_A_SECOND: u32 = 500;
/// Those it is passed on to.
const LISTENERS: usize = 3;
/// Of the flood of tiny packets, a second.
const PACKETS: u32 = 12_000;
/// Of packets with huge headers: 20 Mbit/s.
const HEADERS: u32 = 2_400;
/// How many reports are sent.
const REPORTS: u32 = 15_000;
/// Somebody who never asked for anything.
const THIRD: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 88);
/// What they may get: answers to checks, no media.
const MAX_TO_THIRD: usize = 16 << 10;

type Said = anyhow::Result<(String, Option<String>)>;

/// Somebody hostile, and those who are to hear them.
struct Attacker {
    bot: Bot,
    sends: Forge,
    receives: Forge,
    listeners: Vec<Bot>,
}

impl Attacker {
    async fn join(stage: &Stage<'_>) -> anyhow::Result<Self> {
        let (sends, receives) = (Forge::default(), Forge::default());
        let forges = Some((sends.clone(), receives.clone()));
        let options = |user: &str| BotOptions::new(stage.url, "attack", user);
        // Names are new each time: the same person may not come as often as that.
        let unique = rand::random::<u32>();
        let bot = Bot::join(stage.engine, BotOptions { forges, ..options(&format!("mallory-{unique}")) }).await?;
        bot.connected(BEGIN).await?;
        let mut listeners = Vec::new();
        for number in 0..LISTENERS {
            let listener = Bot::join(stage.engine, options(&format!("listener-{number}-{unique}"))).await?;
            listener.connected(BEGIN).await?;
            listeners.push(listener);
        }
        Ok(Self { bot, sends, receives, listeners })
    }

    /// Waits until everybody gets what it sends.
    async fn is_heard(&self) -> anyhow::Result<()> {
        for listener in &self.listeners {
            listener.received(BEGIN, "the attacker", receives).await?;
        }
        Ok(())
    }

    /// The packet that was sent last.
    fn sent(&self) -> anyhow::Result<Sent> {
        self.sends.last_sent().context("the keys are not known: the connection has another profile")
    }

    /// How many packets the listeners got.
    async fn heard(&self) -> anyhow::Result<u64> {
        let mut heard = 0;
        for listener in &self.listeners {
            heard += listener.stats().await?.streams.iter().map(|(_, stream)| stream.packets).sum::<u64>();
        }
        Ok(heard)
    }

    async fn leave(self) {
        // They are gone either way.
        for bot in self.listeners.into_iter().chain([self.bot]) {
            let _ = bot.leave().await;
        }
    }
}

fn receives(stats: &BotStats) -> bool {
    stats.streams.iter().any(|(_, stream)| stream.packets > 0)
}

/// Sends so many datagrams a second until the end; how many went out.
async fn flood(
    stage: &Stage<'_>,
    bot: &Bot,
    direction: Direction,
    a_second: u32,
    mut make: impl FnMut() -> Option<Vec<u8>>,
) -> anyhow::Result<u64> {
    let mut turns = tokio::time::interval(TURN);
    let mut sent = 0;
    while Instant::now() < stage.until {
        turns.tick().await;
        let datagrams: Vec<Vec<u8>> = (0..(a_second / stage.divisor).div_ceil(TURNS_A_SECOND)).map_while(|_| make()).collect();
        sent += datagrams.len() as u64;
        bot.send_raw(direction, datagrams).await?;
    }
    Ok(sent)
}

/// Sends packets with one byte in each.
pub async fn packets(stage: &Stage<'_>) -> Said {
    let attacker = Attacker::join(stage).await?;
    let producer = attacker.bot.produce_audio(AudioOptions { bytes: 80, ..AudioOptions::default() }).await?;
    attacker.is_heard().await?;
    attacker.bot.set_sending(&producer, false).await?;
    flood_rtp(stage, attacker, PACKETS, &[], &[1]).await
}

/// A thousand bytes of extensions, and four of picture.
pub async fn headers(stage: &Stage<'_>) -> Said {
    let attacker = Attacker::join(stage).await?;
    let producer = attacker.bot.produce_video(VideoOptions { bitrates: vec![300_000], ..VideoOptions::default() }).await?;
    attacker.is_heard().await?;
    attacker.bot.set_sending(&producer, false).await?;
    // The two-byte form (RFC 8285, section 4.3), four elements nobody knows.
    let mut extensions = vec![0x10, 0, 0, 252];
    for _ in 0..4 {
        extensions.extend([200, 250]);
        extensions.resize(extensions.len() + 250, 0x55);
    }
    flood_rtp(stage, attacker, HEADERS, &extensions, &[0x10, 0, 0, 0]).await
}

async fn flood_rtp(stage: &Stage<'_>, attacker: Attacker, a_second: u32, extensions: &[u8], payload: &[u8]) -> Said {
    let Sent { ssrc, mut number, payload_type } = attacker.sent()?;
    let before = attacker.heard().await?;
    let begin = Instant::now();
    let make = || {
        // Its numbers must not come round: that would be another round of the keys.
        number = number.checked_add(1)?;
        let first = if extensions.is_empty() { 0x80 } else { 0x90 };
        let timestamp = u32::from(number).wrapping_mul(960).to_be_bytes();
        let header = [&[first, payload_type][..], &number.to_be_bytes(), &timestamp, &ssrc.to_be_bytes(), extensions].concat();
        attacker.sends.seal_rtp(&header, payload)
    };
    let sent = flood(stage, &attacker.bot, Direction::Send, a_second, make).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let heard = attacker.heard().await? - before;
    attacker.leave().await;
    let said = format!("{sent} packets; to {LISTENERS} listeners went {:.0} a second", heard as f64 / seconds);
    Ok((said, (heard == 0).then(|| "nothing of it arrived, so it was no attack".to_owned())))
}

/// Tells of what was never sent.
pub async fn feedback(stage: &Stage<'_>) -> Said {
    let attacker = Attacker::join(stage).await?;
    let [shows, ..] = attacker.listeners.as_slice() else { anyhow::bail!("nobody there") };
    shows.produce_video(VideoOptions { bitrates: vec![300_000], ..VideoOptions::default() }).await?;
    let begin = Instant::now();
    while !attacker.receives.can_report() {
        anyhow::ensure!(begin.elapsed() < BEGIN, "the keys are not known: the connection has another profile");
        tokio::time::sleep(TURN).await;
    }
    let mut base = 0_u16;
    let make = || {
        base = base.wrapping_add(8_191);
        let mut report = vec![0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2];
        report.extend(base.to_be_bytes());
        report.extend([0x1f, 0xff, 0, 0, 1, 1, 0x1f, 0xff, 0, 0]);
        attacker.receives.seal_rtcp(&report)
    };
    let sent = flood(stage, &attacker.bot, Direction::Recv, REPORTS, make).await?;
    attacker.leave().await;
    Ok((format!("{sent} reports of 8,191 packets each"), None))
}

/// Sends one valid check from an address that never says anything again.
pub async fn spoof(stage: &Stage<'_>) -> Said {
    let attacker = Attacker::join(stage).await?;
    let [shows, ..] = attacker.listeners.as_slice() else { anyhow::bail!("nobody there") };
    shows.produce_video(VideoOptions { bitrates: vec![1_500_000], ..VideoOptions::default() }).await?;
    attacker.bot.received(BEGIN, "the picture", receives).await?;
    let server = attacker.bot.received_from();
    let candidates = server.ice_candidates.iter().filter(|candidate| candidate.protocol == Protocol::Udp && candidate.ip.is_loopback());
    let remote = candidates.map(|candidate| SocketAddr::new(candidate.ip, candidate.port)).next().context("no candidate on loopback")?;
    let third = UdpSocket::bind((THIRD, 0)).await?;
    let ice = &server.ice_parameters;
    third.send_to(&check(&ice.username_fragment, &ice.password), remote).await?;
    let (mut bytes, mut last) = (0, Duration::ZERO);
    let (begin, mut buffer) = (Instant::now(), [0; 2_048]);
    while let Ok(received) = tokio::time::timeout(stage.until.saturating_duration_since(Instant::now()), third.recv(&mut buffer)).await {
        bytes += received?;
        last = begin.elapsed();
    }
    attacker.leave().await;
    let said = format!("one check; its address got {bytes} bytes, the last after {:.1} s", last.as_secs_f64());
    let wrong = match bytes {
        0 => Some("the check was not answered, so it was no attack".to_owned()),
        1..=MAX_TO_THIRD => None,
        _ => Some(format!("somebody who asked for nothing got {bytes} bytes")),
    };
    Ok((said, wrong))
}

fn check(ufrag: &str, password: &str) -> Vec<u8> {
    let crypto = str0m::crypto::from_feature_flags();
    let username = format!("{ufrag}:abcd");
    let message = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, true);
    let mut bytes = vec![0; 512];
    let sha1 = |key: &[u8], parts: &[&[u8]]| crypto.sha1_hmac_provider.sha1_hmac(key, parts);
    let len = message.to_bytes(Some(password.as_bytes()), &mut bytes, sha1).unwrap_or(0);
    bytes.truncate(len);
    bytes
}
