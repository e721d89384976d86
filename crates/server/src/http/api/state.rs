//! The state that handlers of the REST API share, and the questions they ask most often.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use axum::http::StatusCode;
use parlor_proto::{Channel, ChannelId, Error, ErrorCode, Identity, Timestamp, UserId, Window};
use parlor_rooms::access;
use parlor_store::{Found, Store, Stored};

use super::extract::query::Known;
use super::guard::caller::Visitor;
use super::guard::limit::Limits;
use super::problem::{Answer, Problem};
use super::ready::Ready;
use crate::clock;
use crate::http::App;
use crate::rooms::Registry;

/// The state that handlers share.
#[derive(Clone, Debug)]
pub struct Api(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    app: App,
    limits: Limits,
    ready: Ready,
    document: OnceLock<Bytes>,
    parameters: OnceLock<Known>,
}

/// The status of a PUT: 201 if it made something new, 204 if the thing was there.
pub const fn created(new: bool) -> StatusCode {
    if new { StatusCode::CREATED } else { StatusCode::NO_CONTENT }
}

impl Api {
    /// Makes the state that all handlers share from now on.
    pub fn new(app: &App, limits: Limits) -> Self {
        let (ready, document, parameters) = (Ready::default(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(Shared { app: app.clone(), limits, ready, document, parameters }))
    }

    /// Keeps the OpenAPI document, once it is complete, and the parameters it names.
    pub fn keep_document(&self, text: Bytes, parameters: Known) {
        let _ = self.0.document.set(text);
        let _ = self.0.parameters.set(parameters);
    }

    /// The OpenAPI document.
    pub fn document(&self) -> Bytes {
        self.0.document.get().cloned().unwrap_or_default()
    }

    /// The parameters that each operation has.
    pub fn parameters(&self) -> Option<&Known> {
        self.0.parameters.get()
    }

    pub fn store(&self) -> &Store {
        &self.0.app.store
    }

    pub fn registry(&self) -> &Arc<Registry> {
        &self.0.app.registry
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The addresses of media, as clients are told them.
    pub fn media(&self) -> impl Iterator<Item = SocketAddr> {
        self.0.app.pool.workers().iter().flat_map(|worker| worker.announced())
    }

    #[allow(clippy::unused_self, reason = "handlers know one place for what comes from outside")]
    pub fn now(&self) -> Timestamp {
        clock::wall()
    }

    /// Whether the store takes writes, as of a moment ago.
    pub async fn is_ready(&self) -> Result<(), String> {
        self.0.ready.ask(|| self.store().ping()).await
    }

    pub fn is_stopping(&self) -> bool {
        self.0.app.stopping.is_cancelled()
    }

    pub async fn stopping(&self) {
        self.0.app.stopping.cancelled().await;
    }

    /// Waits until the call of a channel has applied what was written, so that the answer holds when it is sent.
    pub async fn settled(&self, channel: &ChannelId) -> Answer<()> {
        followed(self.registry().settled(std::slice::from_ref(channel)).await)
    }

    /// Waits until the calls that a user is in have applied what was written about the user.
    pub async fn settled_for(&self, user: &UserId) -> Answer<()> {
        followed(self.registry().settled_for(user).await)
    }

    /// The channel with this id; a refusal if there is none.
    pub async fn channel(&self, id: &ChannelId) -> Answer<Stored<Channel>> {
        self.store().channel(id).await?.ok_or_else(|| Problem::new(ErrorCode::ChannelNotFound))
    }

    /// Verifies a user's token and returns the identity it states.
    pub async fn verify(&self, token: &str) -> Result<Identity, Error> {
        self.0.app.authenticator.verify(token).await.map(|pass| pass.identity)
    }

    /// Refuses a user who could not join the channel now.
    pub async fn let_in(&self, visitor: &Visitor, id: &ChannelId) -> Answer<()> {
        let user = match visitor {
            Visitor::Key => return self.channel(id).await.map(drop),
            Visitor::User(identity) => identity,
        };
        let Found { channel, facts, .. } = self.found(id, user).await?;
        access::admit(&channel, user, &facts, self.now())?;
        Ok(())
    }

    /// The channel, for a visitor who may join it, be it open now or not.
    pub async fn shown(&self, visitor: &Visitor, id: &ChannelId) -> Answer<Channel> {
        let user = match visitor {
            Visitor::Key => return Ok(self.channel(id).await?.value),
            Visitor::User(identity) => identity,
        };
        let Found { channel, facts, .. } = self.found(id, user).await?;
        let always = Channel { window: Window::default(), ..channel.clone() };
        access::admit(&always, user, &facts, self.now())?;
        Ok(channel)
    }

    /// What the store has of a channel and a user, if the user's token may be used for it.
    pub async fn found(&self, id: &ChannelId, user: &Identity) -> Answer<Found> {
        access::granted(id, user)?;
        let found = self.store().admission(id, &user.user).await?;
        found.ok_or_else(|| Problem::new(ErrorCode::ChannelNotFound))
    }
}

fn followed(settled: bool) -> Answer<()> {
    if settled {
        return Ok(());
    }
    let sentence = "It is written, and running calls have not followed yet. Ask again to see that they have.";
    Err(Problem::new(ErrorCode::ServerError).with_status(StatusCode::SERVICE_UNAVAILABLE).say(sentence))
}
