//! Pipes between media threads: batches of packets go one way, emptied batches and requests for key frames come back.
//!
//! The number of batches on their way from one thread to another is bounded. While a thread waits for one to come back,
//! packets collect in its `Sfu`; nothing here grows, and no thread waits for another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use parlor_sfu::{PipeBatch, Sfu, WantedKeyFrame};

/// Batches on their way from one thread to another. If the other thread is so many turns behind, the next batch is larger instead.
const UNDER_WAY: u8 = 8;
/// Requests for key frames that may wait for a thread: a few a second for each picture. A request that is lost is made again.
const WISHES: usize = 256;
/// The time after which a thread that has no batch left for another looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(1);

/// An item that one thread gives another.
enum Item {
    /// Packets for mirrors on the receiving thread.
    Full(u16, PipeBatch),
    /// A batch of the receiving thread that comes back emptied.
    Emptied(u16, PipeBatch),
    /// A request for a key frame by a mirror on the giving thread.
    Wanted(WantedKeyFrame),
}

/// The ends of all pipes that one thread has.
pub struct Pipes {
    index: u16,
    inbox: Receiver<Item>,
    woken: Arc<AtomicBool>,
    /// The threads by their number, this thread itself included; only itself if there is no other.
    threads: Vec<Thread>,
    spare: Vec<PipeBatch>,
    /// Whether there may be more in the inbox.
    more: bool,
    /// Whether packets are to be handed over and no batch is left for them.
    short: bool,
}

/// A thread at the other end of a pipe.
struct Thread {
    inbox: SyncSender<Item>,
    waker: Arc<mio::Waker>,
    /// Whether the thread was woken and has not looked yet.
    woken: Arc<AtomicBool>,
    under_way: u8,
}

/// Connects threads with each other; the results are in the order of their wakers.
pub fn connect(wakers: &[Arc<mio::Waker>]) -> Vec<Pipes> {
    let others = wakers.len().saturating_sub(1);
    let room = 2 * usize::from(UNDER_WAY) * others + WISHES;
    let ends: Vec<_> = wakers.iter().map(|waker| (sync_channel(room), waker, Arc::new(AtomicBool::new(false)))).collect();
    let thread = |((inbox, _), waker, woken): &(_, &Arc<mio::Waker>, Arc<AtomicBool>)| {
        let inbox: &SyncSender<Item> = inbox;
        Thread { inbox: inbox.clone(), waker: Arc::clone(waker), woken: Arc::clone(woken), under_way: 0 }
    };
    let all: Vec<Vec<Thread>> = ends.iter().map(|_| ends.iter().map(thread).collect()).collect();
    let numbered = (0_u16..).zip(ends.into_iter().zip(all));
    let pipes = numbered.map(|(index, (((_, inbox), _, woken), threads))| Pipes {
        index,
        inbox,
        woken,
        threads,
        spare: Vec::new(),
        more: false,
        short: false,
    });
    pipes.collect()
}

impl Pipes {
    /// Whether there may be something to take without waiting.
    pub fn is_busy(&self) -> bool {
        self.more
    }

    /// The time to call [`Pipes::hand_over`] again, even if nothing happens until then.
    pub fn retry(&self, now: Instant) -> Option<Instant> {
        self.short.then(|| now + LOOK_AGAIN)
    }

    /// Takes what other threads gave; returns how many batches of packets that was.
    pub fn take(&mut self, sfu: &mut Sfu, now: Instant) -> usize {
        let others = self.threads.len() - 1;
        if others == 0 {
            return 0;
        }
        // The flag is reset before looking: a thread that gives something afterwards wakes this thread again.
        self.woken.store(false, Ordering::SeqCst);
        let mut batches = 0;
        // A turn takes as many items as may wait at once: a thread that gives new batches as fast as they are handled
        // gets no longer turn.
        for _ in 0..2 * usize::from(UNDER_WAY) * others + WISHES {
            match self.inbox.try_recv() {
                Ok(Item::Full(from, batch)) => {
                    let returning = Returning { to: self.threads.get(usize::from(from)), by: self.index, batch };
                    sfu.handle_piped(&returning.batch, now);
                    batches += 1;
                }
                Ok(Item::Emptied(by, batch)) => {
                    if let Some(thread) = self.threads.get_mut(usize::from(by)) {
                        thread.under_way = thread.under_way.saturating_sub(1);
                    }
                    self.spare.push(batch);
                }
                Ok(Item::Wanted(wanted)) => sfu.want_key_frame(&wanted, now),
                Err(_) => {
                    self.more = false;
                    return batches;
                }
            }
        }
        self.more = true;
        batches
    }

    /// Hands over the packets and requests for other threads.
    pub fn hand_over(&mut self, sfu: &mut Sfu) {
        while let Some(wanted) = sfu.poll_wanted() {
            if let Some(thread) = self.threads.get(usize::from(wanted.thread)) {
                thread.give(Item::Wanted(wanted));
            }
        }
        self.short = false;
        if sfu.piped().next().is_none() {
            return;
        }
        self.give_each(|thread, empty| sfu.take_piped(thread, empty));
        self.short = sfu.piped().next().is_some();
    }

    /// Gives every other thread its packets, unless it has enough to do.
    fn give_each(&mut self, mut take: impl FnMut(u16, PipeBatch) -> Result<PipeBatch, PipeBatch>) {
        for (number, thread) in (0_u16..).zip(&mut self.threads).filter(|(number, _)| *number != self.index) {
            if thread.under_way >= UNDER_WAY {
                continue;
            }
            match take(number, self.spare.pop().unwrap_or_default()) {
                Ok(batch) => thread.under_way += u8::from(thread.give(Item::Full(self.index, batch))),
                Err(empty) => self.spare.push(empty),
            }
        }
    }
}

