//! Where the transports of one room are, and so which worker an order of the rules is for.
//!
//! All that is sent to us arrives on the room's first worker. Receivers of a large room are on others as well, with
//! mirrors of what they receive.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parlor_proto::media::MediaKind;
use parlor_proto::rtp::RtpParameters;
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, MediaCommand, MediaEvent, ProducerId, RouterId, TransportId};
use parlor_sfu::Mirror;

/// Receive transports that make a crossing worth its cost: it is about that of one receiver more, and the other
/// thread has to be woken. So many of a room stay together, and a worker gets its first only to save another so many.
const APART: usize = 8;

/// What one worker is to do.
#[derive(Debug)]
pub enum Order {
    /// From now on it has the room's router.
    Begin(RouterId),
    /// An order of the rules.
    Media(MediaCommand),
    /// Mirror a producer of the worker with this number.
    Mirror(Box<Mirror>, u16),
    /// Hand a producer's packets to the worker with this number as well.
    Pipe(ProducerId, u16),
}

/// How much a worker has to do.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// It pauses after a panic.
    pub resting: bool,
    /// Receive transports of all rooms.
    pub receivers: usize,
}

/// A receive transport's place on a worker, counted while it lives.
#[derive(Debug, Default)]
pub struct Seat(Arc<AtomicUsize>);

/// Where everything of one room is.
#[derive(Debug)]
pub struct Spread {
    primary: u16,
    /// Workers that have the router.
    workers: Vec<u16>,
    router: Option<RouterId>,
    transports: HashMap<TransportId, Place>,
    producers: HashMap<ProducerId, Source>,
    consumers: HashMap<ConsumerId, Target>,
}

#[derive(Debug)]
enum Place {
    /// A send transport, and what names its sender to receivers elsewhere.
    Sends {
        cname: String,
    },
    Receives {
        worker: u16,
        _seat: Seat,
    },
}

/// What a mirror has to know.
#[derive(Debug)]
struct Source {
    transport: TransportId,
    kind: MediaKind,
    rtp: Arc<RtpParameters>,
    paused: bool,
    /// Workers with a mirror.
    mirrors: Vec<u16>,
}

#[derive(Debug)]
struct Target {
    transport: TransportId,
    producer: ProducerId,
}

impl Seat {
    /// Takes one.
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

impl Spread {
    /// A room whose senders are on this worker.
    pub fn new(primary: u16) -> Self {
        let (transports, producers, consumers) = (HashMap::new(), HashMap::new(), HashMap::new());
        Self { primary, workers: Vec::new(), router: None, transports, producers, consumers }
    }

