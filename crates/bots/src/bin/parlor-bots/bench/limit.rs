//! The limit: a bare loop that seals and sends the same packets, and does nothing else.
//!
//! AES-128-GCM over packets of the same size to as many destinations as the workload has, on the server's core,
//! while a thread on the bots' core reads them. Four ways to send: one call a packet, one call for many packets, the same
//! with a sleep between the calls, and one call for several packets of equal size to one destination (segmentation offload).

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use nix::sys::socket::{ControlMessage, MsgFlags, MultiHeaders, SockaddrIn, sendmmsg, sendmsg};
use parlor_bots::affinity::{self, CpuTime};
use serde::Serialize;

use super::Cores;

/// RTP header with one-byte extensions for mid and transport-wide sequence number.
const HEADER: usize = 24;
/// What GCM adds (RFC 7714).
const TAG: usize = 16;
/// Packets of one `sendmmsg`.
const MANY: usize = 64;
/// Packets of one segmented send: what a batch of 2 ms has for one member of a room of 50, and about one video frame.
const SEGMENTS: usize = 5;
/// What lies between two packets that arrive from a room of 25 talkers. A core that slept so long is slower at first.
const PAUSE: Duration = Duration::from_micros(800);

/// Processor time of one packet, in microseconds.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cost {
    /// Time spent in the program.
    pub user_us: f64,
    /// Time spent in the kernel.
    pub system_us: f64,
    /// Packets that the reader got, of those sent.
    pub delivered: f64,
}

impl Cost {
    /// Time spent in the program and in the kernel.
    pub fn total(&self) -> f64 {
        self.user_us + self.system_us
    }
}

/// What sending costs at the least.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Limits {
    /// One `sendto` for each packet.
    pub sendto: Cost,
    /// `sendmmsg` for many packets.
    pub sendmmsg: Cost,
    /// `sendmmsg`, one packet to every destination, and then a sleep of [`PAUSE`].
    pub calm: Cost,
    /// Segmentation offload of the kernel.
    pub gso: Cost,
}

/// Measures all four ways to send.
pub async fn measure(payload: usize, destinations: usize, each: Duration, cores: Option<Cores>) -> anyhow::Result<Limits> {
    // On a thread of its own, which is then bound to the server's core.
    tokio::task::spawn_blocking(move || {
        let run = |way: Way| way.measure(payload, destinations.max(1), each / 4, cores);
        Ok(Limits { sendto: run(Way::One)?, sendmmsg: run(Way::Many)?, calm: run(Way::Calm)?, gso: run(Way::Segmented)? })
    })
    .await?
}

#[derive(Clone, Copy)]
enum Way {
    One,
    Many,
    Calm,
    Segmented,
}

impl Way {
    fn measure(self, payload: usize, destinations: usize, time: Duration, cores: Option<Cores>) -> anyhow::Result<Cost> {
        let readers = (0..destinations).map(|_| UdpSocket::bind("127.0.0.1:0")).collect::<io::Result<Vec<_>>>()?;
        let addresses = readers.iter().map(UdpSocket::local_addr).collect::<io::Result<Vec<_>>>()?;
        let (stop, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let reader = {
            let (stop, read) = (Arc::clone(&stop), Arc::clone(&read));
            std::thread::spawn(move || read_all(&readers, &stop, &read, cores))
        };
        let sender = std::thread::spawn(move || self.send(payload, &addresses, time, cores));
        let (sent, used) = sender.join().map_err(|_| anyhow::anyhow!("the sending thread panicked"))??;
        stop.store(true, Ordering::Relaxed);
        reader.join().map_err(|_| anyhow::anyhow!("the reading thread panicked"))??;
        #[expect(clippy::cast_precision_loss, reason = "a count of packets")]
        let (sent, read) = (sent as f64, read.load(Ordering::Relaxed) as f64);
        Ok(Cost {
            user_us: used.user.as_secs_f64() * 1e6 / sent,
            system_us: used.system.as_secs_f64() * 1e6 / sent,
            delivered: read / sent,
        })
    }

    fn send(self, payload: usize, to: &[SocketAddr], time: Duration, cores: Option<Cores>) -> anyhow::Result<(u64, CpuTime)> {
        if let Some(cores) = cores {
            affinity::pin_current_thread(cores.server)?;
        }
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let mut seal = Seal::new(payload)?;
        let (before, begin, mut sent) = (CpuTime::of_this_thread()?, Instant::now(), 0);
        while begin.elapsed() < time {
            sent += match self {
                Self::One => send_each(&socket, &mut seal, to)?,
                Self::Many => send_many(&socket, &mut seal, to)?,
                Self::Calm => {
                    std::thread::sleep(PAUSE);
                    send_many(&socket, &mut seal, to)?
                }
                Self::Segmented => send_segmented(&socket, &mut seal, to)?,
            };
        }
        Ok((sent, CpuTime::of_this_thread()?.since(before)))
    }
}

/// Seals packets one after the other into an arena.
struct Seal {
    key: LessSafeKey,
    counter: u64,
    payload: Vec<u8>,
    arena: Vec<u8>,
}

impl Seal {
    fn new(payload: usize) -> anyhow::Result<Self> {
        let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).ok().context("cannot make a key")?;
        Ok(Self { key: LessSafeKey::new(key), counter: 0, payload: vec![0x5a; payload], arena: Vec::new() })
    }

