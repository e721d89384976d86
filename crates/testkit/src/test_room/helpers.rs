//! What a client does with media, in few words.

use std::sync::Arc;

use parlor_proto::event::Reply;
use parlor_proto::media::Source;
use parlor_proto::transport::Direction;
use parlor_proto::{ConsumerId, Error, MediaKind, ProducerId, Request, SessionId, TransportId};

use super::{TestRoom, client_dtls};
use crate::rtp;

impl TestRoom {
    /// The session's own transport of a direction, made and connected if it was not there.
    pub fn transport(&mut self, session: SessionId, direction: Direction) -> TransportId {
        let model = self.model(session);
        let there = if direction == Direction::Send { model.send } else { model.recv };
        there.unwrap_or_else(|| match self.ask(session, Request::CreateTransport { direction }) {
            Ok(Reply::TransportCreated { transport_id, .. }) => {
                let connected = self.ask(session, Request::ConnectTransport { transport: transport_id, dtls: client_dtls() });
                connected.map_or_else(|error| panic!("connectTransport: {error}"), |_| transport_id)
            }
            other => panic!("createTransport was answered with {other:?}"),
        })
    }

    /// The request that sends a track.
    pub fn produce_request(&mut self, session: SessionId, kind: MediaKind, source: Source) -> Request {
        let transport = self.transport(session, Direction::Send);
        Request::Produce { transport, kind, source, rtp: Arc::new(rtp::for_source(kind, source)), paused: false }
    }

    /// Has a session send a track.
    pub fn produce(&mut self, session: SessionId, kind: MediaKind, source: Source) -> Result<ProducerId, Error> {
        let request = self.produce_request(session, kind, source);
        match self.ask(session, request)? {
            Reply::Produced { producer_id } => Ok(producer_id),
            other => panic!("produce was answered with {other:?}"),
        }
    }

    /// The request that receives a track.
    pub fn consume_request(&mut self, session: SessionId, producer: ProducerId) -> Request {
        let transport = Some(self.transport(session, Direction::Recv));
        Request::Consume { producer, transport, capabilities: None, paused: false }
    }

    /// Has a session receive a track.
    pub fn consume(&mut self, session: SessionId, producer: ProducerId) -> Result<ConsumerId, Error> {
        let request = self.consume_request(session, producer);
        match self.ask(session, request)? {
            Reply::Consumed { consumer_id, .. } => Ok(consumer_id),
            other => panic!("consume was answered with {other:?}"),
        }
    }
}
