//! Groups what is to be sent into messages the kernel cuts up itself (UDP generic segmentation offload).

use std::net::SocketAddr;

/// Datagrams of one message at the most: what every kernel with `UDP_SEGMENT` allows (`UDP_MAX_SEGMENTS`; newer
/// ones allow more).
pub(crate) const MAX_RUN: usize = 64;
/// Bytes of one message at the most: below what an IPv4 or IPv6 datagram can carry.
const MAX_BYTES: usize = 65_000;
/// A longer datagram does not fit an Ethernet frame (1,500 less the IPv4 and UDP headers). The kernel refuses to
/// make segments that need fragments, so such a one goes alone.
const MAX_SEGMENT: usize = 1_472;
/// Numbers of destinations a table is kept for: 4 MiB of it, and more receivers than a worker can serve. What
/// has a higher number is sent, but not grouped.
const MAX_DESTINATIONS: usize = 1 << 20;
/// The end of a chain.
const NONE: u32 = u32::MAX;

/// One datagram of a batch, and where it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Entry {
    /// A number for the destination, below some thousands: datagrams with the same number leave by the same queue, and those
    /// that go to the same address as well may share a message.
    pub destination: u32,
    /// The address of the destination.
    pub to: SocketAddr,
    /// The place of the datagram in the batch.
    pub piece: Piece,
    /// The number of the queue it belongs into.
    pub queue: usize,
}

/// A datagram's place in the bytes of its batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// Where the piece begins.
    pub start: usize,
    /// How long the piece is.
    pub len: usize,
}

/// Datagrams for one destination: all as long as the first, only the last may be shorter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Message {
    /// The number of the destination; the messages of one follow each other.
    pub destination: u32,
    /// The address the message goes to.
    pub to: SocketAddr,
    /// The first of its pieces in [`SendQueue::pieces`].
    pub first: usize,
    /// How many pieces the message has.
    pub count: usize,
}

/// What one socket has to send. The pieces of the messages are those of the queue, in order.
#[derive(Debug, Default)]
pub struct SendQueue {
    /// Every datagram, destination by destination.
    pub pieces: Vec<Piece>,
    /// What they are sent as.
    pub messages: Vec<Message>,
}

/// Sorts a batch by destination. It keeps its memory from batch to batch.
#[derive(Debug, Default)]
pub struct Grouper {
    chains: Vec<Chain>,
    /// For each datagram the next one with its destination.
    next: Vec<u32>,
    /// For each number of a destination its chain; an entry of an earlier batch points to none or to another's.
    by_destination: Vec<u32>,
}

/// The datagrams of one destination.
#[derive(Debug)]
struct Chain {
    destination: u32,
    head: u32,
    tail: u32,
}

impl SendQueue {
    fn clear(&mut self) {
        self.pieces.clear();
        self.messages.clear();
    }

    /// Takes the next datagram for a destination; `open`: the last message is for the same, and it may join it.
    fn push(&mut self, Entry { destination, to, piece, .. }: Entry, open: bool) {
        let joined = self.messages.last_mut().filter(|message| open && message.to == to).is_some_and(|message| {
            let run = self.pieces.get(message.first..).unwrap_or_default();
            let fits = joins(run, piece);
            message.count += usize::from(fits);
            fits
        });
        if !joined {
            self.messages.push(Message { destination, to, first: self.pieces.len(), count: 1 });
        }
        self.pieces.push(piece);
    }
}

