//! Packets through a TURN server, both ways, at a steady rate; and what they cost.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use parlor_bots::affinity::CpuTime;
use parlor_bots::turn::{channel_data, indication};
use parlor_udp::Inbox;
use serde::Serialize;
use socket2::SockRef;

use super::servers::Measured;

/// The channel of every client.
const CHANNEL: u16 = 0x4000;
/// Between two times of sending.
const TICK: Duration = Duration::from_millis(1);
/// Ticks between two looks at what arrived at clients.
const LOOK: u32 = 8;
/// How long packets under way are waited for at the end.
const DRAIN: Duration = Duration::from_millis(200);
/// The receive buffer of the peer, which all clients talk to.
const PEER_BUFFER: usize = 4 << 20;
/// The receive buffer of a client: what comes between two looks at it. By default the kernel keeps some 90 packets of 1,200
/// bytes, and what it throws away beyond that would count as lost by the server.
const CLIENT_BUFFER: usize = 1 << 20;

/// How packets are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum Form {
    /// In messages of a channel (RFC 8656, section 12).
    Channels,
    /// Send and Data indications.
    Indications,
}

/// What is relayed.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub form: Form,
    pub size: usize,
    pub clients: usize,
    pub rate: usize,
    pub window: Duration,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Row {
    /// Packets that arrived, for each second.
    pub relayed_per_second: f64,
    /// Microseconds of processor time for each of them.
    pub us_per_packet: f64,
    /// What of it was spent in the program.
    pub user_us: f64,
    /// Packets that did not arrive, in percent.
    pub lost_percent: f64,
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Channels => "channel data",
            Form::Indications => "indications",
        };
        write!(f, "{form}, {} bytes", self.size)
    }
}

/// The peer of all clients.
pub fn peer() -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    SockRef::from(&socket).set_recv_buffer_size(PEER_BUFFER)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// The two ends of the relays.
struct Ends {
    peer: UdpSocket,
    clients: Vec<(UdpSocket, SocketAddr)>,
    inbox: Inbox,
    /// What a client sends, and what the peer does.
    packets: (Vec<u8>, Vec<u8>),
}

impl Load {
    /// Relays for a while.
    pub fn run(&self, measured: &Measured, peer: UdpSocket) -> anyhow::Result<Row> {
        let mut ends = self.open(measured, peer)?;
        // What the first packets cost more is nobody's measurement.
        self.relay(&mut ends, self.window / 8)?;
        let (before, begin) = (measured.process.cpu_time()?, Instant::now());
        let (sent, received) = self.relay(&mut ends, self.window)?;
        let (cpu, elapsed) = (measured.process.cpu_time()?.since(before), begin.elapsed());
        Ok(row(sent, received, cpu, elapsed))
    }

    fn open(&self, measured: &Measured, peer: UdpSocket) -> anyhow::Result<Ends> {
        let address = peer.local_addr()?;
        let mut clients = Vec::new();
        for number in 0..self.clients {
            let (mut client, relayed) = measured.client(number, [127, 0, 0, 1])?;
            match self.form {
                Form::Channels => client.bind(CHANNEL, address)?,
                Form::Indications => client.permit(address)?,
            }
            let Some(socket) = client.into_socket() else { continue };
            socket.set_nonblocking(true)?;
            SockRef::from(&socket).set_recv_buffer_size(CLIENT_BUFFER)?;
            clients.push((socket, relayed));
        }
        let payload = vec![0xb5; self.size];
        let from_client = match self.form {
            Form::Channels => channel_data(CHANNEL, &payload),
            Form::Indications => indication(address, &payload),
        };
        Ok(Ends { peer, clients, inbox: Inbox::default(), packets: (from_client, payload) })
    }

    /// Sends at the rate for a while, one packet of each client after the other; answers how many were sent and received.
    fn relay(&self, ends: &mut Ends, time: Duration) -> anyhow::Result<(u64, u64)> {
        let begin = Instant::now();
        let (mut sent, mut received, mut ticks) = (0_u64, 0_u64, 0_u32);
        while begin.elapsed() < time {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a count of packets")]
            let due = (begin.elapsed().as_secs_f64() * self.rate as f64) as u64;
            while sent < due {
                sent += ends.send(sent)?;
            }
            received += ends.receive_at_peer()?;
            ticks += 1;
            if ticks.is_multiple_of(LOOK) {
                received += ends.receive_at_clients()?;
            }
            std::thread::sleep(TICK);
        }
        let end = Instant::now();
        while end.elapsed() < DRAIN {
            received += ends.receive_at_peer()? + ends.receive_at_clients()?;
            std::thread::sleep(TICK);
        }
        Ok((sent, received))
    }
}

impl Ends {
    /// A packet each way, of the client whose turn it is.
    fn send(&mut self, number: u64) -> anyhow::Result<u64> {
        let index = usize::try_from(number / 2)? % self.clients.len().max(1);
        let Some((socket, relayed)) = self.clients.get(index) else { return Ok(2) };
        socket.send(&self.packets.0)?;
        self.peer.send_to(&self.packets.1, relayed)?;
        Ok(2)
    }

    fn receive_at_peer(&mut self) -> anyhow::Result<u64> {
        Ok(drain(&mut self.inbox, &self.peer))
    }

    fn receive_at_clients(&mut self) -> anyhow::Result<u64> {
        Ok(self.clients.iter().map(|(socket, _)| drain(&mut self.inbox, socket)).sum())
    }
}

/// Counts what waits in a socket.
fn drain(inbox: &mut Inbox, socket: &UdpSocket) -> u64 {
    let mut count = 0;
    while inbox.receive(socket.as_fd()).is_ok() {
        while inbox.next().is_some() {
            count += 1;
        }
    }
    count
}

#[expect(clippy::cast_precision_loss, reason = "counts of some seconds")]
fn row(sent: u64, received: u64, cpu: CpuTime, elapsed: Duration) -> Row {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / received.max(1) as f64;
    Row {
        relayed_per_second: received as f64 / elapsed.as_secs_f64(),
        us_per_packet: each(cpu.total()),
        user_us: each(cpu.user),
        lost_percent: 100.0 * sent.saturating_sub(received) as f64 / sent.max(1) as f64,
    }
}
