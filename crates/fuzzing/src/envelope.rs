//! Arbitrary messages of the protobuf dialect.

use parlor_proto::codec::envelope::{Inside, decode, encode_event};
use parlor_proto::event::Event;
use parlor_proto::mesh::{MeshCandidate, MeshDescription, Sender};
use parlor_proto::{ChannelId, PeerId, Request, UserId, limits};

use crate::text;

/// The bytes are a message.
pub fn run(data: &[u8]) {
    let (Ok(channel), Ok(bob), Ok(alice)) = (ChannelId::new("den"), UserId::new("bob"), UserId::new("alice")) else { return };
    let (asked, request) = decode(data, Some(&channel));
    assert!(asked.request_id.len() <= limits::MAX_TEXT_BYTES, "it comes back with every answer");
    let Ok(request) = request else { return };
    assert!(!asked.name.is_empty(), "what has no name is no request");
    // What is relayed is written in every dialect, and says who sent it.
    let from = Sender { user_id: alice, name: "Alice".to_owned(), peer_id: PeerId::random_uuid(1) };
    let event = match request {
        Request::MeshOffer { signal, .. } => Event::MeshOffer(MeshDescription { from, signal }),
        Request::MeshAnswer { signal, .. } => Event::MeshAnswer(MeshDescription { from, signal }),
        Request::MeshIce { signal, .. } => Event::MeshIce(MeshCandidate { from, signal }),
        _ => return,
    };
    text::written(&event);
    for message in encode_event(&event, &Inside { channel, user: bob }) {
        assert!(message.windows(5).any(|bytes| bytes == b"alice"), "it says who sent it");
    }
}
