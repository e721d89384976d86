//! Arbitrary datagrams, frames and gaps in time for the media plane.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use parlor_proto::MediaEvent;
use parlor_proto::ids::{RouterId, TransportId};
use parlor_proto::media::MediaCommand;
use parlor_proto::transport::{Direction, IceParameters, Protocol};
use parlor_sfu::{Datagram, LocalCandidate, Sfu, SfuConfig};

use crate::bytes::Bytes;
use crate::common::{dtls, origin};
use crate::stun;

const MAX_STEPS: usize = 128;
/// Outputs one input may cause: far more than a handshake flight, far fewer than a loop without end.
const MAX_OUTPUTS: usize = 10_000;
const ROUTER: RouterId = RouterId::from_random(1);
const SERVER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7401);

/// Runs the sequence that `data` spells.
pub fn run(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut world = World::new();
    for _ in 0..MAX_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
    }
}

struct World {
    sfu: Sfu,
    now: Instant,
    credentials: Vec<IceParameters>,
    checks: u8,
}

impl World {
    fn new() -> Self {
        let now = origin();
        let candidates = [Protocol::Udp, Protocol::Tcp].map(|protocol| LocalCandidate { protocol, address: SERVER });
        let sfu = Sfu::new(SfuConfig::new(candidates.to_vec()), now).expect("the configuration is valid");
        let mut world = Self { sfu, now, credentials: Vec::new(), checks: 0 };
        world.command(MediaCommand::CreateRouter);
        for (n, direction) in [(1, Direction::Send), (2, Direction::Recv)] {
            let transport = TransportId::from_random(n);
            world.command(MediaCommand::CreateTransport { transport, direction });
            world.command(MediaCommand::ConnectTransport { transport, dtls: dtls() });
        }
        assert_eq!(world.credentials.len(), 2, "both transports were made");
        world
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let protocol = if bytes.flag() { Protocol::Tcp } else { Protocol::Udp };
        let remote = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 40_000 + u16::from(bytes.byte() % 4));
        match bytes.below(8) {
            0 => self.check(bytes, protocol, remote),
            1 => self.spoiled_check(bytes, protocol, remote),
            2 => self.pass(Duration::from_millis(u64::from(bytes.byte()) * 50)),
            3 => self.sfu.handle_tcp_closed(remote, self.now),
            _ => {
                let len = usize::from(bytes.byte()) * 6;
                let datagram = bytes.take(len);
                self.sfu.handle_datagram(Datagram { protocol, local: SERVER, remote, bytes: datagram }, self.now);
            }
        }
        self.drain();
    }

    /// A check that passes: from then on the address belongs to the transport, and what follows goes deeper.
    fn check(&mut self, bytes: &mut Bytes<'_>, protocol: Protocol, remote: SocketAddr) {
        let message = self.binding_request(bytes);
        self.sfu.handle_datagram(Datagram { protocol, local: SERVER, remote, bytes: &message }, self.now);
        self.checks = self.checks.wrapping_add(1);
    }

    /// One that was changed or cut short on the way.
    fn spoiled_check(&mut self, bytes: &mut Bytes<'_>, protocol: Protocol, remote: SocketAddr) {
        let mut message = self.binding_request(bytes);
        for _ in 0..=bytes.below(4) {
            let at = bytes.below(message.len().max(1));
            let value = bytes.byte();
            if let Some(byte) = message.get_mut(at) {
                *byte = value;
            }
        }
        message.truncate(message.len().saturating_sub(bytes.below(16)));
        self.sfu.handle_datagram(Datagram { protocol, local: SERVER, remote, bytes: &message }, self.now);
    }

    fn binding_request(&self, bytes: &mut Bytes<'_>) -> Vec<u8> {
        let which = bytes.below(self.credentials.len().max(1));
        let Some(ice) = self.credentials.get(which) else { return Vec::new() };
        stun::binding_request(&format!("{}:client", ice.username_fragment), &ice.password, [self.checks; 12])
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.sfu.handle_timeout(self.now);
    }

    fn command(&mut self, command: MediaCommand) {
        self.sfu.handle_command(ROUTER, command, self.now);
        self.drain();
    }

    fn drain(&mut self) {
        for outputs in 0.. {
            assert!(outputs < MAX_OUTPUTS, "one input causes outputs without end");
            let transmit = self.sfu.poll_transmit();
            let event = self.sfu.poll_event();
            if let Some((_, MediaEvent::TransportCreated { ice, .. })) = &event {
                self.credentials.push(ice.clone());
            }
            if transmit.is_none() && event.is_none() {
                break;
            }
        }
    }
}
