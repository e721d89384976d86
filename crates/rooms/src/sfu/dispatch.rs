//! What comes to the media rules, and the rule each of it belongs to.

use std::time::Instant;

use parlor_proto::event::{LeftReason, Reply};
use parlor_proto::{MediaEvent, Request, RouterId};

use super::Sfu;
use super::consumers::TrackToReceive;
use super::pending::Operation;
use super::producers::TrackToSend;
use crate::core::not_a_mesh;
use crate::core::{Answer, Asker, Core, invalid_state};

impl Sfu {
    /// A participant asks for something of media.
    pub(crate) fn handle_request(&mut self, core: &mut Core, asker: Asker, body: Request, now: Instant) -> Answer {
        let session = asker.session;
        match body {
            Request::GetRouterRtpCapabilities => {
                let permissions = core.participant(session)?.permissions;
                Ok(Some(Reply::RouterRtpCapabilities { rtp_capabilities: self.capabilities(permissions) }))
            }
            Request::CreateTransport { direction } => self.create_transport(core, asker, direction, now),
            Request::ConnectTransport { transport, dtls } => self.connect_transport(core, asker, transport, dtls, now),
            Request::RestartIce { transport } => self.restart_ice(core, asker, transport, now),
            Request::CloseTransport { transport } => self.close_own_transport(core, session, transport),
            Request::Produce { transport, kind, source, rtp, paused } => {
                self.produce(core, asker, TrackToSend { transport, kind, source, rtp, paused }, now)
            }
            Request::PauseProducer { producer } => self.set_producer_paused(core, session, producer, true),
            Request::ResumeProducer { producer } => self.set_producer_paused(core, session, producer, false),
            Request::CloseProducer { producer } => self.close_producer(core, session, producer),
            Request::Consume { producer, transport, capabilities, paused } => {
                self.consume(core, asker, TrackToReceive { producer, transport, capabilities, paused }, now)
            }
            Request::PauseConsumer { consumer } => self.set_consumer_paused(core, session, consumer, true),
            Request::ResumeConsumer { consumer } => self.set_consumer_paused(core, session, consumer, false),
            Request::CloseConsumer { consumer } => self.close_consumer(core, session, consumer),
            Request::SetPreferredLayers { consumer, layers } => self.set_preferred_layers(core, session, consumer, layers),
            Request::RequestKeyFrame { consumer } => self.request_key_frame(core, session, consumer),
            Request::ReportConnection { of, report } => self.report_connection(core, session, &of, *report),
            Request::MeshOffer { .. } | Request::MeshAnswer { .. } | Request::MeshIce { .. } => Err(not_a_mesh()),
            // Not of media: the room has a rule for each.
            Request::Join { .. }
            | Request::Resume { .. }
            | Request::Ping { .. }
            | Request::GetIceServers
            | Request::Leave { .. }
            | Request::UpdateState { .. }
            | Request::RequestSlot { .. }
            | Request::ReleaseSlot { .. }
            | Request::Moderate { .. } => Err(invalid_state("the room answers this, not the SFU")),
        }
    }

    /// The media plane reports. What it says of another router, or of objects that were closed meanwhile, is ignored: the
    /// order to close follows the order to make, so nothing stays behind.
    pub(crate) fn handle_event(&mut self, core: &mut Core, router: RouterId, event: MediaEvent) -> Result<(), LeftReason> {
        if router != self.config.router {
            return Ok(());
        }
        match event {
            MediaEvent::TransportCreated { transport, ice, candidates, dtls } => {
                self.transport_created(core, transport, ice, candidates, dtls);
            }
            MediaEvent::TransportConnected { transport } => self.transport_connected(core, transport),
            MediaEvent::TransportFailed { transport, error } => self.transport_failed(core, transport, &error),
            MediaEvent::IceRestarted { transport, ice } => self.ice_restarted(core, transport, ice),
            MediaEvent::TransportState { transport, state, protocol, reason } => {
                core.note_transport(self.owners.transports.get(&transport).copied(), transport, state, protocol, reason);
                self.transport_state(core, transport, state, reason);
            }
            MediaEvent::Produced { producer } => self.produced(core, producer),
            MediaEvent::ProduceFailed { producer, error } => self.produce_failed(core, producer, error),
            MediaEvent::Consumed { consumer, rtp, stream_type } => self.consumed(core, consumer, rtp, stream_type),
            MediaEvent::ConsumeFailed { consumer, error } => self.consume_failed(core, consumer, error),
            MediaEvent::LayersChanged { consumer, layers } => self.layers_changed(core, consumer, layers),
            MediaEvent::Speakers { levels } => self.speakers(core, &levels),
            MediaEvent::RouterLost => return Err(LeftReason::MediaLost),
        }
        Ok(())
    }

    /// Gives up what the media plane has not done in time.
    pub(crate) fn handle_timeout(&mut self, core: &mut Core, now: Instant) {
        while let Some(operation) = self.pending.expired(now) {
            let error = operation.timed_out();
            match operation {
                Operation::CreateTransport(transport) | Operation::ConnectTransport(transport) => {
                    self.transport_failed(core, transport, &error);
                }
                Operation::RestartIce(_) => self.settle(core, operation, Err(error)),
                Operation::Produce(producer) => self.give_up_producer(core, producer, error),
                Operation::Consume(consumer) => self.give_up_consumer(core, consumer, error),
            }
            // Whatever the rules above did, an expired deadline must not come back.
            self.pending.end(operation);
        }
    }

    /// The earliest deadline of all waiting requests.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.pending.next_deadline()
    }
}
