//! The room's side of its media: orders go to the workers they are for, events come from all of them.

pub mod assignment;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use parlor_proto::{MediaCommand, RouterId};
use tokio::sync::mpsc;

use crate::media::placement::assignment::{Assignment, Load, Order, Seat};
use crate::media::worker::handle::{Command, Report, WorkerHandle};

/// Reports of one worker that wait for a room: answers to requests, of which each session has a handful
/// outstanding, and state changes, a few a second at the most.
const MAILBOX: usize = 1024;

/// A room's place on the workers. Dropping it tells the pool that the place is free.
#[derive(Debug)]
pub struct Placement {
    workers: Arc<[WorkerHandle]>,
    primary: usize,
    assignment: Assignment,
    /// The mailbox of each worker that has the router. The worker drops its end when it panics.
    mailboxes: Vec<mpsc::Receiver<Report>>,
    /// The mailbox to look into first; it changes so that no mailbox waits because of another.
    next: usize,
}

impl Placement {
    /// Makes the place of a room whose first worker is `primary`.
    pub(super) fn new(workers: Arc<[WorkerHandle]>, primary: usize) -> Self {
        if let Some(worker) = workers.get(primary) {
            worker.rooms.fetch_add(1, Ordering::Relaxed);
        }
        let assignment = Assignment::new(u16::try_from(primary).unwrap_or(0));
        Self { workers, primary, assignment, mailboxes: Vec::new(), next: 0 }
    }

    /// Passes an order on to the workers it is for.
    pub async fn command(&mut self, router: RouterId, command: MediaCommand) {
        let workers = &self.workers;
        let load =
            |w: &WorkerHandle| Load { resting: w.phase.resting.load(Ordering::Relaxed), receivers: w.receivers.load(Ordering::Relaxed) };
        let loads = || workers.iter().map(load).collect();
        let seat = |worker: u16| workers.get(usize::from(worker)).map(|worker| Seat::take(&worker.receivers)).unwrap_or_default();
        let orders = self.assignment.route(command, loads, seat);
        for (worker, order) in orders {
            let Some(worker) = self.workers.get(usize::from(worker)) else { continue };
            match order {
                Order::Begin => {
                    let (sender, mailbox) = mpsc::channel(MAILBOX);
                    self.mailboxes.push(mailbox);
                    worker.send(Command::Open(router, sender)).await;
                    worker.send(Command::Media(router, MediaCommand::CreateRouter)).await;
                }
                Order::Media(command) => worker.send(Command::Media(router, command)).await,
                Order::Mirror(producer, origin, from) => worker.send(Command::Mirror(router, producer, origin, from)).await,
                Order::Pipe(producer, to) => worker.send(Command::Pipe(router, producer, to)).await,
            }
        }
    }

    /// The next report of any worker; `None` if one of the workers lost its part of the room.
    pub async fn event(&mut self) -> Option<Report> {
        poll_fn(|context| self.poll_event(context)).await
    }

    fn poll_event(&mut self, context: &mut Context<'_>) -> Poll<Option<Report>> {
        for _ in 0..self.mailboxes.len() {
            self.next = (self.next + 1) % self.mailboxes.len();
            let polled = self.mailboxes.get_mut(self.next).map(|mailbox| mailbox.poll_recv(context));
            if let Some(Poll::Ready(event)) = polled {
                return Poll::Ready(event);
            }
        }
        Poll::Pending
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        if let Some(worker) = self.workers.get(self.primary) {
            worker.rooms.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
