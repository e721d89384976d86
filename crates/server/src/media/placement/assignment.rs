//! Assigns orders of a room to workers, in a room that may be on several.
//!
//! Everything clients send to the room arrives on its first worker. Receivers of a large room are on other workers as
//! well, with mirrors of the producers they receive. The only state here is the worker of each receive transport; an
//! order brings along everything else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parlor_proto::media::Origin;
use parlor_proto::transport::Direction;
use parlor_proto::{MediaCommand, ProducerId, TransportId};

/// How many receive transports make another worker worth its cost: a mirror costs about as much as one more receiver,
/// and the other thread has to be woken. So many transports of a room stay together, and another worker gets its first
/// only to save the busier one as many.
const APART: usize = 8;

/// An order to one worker of the room.
#[derive(Debug)]
pub enum Order {
    /// The worker has the room's router from now on.
    Begin,
    /// An order of the room's rules.
    Media(MediaCommand),
    /// Mirror a producer of the worker with this number, unless it is mirrored already.
    Mirror(ProducerId, Box<Origin>, u16),
    /// Hand a producer's packets to the worker with this number as well.
    Pipe(ProducerId, u16),
}

/// How much a worker has to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Whether the worker pauses after a panic.
    pub resting: bool,
    /// Receive transports of all rooms on the worker.
    pub receivers: usize,
}

/// A receive transport's place on a worker, counted while it lives.
#[derive(Debug, Default)]
pub struct Seat(Arc<AtomicUsize>);

/// The workers that the receivers of one room are on.
#[derive(Debug)]
pub struct Assignment {
    primary: u16,
    /// Workers that have the router.
    workers: Vec<u16>,
    receivers: HashMap<TransportId, Place>,
}

/// The place of a receive transport.
#[derive(Debug)]
struct Place {
    worker: u16,
    _seat: Seat,
}

