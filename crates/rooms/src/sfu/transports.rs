//! Transports: one to send and one to receive for each participant.

use std::time::Instant;

use parlor_proto::event::{Event, Reply};
use parlor_proto::transport::{Direction, DtlsParameters, IceCandidate, IceParameters, TransportFailure, TransportState};
use parlor_proto::{Connection, ConnectionReport, Error, ErrorCode, MediaCommand, SessionId, TransportId};

use super::Sfu;
use super::owned::{Setup, Transport};
use super::pending::Operation;
use crate::connectivity::{ConnectionKey, Connectivity};
use crate::core::{Answer, Asker, Core, invalid_state, not_a_mesh, not_found};
use crate::ending::Ending;
use crate::feed::CLOSED;

impl Sfu {
    pub(super) fn create_transport(&mut self, core: &mut Core, asker: Asker, direction: Direction, now: Instant) -> Answer {
        let id = TransportId::from_random(core.ids.bits());
        let transport = self.owned(asker.session)?.transport_mut(direction);
        if transport.is_some() {
            return Err(invalid_state("a transport of this direction exists"));
        }
        *transport = Some(Transport { id, setup: Setup::Creating });
        self.owners.transports.insert(id, asker.session);
        let timeout = core.policy.create_transport_timeout;
        self.pending.begin(Operation::CreateTransport(id), asker, timeout, now);
        self.order(core, MediaCommand::CreateTransport { transport: id, direction });
        Ok(None)
    }

    pub(super) fn transport_created(
        &mut self,
        core: &mut Core,
        id: TransportId,
        ice: IceParameters,
        candidates: Vec<IceCandidate>,
        dtls: DtlsParameters,
    ) {
        let Some((direction, transport)) = self.transport_mut(id) else { return };
        if transport.setup != Setup::Creating {
            return;
        }
        transport.setup = Setup::Created;
        let reply =
            Reply::TransportCreated { transport_id: id, direction, ice_parameters: ice, ice_candidates: candidates, dtls_parameters: dtls };
        self.settle(core, Operation::CreateTransport(id), Ok(reply));
    }

    pub(super) fn connect_transport(
        &mut self,
        core: &mut Core,
        asker: Asker,
        id: TransportId,
        dtls: DtlsParameters,
        now: Instant,
    ) -> Answer {
        let (direction, transport) = self.owned(asker.session)?.own_transport(id)?;
        if transport.setup == Setup::Connected {
            return Err(invalid_state("the transport was connected before"));
        }
        transport.setup = Setup::Connected;
        let timeout = core.policy.connect_transport_timeout;
        self.pending.begin(Operation::ConnectTransport(id), asker, timeout, now);
        core.note(asker.session, |connectivity| connectivity.asked(id, direction, now));
        self.order(core, MediaCommand::ConnectTransport { transport: id, dtls });
        Ok(None)
    }

    pub(super) fn transport_connected(&mut self, core: &mut Core, id: TransportId) {
        self.settle(core, Operation::ConnectTransport(id), Ok(Reply::TransportConnected { transport_id: id }));
    }

    pub(super) fn restart_ice(&mut self, core: &mut Core, asker: Asker, id: TransportId, now: Instant) -> Answer {
        self.owned(asker.session)?.own_transport(id)?;
        let operation = Operation::RestartIce(id);
        if self.pending.contains(operation) {
            return Err(invalid_state("ICE is being restarted"));
        }
        self.pending.begin(operation, asker, core.policy.restart_ice_timeout, now);
        core.note(asker.session, Connectivity::restarted);
        self.order(core, MediaCommand::RestartIce { transport: id });
        Ok(None)
    }

    pub(super) fn ice_restarted(&mut self, core: &mut Core, id: TransportId, ice: IceParameters) {
        self.settle(core, Operation::RestartIce(id), Ok(Reply::IceRestarted { transport_id: id, ice_parameters: ice }));
    }

