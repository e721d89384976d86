//! When each transport has its next turn.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use crate::table::{Table, TransportIndex};
use crate::transport::Transport;

/// Times that were brought forward stay in the list until they come. When it is longer than this, for all and for each
/// transport, it is made anew.
const MAX_STALE: usize = 256;
const MAX_STALE_EACH: usize = 8;

/// The transports by the time of their next turn. An entry counts if its time is also the transport's own (`Transport::scheduled`).
#[derive(Debug, Default)]
pub(crate) struct Timers(BinaryHeap<Reverse<(Instant, TransportIndex)>>);

impl Timers {
    /// Keeps the earliest of a transport's times; when it comes, the transport says what comes after.
    pub(crate) fn schedule(&mut self, transports: &mut Table<TransportIndex, Transport>, index: TransportIndex, at: Instant) {
        let Some(transport) = transports.get_mut(index).filter(|transport| transport.has_turn_after(at)) else { return };
        transport.scheduled = Some(at);
        self.0.push(Reverse((at, index)));
        if self.0.len() > MAX_STALE + MAX_STALE_EACH * transports.len() {
            self.0 = transports.iter().filter_map(|(index, transport)| Some(Reverse((transport.scheduled?, index)))).collect();
        }
    }

    /// The next transport whose turn it is at `now`.
    pub(crate) fn due(&mut self, transports: &mut Table<TransportIndex, Transport>, now: Instant) -> Option<TransportIndex> {
        while let Some(Reverse((at, index))) = self.0.peek().copied().filter(|Reverse((at, _))| *at <= now) {
            self.0.pop();
            if let Some(transport) = transports.get_mut(index).filter(|transport| transport.scheduled == Some(at)) {
                transport.scheduled = None;
                return Some(index);
            }
        }
        None
    }

    /// When there may be somebody's turn next.
    pub(crate) fn next(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, _))| *at)
    }
}
