//! The names of requests, replies and events on the wire.

use strum::VariantArray;

use crate::event::{EventKind, ReplyKind};
use crate::request::RequestKind;

/// The event that carries a refusal when the request had no acknowledgement.
pub const ERROR_EVENT: &str = "voice:rtc:error";

/// Every event a client may send.
pub const REQUEST_EVENTS: [&str; RequestKind::VARIANTS.len()] = {
    let mut names = [""; RequestKind::VARIANTS.len()];
    let mut n = 0;
    #[allow(clippy::indexing_slicing, reason = "a constant: the compiler runs this")]
    while n < names.len() {
        names[n] = request_name(RequestKind::VARIANTS[n]);
        n += 1;
    }
    names
};

/// The event that carries a request.
#[must_use]
pub const fn request_name(request: RequestKind) -> &'static str {
    match request {
        RequestKind::Join => "voice:join",
        RequestKind::Resume => "voice:resume",
        RequestKind::Leave => "voice:leave",
        RequestKind::GetRouterRtpCapabilities => "voice:rtc:getRouterRtpCapabilities",
        RequestKind::GetIceServers => "voice:rtc:getIceServers",
        RequestKind::CreateTransport => "voice:rtc:createTransport",
        RequestKind::ConnectTransport => "voice:rtc:connectTransport",
        RequestKind::RestartIce => "voice:rtc:restartIce",
        RequestKind::CloseTransport => "voice:rtc:closeTransport",
        RequestKind::Produce => "voice:rtc:produce",
        RequestKind::PauseProducer => "voice:rtc:pauseProducer",
        RequestKind::ResumeProducer => "voice:rtc:resumeProducer",
        RequestKind::CloseProducer => "voice:rtc:closeProducer",
        RequestKind::Consume => "voice:rtc:consume",
        RequestKind::PauseConsumer => "voice:rtc:pauseConsumer",
        RequestKind::ResumeConsumer => "voice:rtc:resumeConsumer",
        RequestKind::CloseConsumer => "voice:rtc:closeConsumer",
        RequestKind::SetPreferredLayers => "voice:rtc:setPreferredLayers",
        RequestKind::RequestKeyFrame => "voice:rtc:requestKeyFrame",
        RequestKind::UpdateState => "voice:state:update",
        RequestKind::RequestSlot => "voice:slot:request",
        RequestKind::ReleaseSlot => "voice:slot:release",
        RequestKind::Moderate => "voice:moderate",
        RequestKind::MeshOffer => "voice:mesh:offer",
        RequestKind::MeshAnswer => "voice:mesh:answer",
        RequestKind::MeshIce => "voice:mesh:ice",
        RequestKind::ReportConnection => "voice:rtc:reportConnection",
        RequestKind::Ping => "voice:ping",
    }
}

/// The request that an event carries; `None` for an event this dialect does not have.
pub(super) fn request_named(event: &str) -> Option<RequestKind> {
    RequestKind::VARIANTS.iter().copied().find(|request| request_name(*request) == event)
}

/// The event that carries a reply when the request had no acknowledgement.
#[must_use]
pub fn reply_name(reply: impl Into<ReplyKind>) -> &'static str {
    match reply.into() {
        ReplyKind::Joined => "voice:joined",
        ReplyKind::Resumed => "voice:resumed",
        ReplyKind::Left => "voice:left",
        ReplyKind::RouterRtpCapabilities => "voice:routerRtpCapabilities",
        ReplyKind::IceServers => "voice:iceServers",
        ReplyKind::TransportCreated => "voice:transportCreated",
        ReplyKind::TransportConnected => "voice:transportConnected",
        ReplyKind::IceRestarted => "voice:iceRestarted",
        ReplyKind::TransportClosed => "voice:transportClosed",
        ReplyKind::Produced => "voice:produced",
        ReplyKind::ProducerPaused => "voice:producerPaused",
        ReplyKind::ProducerResumed => "voice:producerResumed",
        ReplyKind::ProducerClosed => "voice:producerClosed",
        ReplyKind::Consumed => "voice:consumed",
        ReplyKind::ConsumerPaused => "voice:consumerPaused",
        ReplyKind::ConsumerResumed => "voice:consumerResumed",
        ReplyKind::ConsumerClosed => "voice:consumerClosed",
        ReplyKind::PreferredLayersSet => "voice:preferredLayersSet",
        ReplyKind::KeyFrameRequested => "voice:keyFrameRequested",
        ReplyKind::StateUpdated => "voice:stateUpdated",
        ReplyKind::Slot => "voice:slot",
        ReplyKind::Moderated => "voice:moderated",
        ReplyKind::MeshRelayed => "voice:mesh:relayed",
        ReplyKind::ConnectionReported => "voice:connectionReported",
        ReplyKind::Pong => "voice:pong",
    }
}

/// The name of a pushed event.
#[must_use]
pub fn event_name(event: impl Into<EventKind>) -> &'static str {
    match event.into() {
        EventKind::ParticipantJoined => "voice:participant:joined",
        EventKind::ParticipantLeft => "voice:participant:left",
        EventKind::ParticipantState => "voice:participant:state",
        EventKind::NewProducer => "voice:newProducer",
        EventKind::ProducerClosed => "voice:producerClosed",
        EventKind::ProducerPaused => "voice:producerPaused",
        EventKind::ProducerResumed => "voice:producerResumed",
        EventKind::ActiveSpeakers => "voice:activeSpeakers",
        EventKind::TransportState => "voice:transportState",
        EventKind::LayersChanged => "voice:layersChanged",
        EventKind::Left => "voice:left",
        EventKind::SlotGranted => "voice:slot:granted",
        EventKind::SlotQueue => "voice:slot:queue",
        EventKind::Entitlement => "voice:entitlement",
        EventKind::MeshLinks => "voice:mesh:links",
        EventKind::MeshOffer => "voice:mesh:offer",
        EventKind::MeshAnswer => "voice:mesh:answer",
        EventKind::MeshIce => "voice:mesh:ice",
        EventKind::Moderation => "voice:moderation",
    }
}
