//! The call that is to notice nothing: four people who talk, one of them with a camera, and newcomers who look in.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use parlor_bots::{AudioOptions, Bot, BotOptions, Engine, Totals, VideoOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The number of people in the call.
const PEOPLE: usize = 4;
/// Everybody hears everybody after this.
const BEGIN: Duration = Duration::from_secs(15);
/// Packets under way when an attack begins or ends belong to no side.
const SETTLE: Duration = Duration::from_millis(300);
/// Newcomers come so often, from an address of their own, and wait so long.
const NEWCOMER_EVERY: Duration = Duration::from_millis(250);
const NEWCOMER_PATIENCE: Duration = Duration::from_secs(2);
const NEWCOMER_FROM: [u8; 4] = [127, 0, 0, 77];

/// A call under way.
pub struct Call {
    engine: Engine,
    _bots: Vec<Bot>,
    before: Mutex<Totals>,
    came: AtomicU64,
    refused: AtomicU64,
}

/// What was lost of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lost {
    /// How many packets arrived.
    pub received: u64,
    /// Numbers that are missing.
    pub lost: u64,
    /// The delay that 99 in a hundred packets did not exceed.
    pub p99: Duration,
    /// Newcomers who were answered.
    pub came: u64,
    /// Newcomers who were refused.
    pub refused: u64,
}

impl Call {
    /// Returns when everybody receives everybody.
    pub async fn begin(url: &str, engine: &Engine) -> anyhow::Result<Self> {
        let mut bots = Vec::new();
        for number in 0..PEOPLE {
            let bot = Bot::join(engine, BotOptions::new(url, "call", &format!("caller-{number}"))).await?;
            bot.connected(BEGIN).await?;
            bot.produce_audio(AudioOptions { bytes: 80, ..AudioOptions::default() }).await?;
            if number == 0 {
                bot.produce_video(VideoOptions { bitrates: vec![800_000], ..VideoOptions::default() }).await?;
            }
            bots.push(bot);
        }
        for (number, bot) in bots.iter().enumerate() {
            // The sound of the others, and the picture of the first.
            let expected = PEOPLE - 1 + usize::from(number > 0);
            let heard =
                move |stats: &parlor_bots::BotStats| stats.streams.iter().filter(|(_, stream)| stream.packets > 0).count() == expected;
            bot.received(BEGIN, "a call", heard).await.context("the call did not begin")?;
        }
        let before = Mutex::new(engine.totals().await?);
        Ok(Self { engine: engine.clone(), _bots: bots, before, came: AtomicU64::new(0), refused: AtomicU64::new(0) })
    }

    /// Begins to count anew.
    pub async fn reset(&self) -> anyhow::Result<()> {
        tokio::time::sleep(SETTLE).await;
        *self.before.lock().await = self.engine.totals().await?;
        self.engine.take_delays().await?;
        self.came.store(0, Ordering::Relaxed);
        self.refused.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// What was lost since.
    pub async fn lost(&self) -> anyhow::Result<Lost> {
        tokio::time::sleep(SETTLE).await;
        let (now, before) = (self.engine.totals().await?, *self.before.lock().await);
        Ok(Lost {
            received: now.received - before.received,
            lost: now.lost.saturating_sub(before.lost),
            p99: self.engine.take_delays().await?.quantile(0.99),
            came: self.came.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        })
    }

    /// People who look in while it goes on; never ends.
    pub async fn newcomers(&self, url: &str) {
        let address: Option<SocketAddr> = url.strip_prefix("http://").and_then(|address| address.parse().ok());
        loop {
            let answered = match address {
                Some(address) => matches!(timeout(NEWCOMER_PATIENCE, look_in(address)).await, Ok(Ok(true))),
                None => false,
            };
            let counter = if answered { &self.came } else { &self.refused };
            counter.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(NEWCOMER_EVERY).await;
        }
    }
}

async fn look_in(address: SocketAddr) -> std::io::Result<bool> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((NEWCOMER_FROM, 0).into())?;
    let mut stream = socket.connect(address).await?;
    stream.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await?;
    Ok(&answer == b"HTTP/1.1 200")
}
