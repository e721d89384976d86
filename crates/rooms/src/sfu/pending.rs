//! Requests that wait for the media plane, each with its deadline.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parlor_proto::{ConsumerId, Error, ErrorCode, ProducerId, SessionId, TransportId};

use crate::core::Asker;

/// What is waited for. At most one request waits for each, which bounds the table by the objects there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Operation {
    CreateTransport(TransportId),
    ConnectTransport(TransportId),
    RestartIce(TransportId),
    Produce(ProducerId),
    Consume(ConsumerId),
}

impl Operation {
    /// The error of a deadline that passed.
    pub(super) fn timed_out(self) -> Error {
        let name = match self {
            Self::CreateTransport(_) => "createTransport",
            Self::ConnectTransport(_) => "connectTransport",
            Self::RestartIce(_) => "restartIce",
            Self::Produce(_) => "produce",
            Self::Consume(_) => "consume",
        };
        Error::new(ErrorCode::Timeout).with("operation", name)
    }
}

/// The waiting requests of a room.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: HashMap<Operation, (Asker, Deadline)>,
    deadlines: BTreeMap<Deadline, Operation>,
    next: u64,
}

/// When, and a number that tells equal times apart in the order they were made.
type Deadline = (Instant, u64);

impl Pending {
    /// Lets a request wait. The caller has made sure that no other waits for the same operation.
    pub(super) fn begin(&mut self, operation: Operation, asker: Asker, timeout: Duration, now: Instant) {
        let deadline = (now + timeout, self.next);
        self.next += 1;
        self.waiting.insert(operation, (asker, deadline));
        self.deadlines.insert(deadline, operation);
    }

    /// Ends a wait and says whose it was; `None` if nobody waited.
    pub(super) fn end(&mut self, operation: Operation) -> Option<Asker> {
        let (asker, deadline) = self.waiting.remove(&operation)?;
        self.deadlines.remove(&deadline);
        Some(asker)
    }

    /// What a session waits for, the oldest deadline first.
    pub(super) fn of(&self, session: SessionId) -> Vec<Operation> {
        let waits = |operation: &&Operation| self.waiting.get(*operation).is_some_and(|(asker, _)| asker.session == session);
        self.deadlines.values().filter(waits).copied().collect()
    }

    /// Whether somebody waits for this.
    pub(super) fn contains(&self, operation: Operation) -> bool {
        self.waiting.contains_key(&operation)
    }

    /// The earliest deadline of all waiting requests.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.keys().next().map(|(at, _)| *at)
    }

    /// The operation whose deadline passed first; it still waits until it is ended.
    pub(super) fn expired(&self, now: Instant) -> Option<Operation> {
        self.deadlines.iter().next().filter(|((at, _), _)| *at <= now).map(|(_, operation)| *operation)
    }

    /// Ends all waits, the oldest deadline first.
    pub(super) fn drain(&mut self) -> Vec<Asker> {
        let operations: Vec<Operation> = std::mem::take(&mut self.deadlines).into_values().collect();
        let ended = operations.into_iter().filter_map(|o| self.waiting.remove(&o)).map(|(asker, _)| asker).collect();
        self.waiting.clear();
        ended
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
