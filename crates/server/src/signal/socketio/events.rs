//! A session's events as socket.io packets: the main dialect's [`Wire`].

use std::borrow::Cow;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use parlor_proto::codec::socketio::{self as dialect, packet};
use parlor_proto::event::Reply;
use parlor_proto::{Error, ErrorCode, Request};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::rooms::Broadcast;
use crate::signal::engine::{CloseCode, Frame, Socket};
use crate::signal::session;
use crate::signal::waiting::Place;
use crate::signal::wire::{Closing, Wire};

/// The most characters of an unknown event's name in its refusal: every known name has fewer.
const MAX_ECHOED_CHARS: usize = 64;
/// The reason why an event cannot be kept although it is JSON.
const UNREADABLE: &str = "nested too deep, or with half a surrogate pair or a number that is too large";

/// A session of this dialect.
pub type Session = session::Session<Events>;

/// The data of one engine.io connection.
#[derive(Debug, Default)]
pub struct Connection {
    pub(super) session: Mutex<Option<Arc<Session>>>,
    pub(super) tries: AtomicU32,
    /// Binary messages that are still to come: the attachments of an event that was refused.
    pub(super) attachments: AtomicU32,
    /// The connection's place among all connections, free again when the connection is dropped.
    pub(super) place: OnceLock<OwnedSemaphorePermit>,
    /// The connection's place among those without a session, held while it has none.
    pub(super) waiting: Mutex<Option<Place>>,
}

/// The lock on the session of a connection.
pub type Slot<'a> = MutexGuard<'a, Option<Arc<Session>>>;

impl Connection {
    /// The session of the connection, if it has one.
    pub(super) fn session(&self) -> Slot<'_> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the connection among those without a session.
    pub(super) fn waiting(&self) -> MutexGuard<'_, Option<Place>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The events of one connection.
#[derive(Debug)]
pub struct Events(pub Arc<Socket<Connection>>);

/// Tells for which event of a client an answer is.
#[derive(Debug)]
pub struct Tag {
    /// The name of the event; of an unknown name, only as much as is needed to recognize it.
    event: Cow<'static, str>,
    /// The number its acknowledgement must carry, if one is wanted.
    ack: Option<u64>,
}

/// An event as it is sent to everybody.
#[derive(Clone)]
struct Pushed(Frame);

impl Events {
    fn send(&self, packet: String) -> bool {
        self.0.emit(packet.into())
    }
}

impl Wire for Events {
    type Tag = Tag;
    const DIALECT: &'static str = "socketio";

    fn name(tag: &Tag) -> &str {
        // An unknown name is a stranger's text.
        known_name(&tag.event)
    }

    fn reply(&self, tag: Tag, reply: &Reply) -> bool {
        self.send(match tag.ack {
            Some(number) => packet::ack(number, reply),
            None => packet::event(dialect::reply_name(reply), reply),
        })
    }

    fn refuse(&self, tag: Tag, error: &Error) -> bool {
        #[derive(Serialize)]
        struct Named<'a> {
            #[serde(flatten)]
            error: &'a Error,
            event: &'a str,
        }
        self.send(match tag.ack {
            Some(number) => packet::ack(number, error),
            None => packet::event(dialect::ERROR_EVENT, &Named { error, event: &tag.event }),
        })
    }

    fn push(&self, broadcast: &Broadcast) -> bool {
        let Pushed(frame) = broadcast.encoded(|event| Pushed(packet::event(dialect::event_name(event), event).into()));
        self.0.emit(frame)
    }

    fn close(&self, closing: Closing) {
        self.0.close(match closing {
            Closing::SignedOut => {
                let _ = self.0.emit(Frame::from_static(packet::DISCONNECT));
                CloseCode::Normal
            }
            Closing::CutOff => CloseCode::Policy,
            // Clients take this code for a connection that broke, and come back by themselves.
            Closing::Restart => CloseCode::Restart,
        });
    }
}

impl Session {
    /// Takes an event from the wire. Has to be called in order of arrival; never waits. Returns false if it is not an event.
    #[must_use]
    pub fn receive(&self, ack: Option<u64>, arguments: &str, binary: bool) -> bool {
        let tag = |event| Tag { event, ack };
        let named = || packet::decode_arguments(arguments).map(|(name, _)| known_name(&name)).unwrap_or_default();
        if !self.counts(|| tag(named().into())) {
            return true;
        }
        let Some((name, arguments)) = packet::decode_arguments(arguments) else {
            let is_event = packet::is_event(arguments);
            if is_event {
                self.take(tag("".into()), Err(Error::invalid("", UNREADABLE)));
            }
            return is_event;
        };
        let event = known_name(&name);
        if event.is_empty() {
            // Only as much of the name as is needed to recognize it: echoed text is memory while the client does not read.
            let echoed: String = name.chars().take(MAX_ECHOED_CHARS).collect();
            self.take(tag(echoed.into()), Err(ErrorCode::UnknownEvent.into()));
        } else {
            self.take(tag(event.into()), decode(event, &arguments, binary));
        }
        true
    }
}

fn decode(event: &str, arguments: &[Value], binary: bool) -> Result<Request, Error> {
    match arguments {
        _ if binary => Err(Error::invalid("", "binary attachments are not taken")),
        [payload @ Value::Object(_)] => dialect::decode_request(event, payload),
        // A request without fields may be sent without an object; if fields are needed, the error names the missing one.
        [] => dialect::decode_request(event, &Value::Object(serde_json::Map::new())),
        _ => Err(Error::invalid("", "the payload must be one JSON object")),
    }
}

/// The name of a known event; empty for an unknown one.
fn known_name(name: &str) -> &'static str {
    dialect::REQUEST_EVENTS.iter().find(|known| **known == name).copied().unwrap_or_default()
}
