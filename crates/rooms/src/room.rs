//! One room: who is in it and what they send and receive.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use parlor_proto::event::LeftReason;
use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{Channel, Error, ErrorCode, MediaCommand, MediaEvent, Request, RouterId, SessionId};

use crate::output::{Join, Output, RequestId};
use crate::policy::Policy;

/// What a room is made from.
#[derive(Clone, Debug)]
pub struct RoomConfig {
    /// The channel it is the room of.
    pub channel: Channel,
    /// The id its router gets.
    pub router: RouterId,
    /// What the media plane can forward.
    pub capabilities: Arc<RtpCapabilities>,
    /// The numbers of the rules.
    pub policy: Policy,
    /// The opaque name of the SFU, told to clients.
    pub sfu_endpoint: String,
    /// Where the ids of transports, producers and consumers begin: fresh secret random bytes for every room.
    pub seed: [u8; 32],
}

/// One room.
#[derive(Debug)]
pub struct Room {
    outputs: VecDeque<Output>,
}

impl Room {
    /// A room with nobody in it. Its first output makes the router.
    #[must_use]
    pub fn new(config: RoomConfig, _now: Instant) -> Self {
        Self { outputs: VecDeque::from([Output::Media(MediaCommand::CreateRouter { router: config.router })]) }
    }

    /// Somebody wants to enter.
    pub fn handle_join(&mut self, join: Join, _now: Instant) {
        let result = Err(Error::new(ErrorCode::ServerError));
        self.outputs.push_back(Output::Reply { session: join.session, request: join.request, result });
    }

    /// A session asks for something.
    pub fn handle_request(&mut self, session: SessionId, request: RequestId, _body: Request, _now: Instant) {
        self.outputs.push_back(Output::Reply { session, request, result: Err(Error::new(ErrorCode::ServerError)) });
    }

    /// A session's connection is gone.
    pub fn handle_disconnect(&mut self, _session: SessionId, _now: Instant) {}

    /// The media plane reports.
    pub fn handle_media(&mut self, _event: MediaEvent, _now: Instant) {}

    /// The time of [`Room::poll_timeout`] has come.
    pub fn handle_timeout(&mut self, _now: Instant) {}

    /// Puts everybody out and finishes the room.
    pub fn shut_down(&mut self, _reason: LeftReason, _now: Instant) {}

    /// What is to be done next. Drain it after every input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Room::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        true
    }
}