impl Grouper {
    /// Fills the queues, replacing what is in them. `read` says of each element of the batch where it goes; what goes to
    /// none of the queues is left out.
    ///
    /// The order within a destination stays as it is. Putting packets of different streams in order of length
    /// would make longer runs (Opus with its varying lengths: 2.0 to 2.4 datagrams a message instead of 1.3 to
    /// 1.6, and 10 to 30 % less time in the kernel), but here they are sealed: their transport-wide numbers would
    /// arrive out of order. Equal lengths save far more: 75 % with 8 of them.
    pub fn group<T>(&mut self, batch: &[T], queues: &mut [SendQueue], read: impl Fn(&T) -> Option<Entry>) {
        queues.iter_mut().for_each(SendQueue::clear);
        self.chain(batch, &read);
        let entry = |at: u32| usize::try_from(at).ok().and_then(|at| batch.get(at)).and_then(&read);
        for chain in &self.chains {
            let mut at = chain.head;
            let Some(first) = entry(at) else { continue };
            let Some(queue) = queues.get_mut(first.queue) else { continue };
            let mut open = false;
            while let Some(datagram) = entry(at) {
                queue.push(datagram, open);
                open = true;
                at = usize::try_from(at).ok().and_then(|at| self.next.get(at)).copied().unwrap_or(NONE);
            }
        }
    }

    fn chain<T>(&mut self, batch: &[T], read: impl Fn(&T) -> Option<Entry>) {
        self.chains.clear();
        self.next.clear();
        self.next.resize(batch.len(), NONE);
        for (index, element) in (0..NONE).zip(batch) {
            let Some(Entry { destination, .. }) = read(element) else { continue };
            let Some(entry) = self.entry(destination) else {
                self.chains.push(Chain { destination, head: index, tail: index });
                continue;
            };
            let known = usize::try_from(*entry).ok();
            let count = u32::try_from(self.chains.len()).unwrap_or(NONE);
            match known.and_then(|n| self.chains.get_mut(n)).filter(|chain| chain.destination == destination) {
                Some(chain) => {
                    let tail = usize::try_from(std::mem::replace(&mut chain.tail, index)).ok();
                    if let Some(next) = tail.and_then(|tail| self.next.get_mut(tail)) {
                        *next = index;
                    }
                }
                None => {
                    if let Some(entry) = self.entry(destination) {
                        *entry = count;
                    }
                    self.chains.push(Chain { destination, head: index, tail: index });
                }
            }
        }
    }

    /// The table's entry for a destination; the table grows to hold it.
    fn entry(&mut self, destination: u32) -> Option<&mut u32> {
        let number = usize::try_from(destination).ok().filter(|number| *number < MAX_DESTINATIONS)?;
        if number >= self.by_destination.len() {
            self.by_destination.resize(number + 1, NONE);
        }
        self.by_destination.get_mut(number)
    }
}