    /// Who is to do what, in this order. `loads` are those of all workers; `seat` is asked for a place on one.
    pub fn route(&mut self, command: MediaCommand, loads: impl Fn() -> Vec<Load>, seat: impl Fn(u16) -> Seat) -> Vec<(u16, Order)> {
        let mut orders = Vec::new();
        match &command {
            MediaCommand::CreateRouter { router } => {
                self.router = Some(*router);
                self.begin(self.primary, &mut orders);
                return orders;
            }
            MediaCommand::CloseRouter { .. } => {
                orders.extend(self.workers.drain(..).map(|worker| (worker, Order::Media(command.clone()))));
                *self = Self::new(self.primary);
                return orders;
            }
            MediaCommand::CreateTransport { transport, direction: Direction::Send, .. } => {
                let cname = format!("{:016x}", rand::random::<u64>());
                self.transports.insert(*transport, Place::Sends { cname });
                orders.push((self.primary, Order::Media(command)));
            }
            MediaCommand::CreateTransport { transport, direction: Direction::Recv, .. } => {
                let worker = self.choose(&loads);
                self.begin(worker, &mut orders);
                self.transports.insert(*transport, Place::Receives { worker, _seat: seat(worker) });
                orders.push((worker, Order::Media(command)));
            }
            MediaCommand::ConnectTransport { transport, .. } | MediaCommand::RestartIce { transport } => {
                orders.push((self.worker_of(*transport), Order::Media(command)));
            }
            MediaCommand::CloseTransport { transport } => {
                let transport = *transport;
                orders.push((self.worker_of(transport), Order::Media(command)));
                self.close_transport(transport, &mut orders);
            }
            MediaCommand::Produce { transport, producer, kind, rtp, paused, .. } => {
                let (kind, rtp, paused) = (*kind, Arc::clone(rtp), *paused);
                self.producers.insert(*producer, Source { transport: *transport, kind, rtp, paused, mirrors: Vec::new() });
                orders.push((self.primary, Order::Media(command)));
            }
            MediaCommand::SetProducerPaused { producer, paused } => {
                self.tell_all(*producer, &command, &mut orders);
                // Those who go on are to be ready before the first packet comes.
                if !paused {
                    orders.reverse();
                }
                self.producers.entry(*producer).and_modify(|source| source.paused = *paused);
            }
            // Held where it arrives; what a mirror gets has passed there.
            MediaCommand::SetProducerMaxBitrate { .. } => orders.push((self.primary, Order::Media(command))),
            MediaCommand::CloseProducer { producer } => {
                self.tell_all(*producer, &command, &mut orders);
                self.forget_producer(*producer);
            }
            MediaCommand::Consume { transport, consumer, producer, .. } => {
                let worker = self.worker_of(*transport);
                self.mirror(*producer, worker, &mut orders);
                self.consumers.insert(*consumer, Target { transport: *transport, producer: *producer });
                orders.push((worker, Order::Media(command)));
            }
            MediaCommand::SetConsumerPaused { consumer, .. }
            | MediaCommand::SetPreferredLayers { consumer, .. }
            | MediaCommand::RequestKeyFrame { consumer } => {
                let target = self.consumers.get(consumer);
                orders.extend(target.map(|target| (self.worker_of(target.transport), Order::Media(command))));
            }
            MediaCommand::CloseConsumer { consumer } => {
                let target = self.consumers.remove(consumer);
                orders.extend(target.map(|target| (self.worker_of(target.transport), Order::Media(command))));
            }
        }
        orders
    }

    /// What could not be made is not closed by the rules.
    pub fn note_event(&mut self, event: &MediaEvent) {
        match event {
            MediaEvent::ProduceFailed { producer, .. } => {
                self.forget_producer(*producer);
            }
            MediaEvent::ConsumeFailed { consumer, .. } => {
                self.consumers.remove(consumer);
            }
            _ => {}
        }
    }

    /// The worker for one more receiver.
    fn choose(&self, loads: impl Fn() -> Vec<Load>) -> u16 {
        let receives = |place: &&Place| matches!(place, Place::Receives { .. });
        if self.transports.values().filter(receives).count() < APART {
            return self.primary;
        }
        let candidates = (0_u16..).zip(loads()).map(|(worker, load)| {
            let is_new = !self.workers.contains(&worker);
            (load.resting, load.receivers + if is_new { APART } else { 0 }, is_new, worker)
        });
        candidates.min().map_or(self.primary, |(.., worker)| worker)
    }

    fn begin(&mut self, worker: u16, orders: &mut Vec<(u16, Order)>) {
        if let Some(router) = self.router.filter(|_| !self.workers.contains(&worker)) {
            self.workers.push(worker);
            orders.push((worker, Order::Begin(router)));
        }
    }

    /// Makes sure that a worker has a producer's packets.
    fn mirror(&mut self, id: ProducerId, worker: u16, orders: &mut Vec<(u16, Order)>) {
        let Some((source, router)) = self.producers.get_mut(&id).zip(self.router) else { return };
        if worker == self.primary || source.mirrors.contains(&worker) {
            return;
        }
        let Some(Place::Sends { cname }) = self.transports.get(&source.transport) else { return };
        source.mirrors.push(worker);
        let (kind, rtp, paused, cname) = (source.kind, Arc::clone(&source.rtp), source.paused, cname.clone());
        let mirror = Box::new(Mirror { router, producer: id, kind, rtp, paused, cname });
        orders.push((worker, Order::Mirror(mirror, self.primary)));
        orders.push((self.primary, Order::Pipe(id, worker)));
    }

    /// The worker of a transport. It matters little for one that closed a moment ago.
    fn worker_of(&self, transport: TransportId) -> u16 {
        match self.transports.get(&transport) {
            Some(Place::Receives { worker, .. }) => *worker,
            _ => self.primary,
        }
    }

