//! Arbitrary messages of the dialects of JSON texts.

use parlor_proto::codec::call::Call;
use parlor_proto::codec::voice::Voice;
use parlor_proto::codec::{Asked, TextCodec};
use parlor_proto::event::Event;
use parlor_proto::mesh::{MeshCandidate, MeshDescription, Sender, Signal};
use parlor_proto::{ChannelId, PeerId, Request, UserId, limits};

/// The bytes are a message, as far as they are text.
pub fn run(data: &[u8]) {
    let Ok(message) = std::str::from_utf8(data) else { return };
    both::<Call>(message);
    both::<Voice>(message);
}

fn both<C: TextCodec>(message: &str) {
    let (Ok(channel), Ok(user_id)) = (ChannelId::new("den"), UserId::new("alice")) else { return };
    let from = Sender { user_id, name: "Alice".to_owned(), peer_id: PeerId::random_uuid(1) };
    let (name, asked) = C::decode(message, &channel);
    assert!(!name.is_empty() || asked.is_err(), "what has no name is no request");
    let Ok(Asked::Request(request)) = asked else { return };
    // What is relayed is written in every dialect, and says who sent it.
    match request {
        Request::MeshOffer { signal, .. } | Request::MeshAnswer { signal, .. } => {
            assert!(signal.sdp().is_some_and(|sdp| !sdp.is_empty() && sdp.len() <= limits::MAX_SDP_BYTES));
            written(&Event::MeshOffer(MeshDescription { from, signal: Signal::clone(&signal) }));
        }
        Request::MeshIce { signal, .. } => written(&Event::MeshIce(MeshCandidate { from, signal })),
        _ => {}
    }
}

/// Checks that an event is written in both dialects, with its sender.
pub(crate) fn written(event: &Event) {
    for message in [Call::encode_event(event), Voice::encode_event(event)].into_iter().flatten() {
        let read: serde_json::Value = serde_json::from_str(&message).unwrap_or_default();
        let says = |path: &str, word: &str| read.pointer(path).and_then(serde_json::Value::as_str) == Some(word);
        assert!(read.pointer("/type").is_some_and(serde_json::Value::is_string), "{message}");
        assert!(says("/from_user_id", "alice") || says("/user/id", "alice"), "{message}");
    }
}
