//! The dialects of JSON texts on plain WebSockets: `/ws/call/{room_id}/` and `/ws/voice/{room_id}`.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parlor_proto::codec::{Asked, CallMember, CallState, TextCodec};
use parlor_proto::event::{Event, Reply};
use parlor_proto::{Culprit, Error, ErrorCode, MeshLinks, Topology};
use tokio::time::timeout;

use crate::auth::Pass;
use crate::rooms::{self, Broadcast, CallStage, Registry};
use crate::signal::plain::{CUT_OFF, Connection, Dialect, Incoming, Outgoing};
use crate::signal::session::Session;
use crate::signal::wire::{Closing, Wire};

/// For how long somebody who was admitted is told of a call before it is looked whether they still may be: each look is a
/// question to the store, and a lively call has several changes a second.
const ADMITTED_FOR: Duration = Duration::from_secs(1);

/// How often that is looked when nothing changes.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The least time between two states of a call that a client is told.
const BETWEEN_STATES: Duration = Duration::from_millis(250);

/// A dialect of this codec.
#[derive(Debug)]
pub struct Text<C>(PhantomData<C>);

impl<C> Default for Text<C> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// The way to a client of the dialect.
#[derive(Debug)]
pub struct TextWire<C> {
    connection: Arc<Connection>,
    codec: PhantomData<C>,
}

/// An event as the dialect sends it to everybody, if it does.
struct Pushed<C>(Option<Outgoing>, PhantomData<C>);

impl<C> Clone for Pushed<C> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

fn text(message: String) -> Outgoing {
    Outgoing::Text(message.into())
}

impl<C: TextCodec> Wire for TextWire<C> {
    /// The type of the message that is answered.
    type Tag = &'static str;
    const DIALECT: &'static str = C::NAME;

    fn name(tag: &Self::Tag) -> &str {
        tag
    }

    fn reply(&self, _tag: Self::Tag, reply: &Reply) -> bool {
        C::encode_reply(reply).into_iter().all(|message| self.connection.send(text(message)))
    }

    fn refuse(&self, tag: Self::Tag, error: &Error) -> bool {
        self.connection.send(text(C::encode_error(tag, error)))
    }

    fn push(&self, broadcast: &Broadcast) -> bool {
        let Pushed(message, _) = broadcast.encoded(|event| Pushed::<C>(C::encode_event(event).map(text), PhantomData));
        let sent = message.is_none_or(|message| self.connection.send(message));
        if let Some(code) = broadcast.of(out) {
            self.connection.close_with(code);
        }
        sent
    }

    fn close(&self, closing: Closing) {
        self.connection.close(closing, |error| text(C::encode_error("", error)));
    }
}

/// The code with which a connection is closed whose session is out of the call: it is for one channel, so there is no more
/// to do on it.
fn out(event: &Event) -> Option<u16> {
    match event {
        Event::Left { rejoin: true, .. } => Some(1012),
        Event::Left { rejoin: false, .. } => Some(4403),
        _ => None,
    }
}

impl<C: TextCodec> Dialect for Text<C> {
    type Wire = TextWire<C>;

    fn wire(&self, connection: &Arc<Connection>) -> Self::Wire {
        TextWire { connection: Arc::clone(connection), codec: PhantomData }
    }

    fn refusal(&self, error: &Error) -> Outgoing {
        text(C::encode_error("", error))
    }

    fn receive(&self, session: &Session<Self::Wire>, connection: &Connection, message: Incoming<'_>) -> bool {
        let (Incoming::Text(message), Some(channel)) = (message, connection.channel()) else { return false };
        // What is over the rate is refused by its type as well.
        if !session.counts(|| C::decode(message, channel).0) {
            return true;
        }
        match C::decode(message, channel) {
            (name, Ok(Asked::Request(request))) => session.take(name, Ok(request)),
            (_, Ok(Asked::Ping)) => {
                if !connection.send(text(C::pong())) {
                    connection.close_with(CUT_OFF);
                }
            }
            (_, Ok(Asked::Nothing)) => {}
            (name, Err(error)) => session.take(name, Err(error)),
        }
        true
    }

    /// Shows the user as about to enter for as long as the connection is open, and tells the client how far the call is.
    async fn accompany(&self, registry: &Arc<Registry>, pass: &Pass, connection: &Arc<Connection>) {
        let Some(channel) = connection.channel() else { return };
        let refuse = |error: &Error| {
            let _ = connection.send(self.refusal(error));
            connection.close_with(Connection::code_of(error));
        };
        if let Err(error) = registry.check_watch(&pass.identity.user) {
            return refuse(&error);
        }
        let wait = registry.policy().join_timeout;
        let admitted = timeout(wait, registry.admit_uncounted(channel, &pass.identity, Topology::Mesh)).await;
        if let Err(error) = admitted.unwrap_or_else(|_| Err(ErrorCode::Timeout.into())) {
            return refuse(&error);
        }
        let mut admitted_at = Instant::now();
        let _entering = registry.entering(channel, &pass.identity);
        let mut watch = registry.watch_call(channel);
        loop {
            let state = match timeout(LOOK_AGAIN, watch.next()).await {
                Ok(Some(state)) => Some(state),
                Ok(None) => break,
                Err(_) => None,
            };
            // Whoever was banned meanwhile, or is no member any more, is told nothing of the call. While the store does not
            // answer, everything stays as it was.
            if admitted_at.elapsed() > ADMITTED_FOR {
                match timeout(wait, registry.admit_again(channel, &pass.identity)).await {
                    Ok(Err(error)) if error.code == ErrorCode::SessionExpired => return refuse(&ErrorCode::ChannelNotFound.into()),
                    Ok(Err(error)) if error.code.culprit() == Culprit::Caller => return refuse(&error),
                    _ => admitted_at = Instant::now(),
                }
            }
            let message = state.and_then(|state| C::encode_call_state(&shown(&state)));
            if let Some(message) = message {
                if !connection.send(text(message)) {
                    return connection.close_with(CUT_OFF);
                }
                // States that pass meanwhile are skipped: however many come and go, each is told a few times a second.
                tokio::time::sleep(BETWEEN_STATES).await;
            }
        }
        std::future::pending().await
    }
}

/// The state of a call in the words of the dialects.
fn shown(state: &rooms::CallState) -> CallState<'_> {
    let inside = state.participants.iter().filter(|one| one.state == CallStage::Active).count();
    let links = MeshLinks::between(u32::try_from(inside).unwrap_or(u32::MAX));
    let participants = state.participants.iter();
    let participants =
        participants.map(|one| CallMember { user_id: one.user.as_str(), username: &one.name, state: one.state.as_str() }).collect();
    CallState { room_state: state.room_state.as_str(), participants, links }
}