    /// To the worker of a producer, and to all with a mirror of it.
    fn tell_all(&self, producer: ProducerId, command: &MediaCommand, orders: &mut Vec<(u16, Order)>) {
        let mirrors = self.producers.get(&producer).into_iter().flat_map(|source| &source.mirrors);
        orders.extend([&self.primary].into_iter().chain(mirrors).map(|worker| (*worker, Order::Media(command.clone()))));
    }

    fn close_transport(&mut self, transport: TransportId, orders: &mut Vec<(u16, Order)>) {
        self.transports.remove(&transport);
        self.consumers.retain(|_, target| target.transport != transport);
        let its = self.producers.iter().filter(|(_, source)| source.transport == transport);
        let gone: Vec<ProducerId> = its.map(|(producer, _)| *producer).collect();
        for producer in gone {
            // The worker it was sent to closes it with its transport.
            for worker in self.forget_producer(producer) {
                orders.push((worker, Order::Media(MediaCommand::CloseProducer { producer })));
            }
        }
    }

    fn forget_producer(&mut self, producer: ProducerId) -> Vec<u16> {
        let Some(source) = self.producers.remove(&producer) else { return Vec::new() };
        self.consumers.retain(|_, target| target.producer != producer);
        source.mirrors
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::media::Source as Shown;
    use parlor_proto::rtp::{RtcpParameters, RtpCapabilities};

    use super::*;

    const ROUTER: RouterId = RouterId::from_random(1);
    const SEND: TransportId = TransportId::from_random(2);

    /// A room that begins on the first of so many workers.
    struct Room {
        spread: Spread,
        receivers: Vec<Arc<AtomicUsize>>,
        resting: Vec<u16>,
    }

    fn room(workers: usize) -> Room {
        let receivers = (0..workers).map(|_| Arc::default()).collect();
        let mut room = Room { spread: Spread::new(0), receivers, resting: Vec::new() };
        assert_eq!(room.workers_of(MediaCommand::CreateRouter { router: ROUTER }), [0]);
        room.command(MediaCommand::CreateTransport { router: ROUTER, transport: SEND, direction: Direction::Send });
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
            self.spread.route(command, loads, |worker| Seat::take(&receivers[usize::from(worker)]))
        }

        fn workers_of(&mut self, command: MediaCommand) -> Vec<u16> {
            self.command(command).into_iter().map(|(worker, _)| worker).collect()
        }

        /// The worker of one more receiver.
        fn receive(&mut self, transport: u128) -> u16 {
            let transport = TransportId::from_random(transport);
            let orders = self.workers_of(MediaCommand::CreateTransport { router: ROUTER, transport, direction: Direction::Recv });
            *orders.last().expect("an order")
        }

        fn produce(&mut self, producer: u128) -> ProducerId {
            let producer = ProducerId::from_random(producer);
            let rtcp = RtcpParameters::default();
            let rtp = RtpParameters { mid: None, codecs: Vec::new(), header_extensions: Vec::new(), encodings: Vec::new(), rtcp };
            let (kind, source, rtp) = (MediaKind::Audio, Shown::Mic, Arc::new(rtp));
            let produce = MediaCommand::Produce { transport: SEND, producer, kind, source, rtp, paused: false, max_bitrate: 1 };
            assert_eq!(self.workers_of(produce), [0]);
            producer
        }

        fn consume(&mut self, transport: u128, consumer: u128, producer: ProducerId) -> Vec<(u16, Order)> {
            let (transport, consumer) = (TransportId::from_random(transport), ConsumerId::from_random(consumer));
            let capabilities = Arc::new(RtpCapabilities::default());
            self.command(MediaCommand::Consume { transport, consumer, producer, capabilities, paused: false })
        }

        fn load(&self) -> Vec<usize> {
            self.receivers.iter().map(|receivers| receivers.load(Ordering::Relaxed)).collect()
        }
    }

