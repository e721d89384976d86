//! Transports: one to send and one to receive for each participant.

use parlor_proto::event::{Event, Reply};
use parlor_proto::transport::{Direction, DtlsParameters, IceCandidate, IceParameters, TransportFailure, TransportState};
use parlor_proto::{Error, ErrorCode, MediaCommand, SessionId, TransportId};
use std::time::Instant;

use crate::ending::Ending;
use crate::feed::CLOSED;
use crate::output::RequestId;
use crate::participant::{Stage, Transport, invalid_state, not_found};
use crate::room::{Answer, Room};
use crate::sfu::pending::{Operation, Waiting};

impl Room {
    pub(crate) fn create_transport(&mut self, session: SessionId, request: RequestId, direction: Direction, now: Instant) -> Answer {
        let id = self.ids.transport();
        let slot = self.participant(session)?.transport(direction);
        if slot.is_some() {
            return Err(invalid_state("a transport of this direction exists"));
        }
        *slot = Some(Transport { id, stage: Stage::Creating });
        self.owners.transports.insert(id, session);
        let timeout = self.config.policy.create_transport_timeout;
        self.pending.begin(Operation::CreateTransport(id), Waiting { session, request }, timeout, now);
        self.media(MediaCommand::CreateTransport { transport: id, direction });
        Ok(None)
    }

    pub(crate) fn transport_created(&mut self, id: TransportId, ice: IceParameters, candidates: Vec<IceCandidate>, dtls: DtlsParameters) {
        let Some((direction, transport)) = self.transport_mut(id) else { return };
        if transport.stage != Stage::Creating {
            return;
        }
        transport.stage = Stage::Created;
        let reply =
            Reply::TransportCreated { transport_id: id, direction, ice_parameters: ice, ice_candidates: candidates, dtls_parameters: dtls };
        self.settle(Operation::CreateTransport(id), Ok(reply));
    }

    pub(crate) fn connect_transport(
        &mut self,
        session: SessionId,
        request: RequestId,
        id: TransportId,
        dtls: DtlsParameters,
        now: Instant,
    ) -> Answer {
        let (_, transport) = self.participant(session)?.own_transport(id)?;
        if transport.stage == Stage::Connected {
            return Err(invalid_state("the transport was connected before"));
        }
        transport.stage = Stage::Connected;
        let timeout = self.config.policy.connect_transport_timeout;
        self.pending.begin(Operation::ConnectTransport(id), Waiting { session, request }, timeout, now);
        self.media(MediaCommand::ConnectTransport { transport: id, dtls });
        Ok(None)
    }

    pub(crate) fn transport_connected(&mut self, id: TransportId) {
        self.settle(Operation::ConnectTransport(id), Ok(Reply::TransportConnected { transport_id: id }));
    }

    pub(crate) fn restart_ice(&mut self, session: SessionId, request: RequestId, id: TransportId, now: Instant) -> Answer {
        self.participant(session)?.own_transport(id)?;
        let operation = Operation::RestartIce(id);
        if self.pending.contains(operation) {
            return Err(invalid_state("ICE is being restarted"));
        }
        self.pending.begin(operation, Waiting { session, request }, self.config.policy.restart_ice_timeout, now);
        self.media(MediaCommand::RestartIce { transport: id });
        Ok(None)
    }

    pub(crate) fn ice_restarted(&mut self, id: TransportId, ice: IceParameters) {
        self.settle(Operation::RestartIce(id), Ok(Reply::IceRestarted { transport_id: id, ice_parameters: ice }));
    }

    /// A transport moved on by itself. One that failed is closed: its owner may make another.
    pub(crate) fn transport_state(&mut self, id: TransportId, state: TransportState, reason: Option<TransportFailure>) {
        let Some(session) = self.owners.transports.get(&id).copied() else { return };
        if self.transport_mut(id).is_none_or(|(_, t)| t.stage == Stage::Creating) {
            return; // Nobody knows its id yet.
        }
        if state == TransportState::Failed {
            self.end_transport(id, &Error::new(ErrorCode::TransportFailed), reason.unwrap_or(TransportFailure::Server));
        } else {
            self.tell(session, Event::TransportState { transport_id: id, state, reason: None });
        }
    }

    /// A transport could not be made or connected.
    pub(crate) fn transport_failed(&mut self, id: TransportId, error: &Error) {
        self.end_transport(id, error, TransportFailure::Server);
    }

    /// A transport goes, with all that is on it. A client that knows it is told.
    fn end_transport(&mut self, id: TransportId, error: &Error, reason: TransportFailure) {
        let Some(session) = self.owners.transports.get(&id).copied() else { return };
        let Some((direction, known)) = self.transport_mut(id).map(|(d, t)| (d, t.stage != Stage::Creating)) else { return };
        self.close_transport(session, direction, &Ending::media(error.clone()));
        if known {
            let state = TransportState::Failed;
            self.tell(session, Event::TransportState { transport_id: id, state, reason: Some(reason) });
        }
    }

    /// By its owner's wish, who may make another then: a client's end may be beyond repair while all else goes on.
    pub(crate) fn close_own_transport(&mut self, session: SessionId, id: TransportId) -> Answer {
        let (direction, _) = self.participant(session)?.own_transport(id)?;
        self.close_transport(session, direction, &Ending { error: not_found(), told: None, feed: CLOSED });
        Ok(Some(Reply::TransportClosed { transport_id: id }))
    }

    /// Closes a transport with its producers or consumers. Whatever waits on them is answered.
    pub(crate) fn close_transport(&mut self, session: SessionId, direction: Direction, ending: &Ending) {
        let Some(participant) = self.participants.get_mut(&session) else { return };
        let Some(transport) = participant.transport(direction).take() else { return };
        let id = transport.id;
        self.owners.transports.remove(&id);
        for operation in [Operation::CreateTransport(id), Operation::ConnectTransport(id), Operation::RestartIce(id)] {
            self.settle(operation, Err(ending.error.clone()));
        }
        match direction {
            Direction::Send => self.end_producers(session, ending, |_| true),
            Direction::Recv => self.forget_all_consumers(session, &ending.error),
        }
        self.media(MediaCommand::CloseTransport { transport: id });
    }

    fn transport_mut(&mut self, id: TransportId) -> Option<(Direction, &mut Transport)> {
        let session = self.owners.transports.get(&id)?;
        let participant = self.participants.get_mut(session)?;
        let send = participant.send.as_mut().map(|t| (Direction::Send, t));
        let recv = participant.recv.as_mut().map(|t| (Direction::Recv, t));
        send.into_iter().chain(recv).find(|(_, t)| t.id == id)
    }
}
