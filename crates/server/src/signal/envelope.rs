//! The dialect of protobuf messages on a plain WebSocket: `/ws`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parlor_proto::Error;
use parlor_proto::codec::envelope::{self, Inside, Tag};
use parlor_proto::event::{Event, Reply};

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
    /// The call that the client was told it is in: messages of the dialect name it.
    inside: Mutex<Option<Inside>>,
}

/// The messages as which an event is sent to everybody in a call.
#[derive(Clone)]
struct Pushed(Vec<Outgoing>);

fn binary(message: Vec<u8>) -> Outgoing {
    Outgoing::Binary(message.into())
}

impl EnvelopeWire {
    fn inside(&self) -> MutexGuard<'_, Option<Inside>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, message: Vec<u8>) -> bool {
        self.connection.send(binary(message))
    }
}

impl Wire for EnvelopeWire {
    type Tag = Tag;

    fn name(tag: &Self::Tag) -> &str {
        tag.name
    }

    fn reply(&self, tag: Self::Tag, reply: &Reply) -> bool {
        let mut inside = self.inside();
        let message = envelope::encode_reply(tag, reply, inside.as_ref());
        match reply {
            Reply::Joined(joined) => *inside = Some(Inside { channel: joined.channel_id.clone(), user: joined.user_id.clone() }),
            Reply::Left { .. } => *inside = None,
            _ => {}
        }
        drop(inside);
        message.is_none_or(|message| self.send(message))
    }

    fn refuse(&self, tag: Self::Tag, error: &Error) -> bool {
        self.send(envelope::encode_error(tag, error))
    }

    fn push(&self, broadcast: &Broadcast) -> bool {
        let mut inside = self.inside();
        let Some(call) = inside.as_ref() else { return true };
        let encode = |event: &Event| Pushed(envelope::encode_event(event, call).into_iter().map(binary).collect());
        // Whoever is put out is told so by their own id.
        let is_out = broadcast.of(|event| matches!(event, Event::Left { .. }));
        let Pushed(messages) = if is_out { broadcast.of(encode) } else { broadcast.encoded(encode) };
        if is_out {
            *inside = None;
        }
        drop(inside);
        messages.into_iter().all(|message| self.connection.send(message))
    }

    fn close(&self, closing: Closing) {
        self.connection.close(closing, |error| binary(envelope::encode_error(Tag::default(), error)));
    }
}

impl Dialect for Envelopes {
    type Wire = EnvelopeWire;

    fn wire(&self, connection: &Arc<Connection>) -> Self::Wire {
        EnvelopeWire { connection: Arc::clone(connection), inside: Mutex::default() }
    }

    fn refusal(&self, error: &Error) -> Outgoing {
        binary(envelope::encode_error(Tag::default(), error))
    }

    fn receive(&self, session: &Session<Self::Wire>, _connection: &Connection, message: Incoming<'_>) -> bool {
        let Incoming::Binary(message) = message else { return false };
        if session.counts(Tag::default) {
            let inside = session.wire().inside().as_ref().map(|inside| inside.channel.clone());
            let (asked, request) = envelope::decode(message, inside.as_ref());
            session.take(asked, request);
        }
        true
    }
}
