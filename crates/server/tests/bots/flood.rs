//! A flood of foreign packets from one address goes unnoticed by the people in a running call.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parlor_bots::{AudioOptions, Bot, BotOptions, BotStats, Delays, VideoOptions};
use parlor_testkit::wait::{PATIENCE, seen};
use serde_json::{Value, json};

use crate::{World, packets_of, stream_of};

/// Packets of every voice that are measured: 1.6 s.
const MEASURED: u64 = 80;
/// The time in which the measured packets have to arrive, half as much again as they take: a stream that stood still would not be done.
const IN_TIME: Duration = Duration::from_millis(2_400);
/// Datagrams of a burst, and the time between two bursts: 15,000/s.
const BURST: (usize, Duration) = (150, Duration::from_millis(10));
/// The most bursts, should nobody end the flood: 4 s.
const BURSTS: usize = 400;
/// The least number of datagrams in the measured time that is a flood. A busy machine sends less than 15,000/s.
const LEAST: u64 = 8_000;
/// The longest datagram, as media of an attacker that fills its MTU.
const LONG: usize = 1_400;
/// Connections opened with each burst, and kept open: more than one address is allowed.
const CONNECTIONS: (usize, usize) = (3, 150);
/// Connections each burst writes to, 2 KiB each: some 4 MB/s.
const WRITES: usize = 20;
/// The most connections one address may have open.
const ALLOWED: u64 = 128;
/// A delay that nobody hears: receivers wait for late packets about that long anyway. A worker that is behind a flood
/// has a full socket buffer before it, and delays a packet for longer than that, if it gets the packet at all.
const UNHEARD: Duration = Duration::from_millis(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_from_one_address_costs_others_nothing_they_notice() {
    let world = World::start().await;
    let tcp = BotOptions { tcp: true, ..world.options("room", "cid") };
    let bots = [world.join("ann").await, world.join("ben").await, world.try_join(tcp).await.expect("joins over TCP")];
    for bot in &bots {
        bot.produce_audio(AudioOptions::default()).await.expect("talks");
    }
    bots[0].produce_video(VideoOptions { bitrates: vec![400_000], ..VideoOptions::default() }).await.expect("shows");
    // Known to the server and in use, as somebody in the room learns it.
    let transport = bots[0].transports().0;
    let answer = bots[0].request("voice:rtc:restartIce", json!({ "transportId": transport })).await.expect("restarts");
    let ufrag = answer["iceParameters"]["usernameFragment"].as_str().expect("a ufrag").to_owned();
    let media = world.server.media_addresses()[0];

    let calm = measure(&world, &bots).await;
    let before = worker(&world).await;

    let flood = Flood::begin(move |going| flood_datagrams(media, &ufrag, going));
    let during = measure(&world, &bots).await;
    let sent = flood.end();
    during.assert_unnoticed(&calm, "datagrams");
    assert!(sent >= LEAST, "a flood: {sent} datagrams");
    let after = worker(&world).await;
    let rose = |what: &str| count(&after["sfu"]["drops"], what) - count(&before["sfu"]["drops"], what);
    for (what, least) in [("badIntegrity", 1), ("unknownUfrag", 1), ("unknownAddress", 3), ("malformed", 2)] {
        // Some may have found the buffer full, and some wait there.
        assert!(rose(what) * KINDS >= sent * least * 8 / 10, "{sent} sent, {what} rose by {}: {after}", rose(what));
    }
    assert_same_tables(&before, &after);

    let flood = Flood::begin(move |going| flood_connections(media, going));
    let during = measure(&world, &bots).await;
    let crowded = worker(&world).await;
    let opened = flood.end();
    during.assert_unnoticed(&calm, "connections");
    assert!(opened > ALLOWED, "more than may be: {opened}");
    assert!(count(&crowded, "tcpConnections") <= ALLOWED, "no more than one address may have: {crowded}");
    let before_it = count(&before, "tcpConnections");
    seen("gone with their peers", async || worker(&world).await, |worker| count(worker, "tcpConnections") == before_it).await;
    assert_same_tables(&before, &worker(&world).await);
    for bot in &bots {
        let (send, receive) = bot.states();
        assert!(send.connected && receive.connected, "{} is still connected", bot.user());
    }
}

/// The quality of the call over a while.
struct Measured {
    delays: Delays,
    packets: u64,
    lost: u64,
    took: Duration,
}

impl Measured {
    /// Asserts that nobody noticed the flood, compared with the calm before.
    fn assert_unnoticed(&self, calm: &Self, what: &str) {
        let (median, tail) = (self.delays.quantile(0.5), self.delays.quantile(0.99));
        let (calm_median, calm_tail) = (calm.delays.quantile(0.5), calm.delays.quantile(0.99));
        let said = format!(
            "{what}: {} lost of {} in {:?}, delay {median:?} and {tail:?} (99 %); before {} of {}, {calm_median:?} and {calm_tail:?}",
            self.lost, self.packets, self.took, calm.lost, calm.packets
        );
        assert!(self.took < IN_TIME, "a stream stood still: {said}");
        assert!(self.lost * 100 <= self.packets, "too much is lost: {said}");
        // A delay that a slow machine also has without a flood is not caused by the flood.
        assert!(tail <= UNHEARD.max(calm_tail * 4), "late: {said}");
        assert!(median <= calm_median + UNHEARD / 4, "all of it is late: {said}");
    }
}

/// Waits until everybody has heard a number of packets of everybody, and returns how they came.
async fn measure(world: &World, bots: &[Bot]) -> Measured {
    let mut before = Vec::new();
    for bot in bots {
        before.push(bot.received(PATIENCE, "all streams", |stats| stats.streams.len() == expected(bot.user())).await.expect("receives"));
    }
    world.engine.take_delays().await.expect("is there");
    let (begin, mut packets, mut lost) = (Instant::now(), 0, 0);
    for (bot, before) in bots.iter().zip(&before) {
        let heard = |stats: &BotStats| {
            let others = bots.iter().map(Bot::user).filter(|user| *user != bot.user());
            others.into_iter().all(|user| packets_of(stats, user, false) >= packets_of(before, user, false) + MEASURED)
        };
        let after = bot.received(PATIENCE, "everybody", heard).await.expect("goes on");
        for (consumer, stream) in &after.streams {
            let old = stream_of(before, &consumer.user, consumer.video).expect("was there before");
            packets += stream.packets - old.packets;
            lost += stream.lost.saturating_sub(old.lost);
            assert!(stream.packets - old.packets >= MEASURED / 2, "{} of {} stopped: {stream:?}", consumer.id, consumer.user);
        }
    }
    let took = begin.elapsed();
    Measured { delays: world.engine.take_delays().await.expect("is there"), packets, lost, took }
}

/// The number of streams somebody receives: the voices of the other two, and the picture of the first.
fn expected(user: &str) -> usize {
    if user == "ann" { 2 } else { 3 }
}

/// The counters of the only worker.
async fn worker(world: &World) -> Value {
    let url = format!("http://{}/api/dev/stats", world.server.http_addresses()[0]);
    let stats: Value = reqwest::get(url).await.expect("answers").json().await.expect("json");
    stats["workers"][0].clone()
}

fn count(object: &Value, what: &str) -> u64 {
    object[what].as_u64().unwrap_or_else(|| panic!("{what} in {object}"))
}

/// Asserts that nothing of a stranger took a place in a table, or broke the worker.
fn assert_same_tables(before: &Value, after: &Value) {
    for what in ["routers", "transports", "producers", "consumers"] {
        assert_eq!(count(&before["sfu"], what), count(&after["sfu"], what), "{what}");
    }
    assert_eq!((count(before, "restarts"), count(after, "restarts")), (0, 0));
}

/// A thread that floods until it is told to end, or has sent all its bursts.
struct Flood {
    going: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Flood {
    fn begin(work: impl FnOnce(&AtomicBool) -> u64 + Send + 'static) -> Self {
        let going = Arc::new(AtomicBool::new(true));
        let thread = std::thread::spawn({
            let going = Arc::clone(&going);
            move || work(&going)
        });
        Self { going, thread }
    }

    /// Ends the flood, and returns how much was sent.
    fn end(self) -> u64 {
        self.going.store(false, Ordering::Relaxed);
        self.thread.join().expect("floods")
    }
}

/// Calls `burst` with its number at an even pace. Bursts that a busy machine misses are not made up for.
fn pace(going: &AtomicBool, mut burst: impl FnMut(usize)) {
    for number in 0..BURSTS {
        let next = Instant::now() + BURST.1;
        if !going.load(Ordering::Relaxed) {
            return;
        }
        burst(number);
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
}

/// Kinds of datagram, in turn.
const KINDS: u64 = 8;

/// Floods by UDP; returns how many datagrams were sent.
fn flood_datagrams(media: SocketAddr, ufrag: &str, going: &AtomicBool) -> u64 {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("binds");
    let mut noise = Noise(1);
    let mut sent = 0;
    pace(going, |_| {
        for _ in 0..BURST.0 {
            let datagram = match sent % KINDS {
                0 => binding_request(ufrag, &mut noise),
                1 => binding_request("nobody00", &mut noise),
                2 => noise.behind(&[22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 200, 1], 213),
                3 => noise.behind(&[0x81, 201], 64),
                4 => noise.behind(&[0x80, 111], 120),
                5 => noise.behind(&[0x90, 96], LONG),
                // Neither STUN, DTLS nor RTP by its first byte; and STUN by that only.
                6 => noise.behind(&[0xff], 1 + noise.clone().below(LONG)),
                _ => noise.behind(&[0, 1, 0, 8, 0x21, 0x12, 0xa4, 0x42], 28),
            };
            // A datagram that is lost on the way is not sent again.
            let _ = socket.send_to(&datagram, media);
            sent += 1;
        }
    });
    sent
}

/// Floods by TCP; returns how many connections were opened. Some send frames of noise, some empty frames, some a frame that never ends.
fn flood_connections(media: SocketAddr, going: &AtomicBool) -> u64 {
    let mut noise = Noise(2);
    let (mut open, mut opened) = (VecDeque::new(), 0);
    pace(going, |number| {
        for _ in 0..CONNECTIONS.0 {
            if let Ok(stream) = TcpStream::connect_timeout(&media, Duration::from_millis(100)) {
                stream.set_nonblocking(true).expect("set");
                open.push_back((opened, stream));
                opened += 1;
            }
        }
        open.drain(..open.len().saturating_sub(CONNECTIONS.1));
        let content = [frames(&mut noise, 100), frames(&mut noise, 1), vec![0; 2_048], noise.behind(&[5, 120], 2_048)];
        for turn in 0..WRITES.min(open.len()) {
            let at = (number * WRITES + turn) % open.len();
            let (id, stream) = &mut open[at];
            // The server may have closed the connection.
            let _ = stream.write(&content[usize::try_from(*id).expect("few") % content.len()]);
        }
    });
    opened
}

/// 2 KiB of frames of noise of one length.
fn frames(noise: &mut Noise, len: u8) -> Vec<u8> {
    (0..2_048 / (usize::from(len) + 2)).flat_map(|_| noise.behind(&[0, len], usize::from(len) + 2)).collect()
}

/// A binding request that is valid except for its integrity (RFC 8489, section 14).
fn binding_request(ufrag: &str, noise: &mut Noise) -> Vec<u8> {
    let name = format!("{ufrag}:evil");
    let mut attributes = Vec::new();
    let mut add = |kind: u16, value: &[u8]| {
        attributes.extend_from_slice(&kind.to_be_bytes());
        attributes.extend_from_slice(&u16::try_from(value.len()).expect("short").to_be_bytes());
        attributes.extend_from_slice(value);
        attributes.resize(attributes.len().next_multiple_of(4), 0);
    };
    add(0x0006, name.as_bytes());
    add(0x0024, &[0x6e, 0, 0, 1]);
    add(0x0008, &noise.behind(&[], 20));
    let mut message = vec![0, 1];
    message.extend_from_slice(&u16::try_from(attributes.len()).expect("short").to_be_bytes());
    message.extend_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
    message.extend_from_slice(&noise.behind(&[], 12));
    message.extend_from_slice(&attributes);
    message
}

/// Bytes without order, the same in every run.
#[derive(Clone)]
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        // Marsaglia's xorshift64: not random, only different.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("small")
    }

    /// Noise behind a beginning, so many bytes altogether.
    fn behind(&mut self, begin: &[u8], len: usize) -> Vec<u8> {
        let mut bytes = begin.to_vec();
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