/// Whether a datagram can be sent in one message with those before it.
fn joins(run: &[Piece], piece: Piece) -> bool {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return false };
    // An empty one would add nothing to the message, and be lost.
    let size_fits = (1..=MAX_SEGMENT).contains(&first.len) && (1..=first.len).contains(&piece.len);
    size_fits && last.len == first.len && run.len() < MAX_RUN && (run.len() + 1) * first.len <= MAX_BYTES
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, port).into()
    }

    /// A batch of datagrams with these destinations and lengths.
    fn entries(what: &[(u32, usize)]) -> Vec<Entry> {
        let mut start = 0;
        let place = |&(destination, len): &(u32, usize)| {
            let to = address(u16::try_from(destination % 60_000).expect("small"));
            let entry = Entry { destination, to, piece: Piece { start, len }, queue: 0 };
            start += len;
            entry
        };
        what.iter().map(place).collect()
    }

    /// The lengths of the runs, destination by destination.
    fn runs(what: &[(u32, usize)]) -> Vec<(u16, Vec<usize>)> {
        let mut queues = [SendQueue::default()];
        Grouper::default().group(&entries(what), &mut queues, |entry| Some(*entry));
        let run = |m: &Message| queues[0].pieces[m.first..m.first + m.count].iter().map(|p| p.len).collect();
        queues[0].messages.iter().map(|m| (m.to.port(), run(m))).collect()
    }

    #[test]
    fn equal_lengths_for_one_destination_are_one_message_and_the_last_may_be_shorter() {
        let what = [(1, 100), (2, 50), (1, 100), (2, 60), (1, 90), (1, 90)];
        assert_eq!(runs(&what), [(1, vec![100, 100, 90]), (1, vec![90]), (2, vec![50]), (2, vec![60])]);
    }

    #[test]
    fn datagrams_of_one_number_for_two_addresses_are_two_messages() {
        let entry = |port, start| Entry { destination: 7, to: address(port), piece: Piece { start, len: 10 }, queue: 0 };
        let mut queues = [SendQueue::default()];
        Grouper::default().group(&[entry(1, 0), entry(1, 10), entry(2, 20), entry(1, 30)], &mut queues, |entry| Some(*entry));
        let sent: Vec<_> = queues[0].messages.iter().map(|m| (m.destination, m.to.port(), m.count)).collect();
        assert_eq!(sent, [(7, 1, 2), (7, 2, 1), (7, 1, 1)]);
    }

    #[test]
    fn a_message_keeps_to_the_limits_of_the_kernel() {
        let count = |run: (u16, Vec<usize>)| run.1.len();
        let lengths = |len| runs(&vec![(1, len); 100]).into_iter().map(count).collect::<Vec<_>>();
        assert_eq!(lengths(100), [64, 36]);
        assert_eq!(lengths(1_400), [46, 46, 8]);
        assert_eq!(lengths(1_472), [44, 44, 12]);
        assert_eq!(lengths(1_473), [1; 100]);
        assert_eq!(lengths(0), [1; 100]);
    }

    #[test]
    fn a_destination_of_an_unexpected_number_is_sent_to_ungrouped() {
        assert_eq!(runs(&[(u32::MAX, 10), (1, 7), (u32::MAX, 10)]).len(), 3);
    }

    #[test]
    fn each_datagram_goes_to_its_outbox_or_to_none() {
        let all = entries(&[(1, 10), (2, 10), (3, 10), (1, 10), (4, 10)]);
        let mut queues = [SendQueue::default(), SendQueue::default()];
        let read = |entry: &Entry| match entry.destination {
            3 => None,
            4 => Some(Entry { queue: 2, ..*entry }),
            other => Some(Entry { queue: usize::from(other == 2), ..*entry }),
        };
        Grouper::default().group(&all, &mut queues, read);
        assert_eq!(queues.map(|o| o.pieces.iter().map(|p| p.start).collect::<Vec<_>>()), [vec![0, 30], vec![10]]);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_or_reordered_and_an_earlier_batch_leaves_no_trace(
            batches in proptest::collection::vec(proptest::collection::vec((0_u32..6, 0_usize..4), 0..200), 1..4)
        ) {
            let (mut grouper, mut queues) = (Grouper::default(), [SendQueue::default()]);
            for what in batches {
                let all = entries(&what);
                grouper.group(&all, &mut queues, |entry| Some(*entry));
                let [queue] = &queues;
                let mut sent = 0;
                for message in &queue.messages {
                    prop_assert_eq!(message.first, sent);
                    sent += message.count;
                    let (last, rest) = queue.pieces[message.first..sent].split_last().expect("not empty");
                    prop_assert!(rest.iter().all(|piece| piece.len == rest[0].len && piece.len >= last.len));
                }
                prop_assert_eq!(sent, all.len());
                for destination in 0..6_u32 {
                    let to = address(u16::try_from(destination).expect("small"));
                    let expected: Vec<Piece> =
                        all.iter().filter(|entry| entry.destination == destination).map(|entry| entry.piece).collect();
                    let of = |m: &&Message| m.to == to;
                    let sent: Vec<Piece> = queue.messages.iter().filter(of).flat_map(|m| queue.pieces[m.first..m.first + m.count].to_vec()).collect();
                    prop_assert_eq!(sent, expected);
                }
            }
        }
    }
}