    /// A transport moved on by itself. One that failed is closed: its owner may make another.
    pub(super) fn transport_state(&mut self, core: &mut Core, id: TransportId, state: TransportState, reason: Option<TransportFailure>) {
        let Some(session) = self.owners.transports.get(&id).copied() else { return };
        if self.transport_mut(id).is_none_or(|(_, t)| t.setup == Setup::Creating) {
            return; // Nobody knows its id yet.
        }
        if state == TransportState::Failed {
            self.end_transport(core, id, &Error::new(ErrorCode::TransportFailed), reason.unwrap_or(TransportFailure::Server));
        } else {
            core.tell(session, Event::TransportState { transport_id: id, state, reason: None });
        }
    }

    /// A transport could not be made or connected.
    pub(super) fn transport_failed(&mut self, core: &mut Core, id: TransportId, error: &Error) {
        self.end_transport(core, id, error, TransportFailure::Server);
    }

    /// A transport goes, with all that is on it. A client that knows it is told.
    fn end_transport(&mut self, core: &mut Core, id: TransportId, error: &Error, reason: TransportFailure) {
        let Some(session) = self.owners.transports.get(&id).copied() else { return };
        let Some((direction, known)) = self.transport_mut(id).map(|(d, t)| (d, t.setup != Setup::Creating)) else { return };
        self.close_transport(core, session, direction, &Ending::media(error.clone()));
        if known {
            let state = TransportState::Failed;
            core.tell(session, Event::TransportState { transport_id: id, state, reason: Some(reason) });
        }
    }

    /// Its owner tells how it came about. Of one that is gone there is nothing to tell any more.
    pub(super) fn report_connection(&mut self, core: &mut Core, session: SessionId, of: &Connection, report: ConnectionReport) -> Answer {
        let Connection::Transport(id) = of else { return Err(not_a_mesh()) };
        self.owned(session)?.own_transport(*id)?;
        core.take_report(session, ConnectionKey::Transport(*id), report)?;
        Ok(Some(Reply::ConnectionReported { transport_id: Some(*id), user_id: None }))
    }

    /// By its owner's wish, who may make another then: a client's end may be beyond repair while all else goes on.
    pub(super) fn close_own_transport(&mut self, core: &mut Core, session: SessionId, id: TransportId) -> Answer {
        let (direction, _) = self.owned(session)?.own_transport(id)?;
        self.close_transport(core, session, direction, &Ending { error: not_found(), told: None, feed: CLOSED });
        Ok(Some(Reply::TransportClosed { transport_id: id }))
    }

    /// Closes a transport with its producers or consumers. Whatever waits on them is answered.
    pub(super) fn close_transport(&mut self, core: &mut Core, session: SessionId, direction: Direction, ending: &Ending) {
        let Some(owned) = self.owned.get_mut(&session) else { return };
        let Some(transport) = owned.transport_mut(direction).take() else { return };
        let id = transport.id;
        self.owners.transports.remove(&id);
        let now = core.now;
        core.note(session, |connectivity| connectivity.ended(ConnectionKey::Transport(id), now));
        for operation in [Operation::CreateTransport(id), Operation::ConnectTransport(id), Operation::RestartIce(id)] {
            self.settle(core, operation, Err(ending.error.clone()));
        }
        match direction {
            Direction::Send => self.end_producers(core, session, ending, |_| true),
            Direction::Recv => self.forget_all_consumers(core, session, &ending.error),
        }
        self.order(core, MediaCommand::CloseTransport { transport: id });
    }

    fn transport_mut(&mut self, id: TransportId) -> Option<(Direction, &mut Transport)> {
        let session = self.owners.transports.get(&id)?;
        let owned = self.owned.get_mut(session)?;
        let send = owned.send.as_mut().map(|t| (Direction::Send, t));
        let recv = owned.recv.as_mut().map(|t| (Direction::Recv, t));
        send.into_iter().chain(recv).find(|(_, t)| t.id == id)
    }
}