impl Seat {
    /// Takes a place on the worker with this count of receivers.
    pub fn take(receivers: &Arc<AtomicUsize>) -> Self {
        receivers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(receivers))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Assignment {
    /// Makes the assignment of a room whose senders are on this worker.
    pub fn new(primary: u16) -> Self {
        Self { primary, workers: Vec::new(), receivers: HashMap::new() }
    }

    /// Assigns an order: returns the workers and what each has to do, in this order. `loads` gives the loads of all
    /// workers; `seat` takes a place on one.
    pub fn route(&mut self, command: MediaCommand, loads: impl Fn() -> Vec<Load>, seat: impl Fn(u16) -> Seat) -> Vec<(u16, Order)> {
        let mut orders = Vec::new();
        match command {
            MediaCommand::CreateRouter => self.begin(self.primary, &mut orders),
            MediaCommand::CloseRouter => {
                self.tell_all(&command, &mut orders);
                *self = Self::new(self.primary);
            }
            MediaCommand::CreateTransport { transport, direction: Direction::Recv } => {
                let worker = self.choose(&loads);
                self.begin(worker, &mut orders);
                self.receivers.insert(transport, Place { worker, _seat: seat(worker) });
                orders.push((worker, Order::Media(command)));
            }
            // The limit applies where media arrives; a mirror gets only what has passed it.
            MediaCommand::CreateTransport { direction: Direction::Send, .. }
            | MediaCommand::Produce { .. }
            | MediaCommand::SetProducerMaxBitrate { .. } => orders.push((self.primary, Order::Media(command))),
            MediaCommand::CloseTransport { transport } => match self.receivers.remove(&transport) {
                Some(place) => orders.push((place.worker, Order::Media(command))),
                // When a send transport closes, the mirrors of its producers close too.
                None => self.tell_all(&command, &mut orders),
            },
            MediaCommand::SetProducerPaused { paused, .. } => {
                self.tell_all(&command, &mut orders);
                // Workers with mirrors have to be ready before the first packet comes.
                if !paused {
                    orders.reverse();
                }
            }
            MediaCommand::CloseProducer { .. } => self.tell_all(&command, &mut orders),
            MediaCommand::Consume { transport, producer, ref origin, .. } => {
                let worker = self.worker_of(transport);
                if worker != self.primary {
                    orders.push((worker, Order::Mirror(producer, Box::new(origin.clone()), self.primary)));
                    orders.push((self.primary, Order::Pipe(producer, worker)));
                }
                orders.push((worker, Order::Media(command)));
            }
            MediaCommand::ConnectTransport { transport, .. }
            | MediaCommand::RestartIce { transport }
            | MediaCommand::SetConsumerPaused { transport, .. }
            | MediaCommand::CloseConsumer { transport, .. }
            | MediaCommand::SetPreferredLayers { transport, .. }
            | MediaCommand::RequestKeyFrame { transport, .. } => orders.push((self.worker_of(transport), Order::Media(command))),
        }
        orders
    }

    /// Chooses the worker for one more receiver.
    fn choose(&self, loads: impl Fn() -> Vec<Load>) -> u16 {
        if self.receivers.len() < APART {
            return self.primary;
        }
        let candidates = (0_u16..).zip(loads()).map(|(worker, load)| {
            let is_new = !self.workers.contains(&worker);
            (load.resting, load.receivers + if is_new { APART } else { 0 }, is_new, worker)
        });
        candidates.min().map_or(self.primary, |(.., worker)| worker)
    }

    fn begin(&mut self, worker: u16, orders: &mut Vec<(u16, Order)>) {
        if !self.workers.contains(&worker) {
            self.workers.push(worker);
            orders.push((worker, Order::Begin));
        }
    }

    /// The worker of a transport. Send transports are on the first worker; for a transport that closed a moment ago it matters little.
    fn worker_of(&self, transport: TransportId) -> u16 {
        self.receivers.get(&transport).map_or(self.primary, |place| place.worker)
    }

    /// Sends an order to all workers of the room, beginning with the first. A worker that has nothing of it does nothing.
    fn tell_all(&self, command: &MediaCommand, orders: &mut Vec<(u16, Order)>) {
        orders.extend(self.workers.iter().map(|worker| (*worker, Order::Media(command.clone()))));
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::ConsumerId;
    use parlor_proto::media::{MediaKind, Source};
    use parlor_proto::rtp::{RtcpParameters, RtpCapabilities, RtpParameters};

    use super::*;

    const SEND: TransportId = TransportId::from_random(2);

    fn origin() -> Origin {
        let rtcp = RtcpParameters::default();
        let rtp = RtpParameters { mid: None, codecs: Vec::new(), header_extensions: Vec::new(), encodings: Vec::new(), rtcp };
        Origin { transport: SEND, kind: MediaKind::Audio, rtp: Arc::new(rtp), paused: true }
    }

    /// A room whose first worker is the first of so many.
    struct Room {
        assignment: Assignment,
        receivers: Vec<Arc<AtomicUsize>>,
        resting: Vec<u16>,
    }

    fn room(workers: usize) -> Room {
        let receivers = (0..workers).map(|_| Arc::default()).collect();
        let mut room = Room { assignment: Assignment::new(0), receivers, resting: Vec::new() };
        assert_eq!(room.workers_of(MediaCommand::CreateRouter), [0]);
        room.command(MediaCommand::CreateTransport { transport: SEND, direction: Direction::Send });
        room
    }

    impl Room {
        fn command(&mut self, command: MediaCommand) -> Vec<(u16, Order)> {
            let (receivers, resting) = (&self.receivers, &self.resting);
            let load = |(worker, receivers): (u16, &Arc<AtomicUsize>)| Load {
                resting: resting.contains(&worker),
                receivers: receivers.load(Ordering::Relaxed),
            };
            let loads = || (0..).zip(receivers).map(load).collect();
            self.assignment.route(command, loads, |worker| Seat::take(&receivers[usize::from(worker)]))
        }

        fn workers_of(&mut self, command: MediaCommand) -> Vec<u16> {
            self.command(command).into_iter().map(|(worker, _)| worker).collect()
        }

        /// Adds a receiver and returns its worker.
        fn receive(&mut self, transport: u128) -> u16 {
            let transport = TransportId::from_random(transport);
            let orders = self.workers_of(MediaCommand::CreateTransport { transport, direction: Direction::Recv });
            *orders.last().expect("an order")
        }

        fn produce(&mut self, producer: u128) -> ProducerId {
            let (producer, origin) = (ProducerId::from_random(producer), origin());
            let (kind, rtp, source) = (origin.kind, origin.rtp, Source::Mic);
            let produce = MediaCommand::Produce { transport: SEND, producer, kind, source, rtp, paused: false, max_bitrate: 1 };
            assert_eq!(self.workers_of(produce), [0]);
            producer
        }

        fn consume(&mut self, transport: u128, consumer: u128, producer: ProducerId) -> Vec<(u16, Order)> {
            let (transport, consumer) = (TransportId::from_random(transport), ConsumerId::from_random(consumer));
            let (origin, capabilities) = (origin(), Arc::new(RtpCapabilities::default()));
            self.command(MediaCommand::Consume { transport, consumer, producer, origin, capabilities, paused: false })
        }

        fn load(&self) -> Vec<usize> {
            self.receivers.iter().map(|receivers| receivers.load(Ordering::Relaxed)).collect()
        }
    }

    /// A room on two workers, and the number of a receive transport on the second.
    fn large_room() -> (Room, u128) {
        let mut room = room(2);
        let far = (100..120).find(|transport| room.receive(*transport) == 1).expect("a receiver on the second");
        (room, far)
    }

    #[test]
    fn receivers_stay_together_until_leaving_saves_something() {
        let mut room = room(2);
        let workers: Vec<u16> = (100..120).map(|transport| room.receive(transport)).collect();
        assert_eq!(workers[..9], [0; 9]);
        assert_eq!(workers[9..18], [1; 9], "until both have the same");
        assert_eq!(room.load(), [10, 10]);
    }

    #[test]
    fn a_small_room_stays_whatever_others_have_to_do() {
        let mut room = room(2);
        room.receivers[0].store(1_000, Ordering::Relaxed);
        assert!((100..108).all(|transport| room.receive(transport) == 0));
        assert_eq!(room.receive(108), 1);
    }

    #[test]
    fn no_receiver_goes_to_a_worker_that_rests() {
        let mut room = room(3);
        room.resting = vec![1];
        let workers: Vec<u16> = (100..120).map(|transport| room.receive(transport)).collect();
        assert!(workers.contains(&2) && !workers.contains(&1), "{workers:?}");
    }

    #[test]
    fn a_worker_learns_of_a_producer_before_who_receives_it() {
        let (mut room, far) = large_room();
        let sound = room.produce(1);
        let orders = room.consume(far, 1, sound);
        let [(1, Order::Mirror(mirrored, described, 0)), (0, Order::Pipe(piped, 1)), (1, Order::Media(MediaCommand::Consume { .. }))] =
            &orders[..]
        else {
            panic!("{orders:?}")
        };
        assert_eq!((*mirrored, *piped, &**described), (sound, sound, &origin()));
        let orders = room.consume(100, 4, sound);
        assert!(matches!(orders[..], [(0, Order::Media(MediaCommand::Consume { .. }))]), "{orders:?}");
    }

    #[test]
    fn what_is_for_a_receiver_goes_where_it_is() {
        let (mut room, far) = large_room();
        let (transport, consumer) = (TransportId::from_random(far), ConsumerId::from_random(1));
        assert_eq!(room.workers_of(MediaCommand::RestartIce { transport }), [1]);
        assert_eq!(room.workers_of(MediaCommand::RequestKeyFrame { transport, consumer }), [1]);
        assert_eq!(room.workers_of(MediaCommand::SetConsumerPaused { transport, consumer, paused: true }), [1]);
        assert_eq!(room.workers_of(MediaCommand::CloseConsumer { transport, consumer }), [1]);
        assert_eq!(room.workers_of(MediaCommand::RestartIce { transport: SEND }), [0]);
    }

    #[test]
    fn what_becomes_of_a_producer_is_told_wherever_it_may_be() {
        let (mut room, _) = large_room();
        let producer = room.produce(1);
        assert_eq!(room.workers_of(MediaCommand::SetProducerPaused { producer, paused: true }), [0, 1]);
        assert_eq!(room.workers_of(MediaCommand::SetProducerPaused { producer, paused: false }), [1, 0], "ready before packets come");
        assert_eq!(room.workers_of(MediaCommand::CloseProducer { producer }), [0, 1]);
        assert_eq!(room.workers_of(MediaCommand::CloseTransport { transport: SEND }), [0, 1]);
    }

    #[test]
    fn a_receiver_who_goes_frees_its_place() {
        let (mut room, far) = large_room();
        let transport = TransportId::from_random(far);
        let before = room.load();
        assert_eq!(room.workers_of(MediaCommand::CloseTransport { transport }), [1]);
        assert_eq!(room.load(), [before[0], before[1] - 1]);
    }

    #[test]
    fn the_end_of_a_room_is_told_to_all_its_workers_and_frees_all() {
        let (mut room, _) = large_room();
        assert_eq!(room.workers_of(MediaCommand::CloseRouter), [0, 1]);
        assert_eq!(room.load(), [0, 0]);
    }
}
