//! The dialect of protobuf messages on a plain WebSocket: `/ws`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_proto::codec::envelope::{self, Inside, Tag};
use parlor_proto::event::{Event, Reply};
use parlor_proto::{ChannelId, Error, Request};

use crate::rooms::Broadcast;
use crate::signal::plain::{Connection, Dialect, Incoming, Outgoing};
use crate::signal::session::Session;
use crate::signal::wire::{Closing, Wire};

/// The dialect. Its connections are for no channel: a client joins one after the other over the same.
#[derive(Clone, Copy, Debug)]
pub struct Envelopes;

/// The way to a client of the dialect.
#[derive(Debug)]
pub struct EnvelopeWire {
    connection: Arc<Connection>,
    whereabouts: Mutex<Whereabouts>,
}

/// Where a client is: messages of the dialect name it.
#[derive(Debug, Default)]
struct Whereabouts {
    /// The call that the client was told it is in.
    inside: Option<Inside>,
    /// The channel that the client has asked to join, while that is not answered: what it says next is for there.
    joining: Option<ChannelId>,
}

/// The messages as which an event is sent to everybody in a call.
#[derive(Clone)]
struct Pushed(Vec<Outgoing>);

fn binary(message: Vec<u8>) -> Outgoing {
    Outgoing::Binary(message.into())
}

impl EnvelopeWire {
    fn whereabouts(&self) -> MutexGuard<'_, Whereabouts> {
        self.whereabouts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: Vec<u8>) -> bool {
        self.connection.send(binary(message))
    }
}

impl Wire for EnvelopeWire {
    type Tag = Tag;
    const DIALECT: &'static str = "envelope";

    fn name(tag: &Self::Tag) -> &str {
        tag.name
    }

    fn reply(&self, tag: Self::Tag, reply: &Reply) -> bool {
        let mut whereabouts = self.whereabouts();
        let Whereabouts { inside, joining } = &mut *whereabouts;
        let message = envelope::encode_reply(tag, reply, inside.as_ref());
        match reply {
            Reply::Joined(joined) => {
                (*joining, *inside) = (None, Some(Inside { channel: joined.channel_id.clone(), user: joined.user_id.clone() }))
            }
            // A client that goes to another channel without waiting may be told of it before the first one is left.
            Reply::Left { channel_id } if inside.as_ref().is_some_and(|call| call.channel == *channel_id) => *inside = None,
            _ => {}
        }
        drop(whereabouts);
        message.is_none_or(|message| self.send(message))
    }

    fn refuse(&self, tag: Self::Tag, error: &Error) -> bool {
        if tag.name == envelope::JOIN {
            self.whereabouts().joining = None;
        }
        self.send(envelope::encode_error(tag, error))
    }

    fn push(&self, broadcast: &Broadcast) -> bool {
        let mut whereabouts = self.whereabouts();
        let Some(call) = &whereabouts.inside else { return true };
        let encode = |event: &Event| Pushed(envelope::encode_event(event, call).into_iter().map(binary).collect());
        // Whoever is put out is told so by their own id.
        let is_out = broadcast.of(|event| matches!(event, Event::Left { .. }));
        let Pushed(messages) = if is_out { broadcast.of(encode) } else { broadcast.encoded(encode) };
        if is_out {
            whereabouts.inside = None;
        }
        drop(whereabouts);
        messages.into_iter().all(|message| self.connection.send(message))
    }

    fn close(&self, closing: Closing) {
        self.connection.close(closing, |error| binary(envelope::encode_error(Tag::default(), error)));
    }
}

impl Dialect for Envelopes {
    type Wire = EnvelopeWire;

    fn wire(&self, connection: &Arc<Connection>) -> Self::Wire {
        EnvelopeWire { connection: Arc::clone(connection), whereabouts: Mutex::default() }
    }

    fn refusal(&self, error: &Error) -> Outgoing {
        binary(envelope::encode_error(Tag::default(), error))
    }

    fn receive(&self, session: &Session<Self::Wire>, _connection: &Connection, message: Incoming<'_>) -> bool {
        let Incoming::Binary(message) = message else { return false };
        // What is over the rate is refused by its id as well: somebody may wait for that.
        if session.counts(|| envelope::decode(message, None).0) {
            let place = {
                let Whereabouts { inside, joining } = &*session.wire().whereabouts();
                joining.clone().or_else(|| Some(inside.as_ref()?.channel.clone()))
            };
            let (tag, request) = envelope::decode(message, place.as_ref());
            if let Ok(Request::Join { channel, .. }) = &request {
                session.wire().whereabouts().joining = Some(channel.clone());
            }
            session.take(tag, request);
        }
        true
    }
}
