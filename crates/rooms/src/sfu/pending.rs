//! Requests that wait for the media plane, each with its deadline.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use parlor_proto::{ConsumerId, Error, ErrorCode, ProducerId, SessionId, TransportId};

use crate::output::RequestId;

/// What is waited for. At most one request waits for each, which bounds the table by the objects there are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Operation {
    CreateTransport(TransportId),
    ConnectTransport(TransportId),
    RestartIce(TransportId),
    Produce(ProducerId),
    Consume(ConsumerId),
}

impl Operation {
    /// The error of a deadline that passed.
    pub(crate) fn timed_out(self) -> Error {
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

/// A session and its request that waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Waiting {
    pub(crate) session: SessionId,
    pub(crate) request: RequestId,
}

/// The waiting requests of a room.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    waiting: HashMap<Operation, (Waiting, Deadline)>,
    deadlines: BTreeMap<Deadline, Operation>,
    next: u64,
}

/// When, and a number that tells equal times apart in the order they were made.
type Deadline = (Instant, u64);

impl Pending {
    /// Lets a request wait. The caller has made sure that no other waits for the same operation.
    pub(crate) fn begin(&mut self, operation: Operation, waiting: Waiting, timeout: Duration, now: Instant) {
        let deadline = (now + timeout, self.next);
        self.next += 1;
        self.waiting.insert(operation, (waiting, deadline));
        self.deadlines.insert(deadline, operation);
    }

    /// Ends a wait and says whose it was; `None` if nobody waited.
    pub(crate) fn end(&mut self, operation: Operation) -> Option<Waiting> {
        let (waiting, deadline) = self.waiting.remove(&operation)?;
        self.deadlines.remove(&deadline);
        Some(waiting)
    }

    /// What a session waits for, the oldest deadline first.
    pub(crate) fn of(&self, session: SessionId) -> Vec<Operation> {
        let waits = |operation: &&Operation| self.waiting.get(*operation).is_some_and(|(w, _)| w.session == session);
        self.deadlines.values().filter(waits).copied().collect()
    }

    /// Whether somebody waits for this.
    pub(crate) fn contains(&self, operation: Operation) -> bool {
        self.waiting.contains_key(&operation)
    }

    /// The earliest deadline of all waiting requests.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.keys().next().map(|(at, _)| *at)
    }

    /// The operation whose deadline passed first; it still waits until it is ended.
    pub(crate) fn expired(&self, now: Instant) -> Option<Operation> {
        self.deadlines.iter().next().filter(|((at, _), _)| *at <= now).map(|(_, operation)| *operation)
    }

    /// Ends all waits, the oldest deadline first.
    pub(crate) fn drain(&mut self) -> Vec<Waiting> {
        let operations: Vec<Operation> = std::mem::take(&mut self.deadlines).into_values().collect();
        let ended = operations.into_iter().filter_map(|o| self.waiting.remove(&o)).map(|(waiting, _)| waiting).collect();
        self.waiting.clear();
        ended
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }
}