    const fn packet_len(&self) -> usize {
        HEADER + self.payload.len() + TAG
    }

    /// Adds one sealed packet to the arena.
    fn push(&mut self) -> anyhow::Result<()> {
        self.counter += 1;
        let mut header = [0x90; HEADER];
        let (number, _) = header.split_at_mut(8);
        number.copy_from_slice(&self.counter.to_be_bytes());
        let mut nonce = [0; 12];
        let (_, low) = nonce.split_at_mut(4);
        low.copy_from_slice(&self.counter.to_be_bytes());
        self.arena.extend_from_slice(&header);
        let begin = self.arena.len();
        self.arena.extend_from_slice(&self.payload);
        let sealed = self.arena.get_mut(begin..).unwrap_or_default();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(header), sealed).ok().context("cannot seal")?;
        self.arena.extend_from_slice(tag.as_ref());
        Ok(())
    }
}

fn send_each(socket: &UdpSocket, seal: &mut Seal, to: &[SocketAddr]) -> anyhow::Result<u64> {
    for address in to {
        seal.arena.clear();
        seal.push()?;
        socket.send_to(&seal.arena, address)?;
    }
    Ok(to.len() as u64)
}

fn send_many(socket: &UdpSocket, seal: &mut Seal, to: &[SocketAddr]) -> anyhow::Result<u64> {
    let mut headers = MultiHeaders::<SockaddrIn>::preallocate(MANY, None);
    for group in to.chunks(MANY) {
        seal.arena.clear();
        for _ in group {
            seal.push()?;
        }
        let slices: Vec<[IoSlice<'_>; 1]> = seal.arena.chunks(seal.packet_len()).map(|packet| [IoSlice::new(packet)]).collect();
        let addresses: Vec<Option<SockaddrIn>> = group.iter().map(|a| sockaddr(*a)).collect();
        let none: [ControlMessage<'_>; 0] = [];
        sendmmsg(socket.as_raw_fd(), &mut headers, slices.iter(), &addresses, none, MsgFlags::empty())?;
    }
    Ok(to.len() as u64)
}

fn send_segmented(socket: &UdpSocket, seal: &mut Seal, to: &[SocketAddr]) -> anyhow::Result<u64> {
    for address in to {
        seal.arena.clear();
        for _ in 0..SEGMENTS {
            seal.push()?;
        }
        let size = u16::try_from(seal.packet_len())?;
        let control = [ControlMessage::UdpGsoSegments(&size)];
        let slices = [IoSlice::new(&seal.arena)];
        sendmsg(socket.as_raw_fd(), &slices, &control, MsgFlags::empty(), sockaddr(*address).as_ref())?;
    }
    Ok((to.len() * SEGMENTS) as u64)
}

fn sockaddr(address: SocketAddr) -> Option<SockaddrIn> {
    match address {
        SocketAddr::V4(address) => Some(address.into()),
        SocketAddr::V6(_) => None,
    }
}

fn read_all(sockets: &[UdpSocket], stop: &AtomicBool, read: &AtomicU64, cores: Option<Cores>) -> anyhow::Result<()> {
    if let Some(cores) = cores {
        affinity::pin_current_thread(cores.bots)?;
    }
    for socket in sockets {
        socket.set_nonblocking(true)?;
    }
    let mut buffer = [0; 2048];
    while !stop.load(Ordering::Relaxed) {
        for socket in sockets {
            while socket.recv(&mut buffer).is_ok() {
                read.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}