    /// A room of two workers; the result is the number of a receive transport on the second.
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
    fn a_worker_learns_of_a_producer_once_and_before_who_receives_it() {
        let (mut room, far) = large_room();
        let (sound, picture) = (room.produce(1), room.produce(2));
        let orders = room.consume(far, 1, sound);
        let [(1, Order::Mirror(mirror, 0)), (0, Order::Pipe(piped, 1)), (1, Order::Media(MediaCommand::Consume { .. }))] = &orders[..]
        else {
            panic!("{orders:?}")
        };
        assert_eq!((mirror.router, mirror.producer, *piped), (ROUTER, sound, sound));
        let orders = room.consume(far, 2, picture);
        let [(1, Order::Mirror(other, 0)), ..] = &orders[..] else { panic!("{orders:?}") };
        assert!(!mirror.cname.is_empty() && mirror.cname == other.cname, "sound and picture of one sender belong together");
        let orders = room.consume(far, 3, sound);
        assert!(matches!(orders[..], [(1, Order::Media(MediaCommand::Consume { .. }))]), "{orders:?}");
        let orders = room.consume(100, 4, sound);
        assert!(matches!(orders[..], [(0, Order::Media(MediaCommand::Consume { .. }))]), "{orders:?}");
    }

    #[test]
    fn what_is_for_a_receiver_goes_where_it_is() {
        let (mut room, far) = large_room();
        let sound = room.produce(1);
        room.consume(far, 1, sound);
        let (transport, consumer) = (TransportId::from_random(far), ConsumerId::from_random(1));
        assert_eq!(room.workers_of(MediaCommand::RestartIce { transport }), [1]);
        assert_eq!(room.workers_of(MediaCommand::RequestKeyFrame { consumer }), [1]);
        assert_eq!(room.workers_of(MediaCommand::SetConsumerPaused { consumer, paused: true }), [1]);
        assert_eq!(room.workers_of(MediaCommand::CloseConsumer { consumer }), [1]);
        assert!(room.command(MediaCommand::RequestKeyFrame { consumer }).is_empty());
        assert_eq!(room.workers_of(MediaCommand::RestartIce { transport: SEND }), [0]);
    }

    #[test]
    fn what_becomes_of_a_producer_is_told_wherever_it_is() {
        let (mut room, far) = large_room();
        let producer = room.produce(1);
        room.consume(far, 1, producer);
        assert_eq!(room.workers_of(MediaCommand::SetProducerPaused { producer, paused: true }), [0, 1]);
        assert_eq!(room.workers_of(MediaCommand::SetProducerPaused { producer, paused: false }), [1, 0], "ready before packets come");
        assert_eq!(room.workers_of(MediaCommand::CloseProducer { producer }), [0, 1]);
        assert!(room.spread.producers.is_empty() && room.spread.consumers.is_empty());
    }

    #[test]
    fn a_mirror_made_during_a_pause_is_paused() {
        let (mut room, far) = large_room();
        let producer = room.produce(1);
        room.command(MediaCommand::SetProducerPaused { producer, paused: true });
        let orders = room.consume(far, 1, producer);
        assert!(matches!(&orders[..], [(1, Order::Mirror(mirror, 0)), ..] if mirror.paused), "{orders:?}");
    }

    #[test]
    fn a_sender_who_goes_leaves_no_mirror() {
        let (mut room, far) = large_room();
        let sound = room.produce(1);
        room.consume(far, 1, sound);
        let orders = room.command(MediaCommand::CloseTransport { transport: SEND });
        let [(0, Order::Media(MediaCommand::CloseTransport { .. })), (1, Order::Media(MediaCommand::CloseProducer { producer }))] =
            orders[..]
        else {
            panic!("{orders:?}")
        };
        assert_eq!(producer, sound);
        assert!(room.spread.producers.is_empty() && room.spread.consumers.is_empty());
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
        let (mut room, far) = large_room();
        let sound = room.produce(1);
        room.consume(far, 1, sound);
        assert_eq!(room.workers_of(MediaCommand::CloseRouter { router: ROUTER }), [0, 1]);
        assert_eq!(room.load(), [0, 0]);
    }

    #[test]
    fn what_could_not_be_made_is_forgotten() {
        let (mut room, far) = large_room();
        let sound = room.produce(1);
        room.consume(far, 1, sound);
        let error = parlor_proto::Error::new(parlor_proto::ErrorCode::Incompatible);
        room.spread.note_event(&MediaEvent::ConsumeFailed { consumer: ConsumerId::from_random(1), error: error.clone() });
        assert!(room.spread.consumers.is_empty());
        room.spread.note_event(&MediaEvent::ProduceFailed { producer: sound, error });
        assert!(room.spread.producers.is_empty());
    }
}
