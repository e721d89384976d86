//! What mesh calls cost a server: messages from participant to participant, in many small rooms.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::stream::{self, StreamExt};
use futures_util::{SinkExt, TryStreamExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::Measured;
use super::line::{AT_ONCE, Target};
use super::loads::Clock;
use super::report::{Quantiles, Report};

/// People in each room.
const ROOM: usize = 4;
/// Between two bursts of messages.
const TICK: Duration = Duration::from_millis(2);
/// How much faster each step is than the one before.
const STEP: f64 = 1.5;
/// A rate counts as carried while 99 of 100 messages take less than this, in milliseconds.
const LATE: f64 = 100.0;
/// What 99 of 100 messages should take less than, in milliseconds, at the first rate.
const GOAL: f64 = 10.0;
/// The longest it may take until everybody is in.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the time of sending stands in a message.
const STAMP: &str = "candidate:";

/// How many rooms, and how fast they are to talk.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many rooms there are.
    pub rooms: usize,
    /// Messages a second at first, in all rooms together.
    pub rate: f64,
    /// How long each rate is held.
    pub window: Duration,
}

/// What has arrived.
#[derive(Debug, Default)]
struct Arrived {
    joined: AtomicU64,
    times: Mutex<Vec<Duration>>,
}

/// Fills the rooms, and lets everybody send messages to the others in turn, faster and faster until the server is late.
pub async fn measure(measured: &Measured, plan: &Plan, report: &mut Report) -> anyhow::Result<()> {
    let begin = Instant::now();
    let arrived = Arc::new(Arrived::default());
    let people = plan.rooms * ROOM;
    let (mut tasks, mut mouths) = (JoinSet::new(), Vec::new());
    let mut streams = stream::iter(0..people).map(|number| connect(&measured.target, number)).buffered(AT_ONCE);
    while let Some(stream) = streams.try_next().await? {
        let (mouth, orders) = mpsc::channel(64);
        mouths.push(mouth);
        tasks.spawn(sit(stream, orders, begin, Arc::clone(&arrived)));
    }
    // Of the four in a room, the first hears of three others, the second of two.
    let expected = (plan.rooms * (ROOM * (ROOM - 1) / 2)) as u64;
    let all_in = async {
        while arrived.joined.load(Ordering::Relaxed) < expected {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, all_in).await.context("not everybody got into their room")?;
    let mut rate = plan.rate;
    let mut turn = 0;
    loop {
        let clock = Clock::start(&measured.server)?;
        let sent = talk(&mouths, &mut turn, rate, plan.window, begin).await?;
        let (took, loads) = clock.stop(&measured.server)?;
        // What is under way is late already if this is not enough.
        sleep(Duration::from_millis(200)).await;
        let times = std::mem::take(&mut *arrived.times.lock().unwrap_or_else(PoisonError::into_inner));
        if tasks.try_join_next().is_some() {
            bail!("the server lost a session");
        }
        let Quantiles { p50_ms, p99_ms } = Quantiles::of(&times)?;
        #[expect(clippy::cast_precision_loss, reason = "some hundred thousand messages")]
        let (relayed, lost) = (times.len() as f64 / took.as_secs_f64(), 100.0 * sent.saturating_sub(times.len()) as f64 / sent as f64);
        let name = format!("mesh: {} rooms of {ROOM}, {rate:.0} messages/s", plan.rooms);
        report.add(&name, "relayed, a second", relayed, None, Some(loads));
        report.add(&name, "processor time of the server for each, µs", loads.server_percent * 1e4 / relayed, None, None);
        report.add(&name, "lost or refused, %", lost, None, None);
        report.add(&name, "from participant to participant, p50 ms", p50_ms, None, None);
        report.add(&name, "from participant to participant, p99 ms", p99_ms, (rate == plan.rate).then_some(GOAL), None);
        if p99_ms > LATE || lost > 1.0 || plan.window < Duration::from_secs(2) {
            return Ok(());
        }
        rate *= STEP;
    }
}

/// Lets everybody send in turn, each to the other three in turn; gives how many messages that were.
async fn talk(mouths: &[mpsc::Sender<String>], turn: &mut usize, rate: f64, window: Duration, epoch: Instant) -> anyhow::Result<usize> {
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (begin, mut sent) = (Instant::now(), 0);
    while begin.elapsed() < window {
        tick.tick().await;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some hundred messages")]
        let due = (begin.elapsed().as_secs_f64() * rate) as usize;
        while sent < due {
            let from = *turn % mouths.len();
            let to = from / ROOM * ROOM + (from + 1 + *turn / mouths.len() % (ROOM - 1)) % ROOM;
            let mouth = mouths.get(from).context("there is nobody")?;
            if mouth.try_send(message(to, epoch)).is_err() {
                bail!("the bots cannot send so fast, or a session is lost");
            }
            (*turn, sent) = (*turn + 1, sent + 1);
        }
    }
    Ok(sent)
}

fn user(number: usize) -> String {
    format!("mesh-{number}")
}

/// A candidate as browsers send it, with the time of sending as its foundation.
fn message(to: usize, epoch: Instant) -> String {
    let (to, now) = (user(to), epoch.elapsed().as_micros());
    format!(
        r#"{{"type":"ice_candidate","data":{{"target_user_id":"{to}","candidate":{{"candidate":"{STAMP}{now} 1 udp 2122260223 192.168.1.23 50000 typ host generation 0 ufrag aB3d network-cost 999","sdpMid":"0","sdpMLineIndex":0}}}}}}"#
    )
}

/// Connects as a person, and enters their room.
async fn connect(target: &Target, number: usize) -> anyhow::Result<WebSocketStream<TcpStream>> {
    let mut stream = target.plain(&format!("/ws/call/mesh-{}/", number / ROOM), &user(number), number).await?;
    stream.send(Message::text(r#"{"type":"join_call","data":{}}"#)).await?;
    Ok(stream)
}

/// A participant, who sends what they are told to, and notes when something of another came.
async fn sit(mut stream: WebSocketStream<TcpStream>, mut orders: mpsc::Receiver<String>, epoch: Instant, arrived: Arc<Arrived>) {
    loop {
        tokio::select! {
            order = orders.recv() => {
                let Some(text) = order else { break };
                if stream.send(Message::text(text)).await.is_err() {
                    break;
                }
            }
            frame = stream.next() => match frame {
                Some(Ok(Message::Text(text))) => note(&text, epoch, &arrived),
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                Some(Ok(_)) => {}
            },
        }
    }
}

fn note(text: &str, epoch: Instant, arrived: &Arrived) {
    if text.contains("\"user_joined\"") {
        arrived.joined.fetch_add(1, Ordering::Relaxed);
    }
    let Some((_, rest)) = text.split_once(STAMP) else { return };
    let sent = rest.split(' ').next().and_then(|digits| digits.parse().ok()).map(Duration::from_micros);
    if let Some(sent) = sent {
        arrived.times.lock().unwrap_or_else(PoisonError::into_inner).push(epoch.elapsed().saturating_sub(sent));
    }
}