impl Thread {
    /// Gives the thread an item, and wakes it unless it is awake. Returns false if it takes nothing, because the server stops.
    fn give(&self, item: Item) -> bool {
        let given = self.inbox.try_send(item).is_ok();
        if given && !self.woken.swap(true, Ordering::SeqCst) {
            let _ = self.waker.wake();
        }
        given
    }
}

/// A batch that goes back to the thread that filled it, even if handling it panics: otherwise there would be fewer each time.
struct Returning<'a> {
    to: Option<&'a Thread>,
    by: u16,
    batch: PipeBatch,
}

impl Drop for Returning<'_> {
    fn drop(&mut self) {
        if let Some(thread) = self.to {
            // The other thread is not woken: if it is short of batches it looks again by itself.
            let _ = thread.inbox.try_send(Item::Emptied(self.by, std::mem::take(&mut self.batch)));
        }
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::transport::Protocol;
    use parlor_sfu::{LocalCandidate, SfuConfig};

    use super::*;

    struct End {
        pipes: Pipes,
        poll: mio::Poll,
        sfu: Sfu,
    }

    fn sfu() -> Sfu {
        let candidate = LocalCandidate { protocol: Protocol::Udp, address: ([127, 0, 0, 1], 7401).into() };
        Sfu::new(SfuConfig::new(vec![candidate]), Instant::now()).expect("an sfu")
    }

    fn ends() -> [End; 2] {
        let polls = [(); 2].map(|()| mio::Poll::new().expect("a poll"));
        let wakers = polls.each_ref().map(|poll| Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker")));
        let mut pipes = connect(&wakers).into_iter();
        polls.map(|poll| End { pipes: pipes.next().expect("its pipes"), poll, sfu: sfu() })
    }

    impl End {
        fn take(&mut self) -> usize {
            self.pipes.take(&mut self.sfu, Instant::now())
        }

        fn give(&mut self) -> bool {
            let (index, other) = (self.pipes.index, &mut self.pipes.threads[usize::from(1 - self.pipes.index)]);
            let given = other.give(Item::Full(index, PipeBatch::default()));
            other.under_way += u8::from(given);
            given
        }

        fn under_way(&self) -> u8 {
            self.pipes.threads[usize::from(1 - self.pipes.index)].under_way
        }

        fn is_woken(&mut self) -> bool {
            let mut events = mio::Events::with_capacity(4);
            self.poll.poll(&mut events, Some(Duration::ZERO)).expect("polls");
            !events.is_empty()
        }
    }

    #[test]
    fn a_thread_is_woken_once_until_it_looks() {
        let [mut first, mut second] = ends();
        assert!(first.give());
        assert!(second.is_woken());
        assert!(first.give());
        assert!(!second.is_woken(), "it was woken, and has not looked yet");
        assert_eq!(second.take(), 2);
        assert!(first.give());
        assert!(second.is_woken());
    }

    #[test]
    fn a_batch_comes_back_to_be_filled_again() {
        let [mut first, mut second] = ends();
        for _ in 0..100 {
            assert!(first.give());
            assert_eq!((first.under_way(), second.take(), first.take()), (1, 1, 0));
            assert_eq!(first.under_way(), 0);
            assert_eq!(first.pipes.spare.pop().map(|batch| batch.is_empty()), Some(true));
            assert!(!first.is_woken(), "not for this");
        }
    }

    #[test]
    fn a_batch_comes_back_though_handling_it_panics() {
        let [mut first, second] = ends();
        assert!(first.give());
        let by = second.pipes.index;
        let handled = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let Ok(Item::Full(from, batch)) = second.pipes.inbox.try_recv() else { return };
            let _returning = Returning { to: second.pipes.threads.get(usize::from(from)), by, batch };
            panic!("on purpose");
        }));
        assert!(handled.is_err());
        first.take();
        assert_eq!(first.under_way(), 0);
    }

    #[test]
    fn who_is_many_batches_behind_gets_no_more_until_some_come_back() {
        let [mut first, mut second] = ends();
        let given = |first: &mut End| {
            let mut asked = 0;
            for _ in 0..100 {
                first.pipes.give_each(|thread, empty| {
                    assert_eq!(thread, 1, "not to itself");
                    asked += 1;
                    Ok(empty)
                });
            }
            asked
        };
        assert_eq!(given(&mut first), usize::from(UNDER_WAY));
        for _ in 0..3 {
            assert_eq!(second.take(), usize::from(UNDER_WAY));
            first.take();
            assert_eq!(first.pipes.spare.len(), usize::from(UNDER_WAY), "the same ones go round");
            assert_eq!(given(&mut first), usize::from(UNDER_WAY));
        }
    }

    #[test]
    fn a_full_inbox_takes_nothing_more_and_a_turn_ends() {
        let [first, mut second] = ends();
        let room = 2 * usize::from(UNDER_WAY) + WISHES;
        assert_eq!((0..2 * room).filter(|_| first.pipes.threads[1].give(Item::Full(0, PipeBatch::default()))).count(), room);
        assert_eq!(second.take(), room);
        assert!(second.pipes.is_busy(), "there may be more");
        assert_eq!(second.take(), 0);
        assert!(!second.pipes.is_busy());
    }

    #[test]
    fn a_thread_alone_has_nothing_to_do() {
        let poll = mio::Poll::new().expect("a poll");
        let waker = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker"));
        let mut pipes = connect(&[waker]);
        let (mut sfu, now) = (sfu(), Instant::now());
        assert_eq!(pipes[0].take(&mut sfu, now), 0);
        pipes[0].hand_over(&mut sfu);
        assert_eq!((pipes[0].is_busy(), pipes[0].retry(now)), (false, None));
    }
}
