//! The task of a session: its requests one after the other, and the room it is in.

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::event::Reply;
use parlor_proto::{ChannelId, Error, ErrorCode, Request, ResumeToken, SessionId};
use parlor_rooms::RequestId;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument as _;

use crate::auth::Pass;
use crate::clock;
use crate::rooms::{Ending, JoinTerms, JoinWish, Peer, Registry, ResumeWish, RoomHandle};
use crate::signal::session::Session;
use crate::signal::wire::Wire;

/// How long a room may take to say what its channel is: as long as clients wait for what needs no media.
const ROOM_ANSWERS: Duration = Duration::from_secs(5);

/// Time for the store to say whether a token was revoked. A client that is let in without that answer joins nothing: a
/// join asks the store again.
pub const REVOKED_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts the task of a session. The task ends when [`Session::end`] is called. The session is refused if its user has too many.
pub fn start<W: Wire>(
    pass: Pass,
    wire: W,
    registry: Arc<Registry>,
    finished: impl FnOnce(SessionId) + Send + 'static,
) -> Result<Arc<Session<W>>, Error> {
    let (session, inbox) = Session::new(pass, wire);
    registry.connected(&session.pass().identity, Arc::clone(&session) as Arc<dyn Peer>, clock::wall())?;
    let task = Arc::clone(&session);
    let span = tracing::error_span!("session", id = ?session.id());
    let running = async move {
        tracing::debug!("a session begins");
        Runner::new(Arc::clone(&task), Arc::clone(&registry)).run(inbox).await;
        registry.disconnected(&task.pass().identity.user, task.id());
        tracing::debug!("a session ends");
        finished(task.id());
    };
    tokio::spawn(running.instrument(span));
    Ok(session)
}

/// The task of a session, which handles one request after the other.
struct Runner<W: Wire> {
    session: Arc<Session<W>>,
    registry: Arc<Registry>,
    room: Option<RoomHandle>,
}

impl<W: Wire> Runner<W> {
    /// The task of a session that is in no room.
    const fn new(session: Arc<Session<W>>, registry: Arc<Registry>) -> Self {
        Self { session, registry, room: None }
    }

    /// Handles requests until the session has ended, and then tells its room.
    async fn run(mut self, mut inbox: mpsc::Receiver<(RequestId, Request)>) {
        let session = Arc::clone(&self.session);
        let ending = loop {
            tokio::select! {
                biased;
                ending = session.ended() => break ending,
                Some((id, request)) = inbox.recv() => {
                    // Boxed, so that an idle session does not use the memory that a join needs.
                    Box::pin(self.handle(id, request)).await;
                }
            }
        };
        if let Some(room) = self.room.take()
            && room.disconnect(session.id(), ending).await
            && ending != Ending::Goodbye
        {
            self.registry.left_uncleanly(&session.pass().identity.user);
        }
    }

    async fn handle(&mut self, id: RequestId, request: Request) {
        match request {
            Request::Join { channel, capabilities, take_over, mesh } => {
                self.join(id, channel, JoinTerms { capabilities, take_over, mesh, dialect: W::DIALECT }).await;
            }
            Request::Resume { channel, token } => self.resume(id, channel, token).await,
            Request::GetIceServers => self.ice_servers(id).await,
            request => self.pass_on(id, request).await,
        }
    }

    /// Answers with new credentials. The room says whether the session is in it, and what its channel is now; it has no secrets.
    async fn ice_servers(&mut self, id: RequestId) {
        let Some(room) = &self.room else { return self.session.refuse(id, ErrorCode::NotInChannel.into()) };
        let Ok(channel) = timeout(ROOM_ANSWERS, room.channel_of(self.session.id())).await else {
            return self.session.refuse(id, ErrorCode::Timeout.into());
        };
        let Some(channel) = channel else { return self.session.refuse(id, ErrorCode::NotInChannel.into()) };
        let ice = self.registry.ice().for_call(&channel, &self.session.pass().identity.user, clock::wall()).await;
        self.session.reply(room.router(), id, Reply::IceServers { ice });
    }

    async fn pass_on(&mut self, id: RequestId, request: Request) {
        let passed = match &self.room {
            Some(room) => room.request(self.session.id(), id, request).await,
            None => false,
        };
        if !passed {
            self.room = None;
            self.session.refuse(id, ErrorCode::NotInChannel.into());
        }
    }

    async fn join(&mut self, id: RequestId, channel: ChannelId, terms: JoinTerms) {
        let deadline = Instant::now() + self.registry.policy().join_timeout;
        let identity = &self.session.pass().identity;
        let admitted = match self.session.pass().check() {
            Ok(()) => timeout_at(deadline, self.registry.admit(&channel, identity, terms.topology()))
                .await
                .unwrap_or_else(|_| Err(ErrorCode::Timeout.into())),
            Err(error) => Err(error),
        };
        let admission = match admitted {
            Ok(admission) => admission,
            Err(error) => return self.session.refuse(id, error),
        };
        let wish = JoinWish { session: self.session.id(), request: id, identity: identity.clone(), terms, deadline };
        let entered = match self.registry.join(&admission, wish).await {
            Ok(Some(entered)) => entered,
            Ok(None) => return,
            Err(error) => return self.session.refuse(id, error),
        };
        // A session is in one channel at a time: the old channel is left once the new one is entered, so that a refusal
        // changes nothing.
        if let Some(before) = self.room.replace(entered)
            && before.channel() != admission.channel()
        {
            let session = self.session.id();
            let leaving = tokio::spawn(async move { before.disconnect(session, Ending::Goodbye).await });
            // A slow room is left all the same, while this session continues.
            let _ = timeout_at(deadline, leaving).await;
        }
    }

    async fn resume(&mut self, id: RequestId, channel: ChannelId, token: ResumeToken) {
        if let Err(error) = self.session.pass().check() {
            return self.session.refuse(id, error);
        }
        if self.room.is_some() {
            // The room says why the session cannot resume, if it is still a room.
            return self.pass_on(id, Request::Resume { channel, token }).await;
        }
        let (identity, deadline) = (self.session.pass().identity.clone(), Instant::now() + self.registry.policy().join_timeout);
        let wish = ResumeWish { session: self.session.id(), request: id, identity, channel, token, deadline };
        match self.registry.resume(wish).await {
            Ok(room) => self.room = room,
            Err(error) => self.session.refuse(id, error),
        }
    }
}
