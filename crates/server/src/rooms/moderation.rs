//! Moderation of running calls, by administrators and by moderators in the call: the act goes first to the store, with
//! its audit log, and then to the room. An act that the store refuses does not happen.

use std::sync::Arc;
use std::time::Duration;

use parlor_proto::{Actor, ChannelId, Error, ErrorCode, Identity, Moderation, Participant, SessionId, Timestamp, UserId};
use parlor_rooms::{Happening, RequestId, access};
use parlor_store::{BanPut, StoreError};

use crate::clock;
use crate::rooms::mail::{Answer, Mail};
use crate::rooms::{Registry, SessionInfo};
use crate::store::{RETRY_AFTER_MS, refusal};

/// How long a caller waits for a call that does not answer: a call that does answer takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

impl Registry {
    /// The participants of a call, in the order in which they came.
    pub async fn participants(&self, channel: &ChannelId) -> Vec<Participant> {
        let Some(room) = self.running(channel) else { return Vec::new() };
        if let Some(Answer::Participants(shown)) = room.ask(Mail::Show).await { shown } else { Vec::new() }
    }

    /// Moderates a call. Bans and restrictions hold whether the user is in the call or not; an act that needs the
    /// user's presence is refused with `NOT_FOUND` without it.
    pub async fn moderate(self: &Arc<Self>, channel: &ChannelId, by: &Actor, action: Moderation) -> Result<(), Error> {
        let (registry, channel, by) = (Arc::clone(self), channel.clone(), by.clone());
        let done = self.whole(async move { registry.moderate_for(&channel, &by, action, None).await });
        tokio::time::timeout(PATIENCE, done).await.unwrap_or_else(|_| {
            let sentence = "The call does not answer now. What you asked for may still be done: look before you ask again.";
            Err(Error::new(ErrorCode::ServerError).with("retryAfterMs", RETRY_AFTER_MS).say(sentence))
        })
    }

    /// Runs work to its end even if the caller hangs up: nothing may be written to the store and then not done.
    async fn whole<T: Send + 'static>(&self, work: impl Future<Output = Result<T, Error>> + Send + 'static) -> Result<T, Error> {
        self.tasks.spawn(work).await.unwrap_or_else(|error| {
            tracing::error!(%error, "an act of moderation broke off");
            Err(ErrorCode::ServerError.into())
        })
    }

    /// Moderates a call as [`Registry::moderate`] does. `answer` is the request of a session in that room, which is
    /// answered once the act is done.
    pub(super) async fn moderate_for(
        &self,
        channel: &ChannelId,
        by: &Actor,
        action: Moderation,
        answer: Option<(SessionId, RequestId)>,
    ) -> Result<(), Error> {
        // One act at a time: restrictions are read, changed and written, and the change log must not bring to the room
        // a change that this act is about to bring.
        let place = self.locks.place_for_act(channel).ok_or_else(|| {
            let sentence = "Too many acts of moderation wait in this call. Try again in a moment.";
            Error::new(ErrorCode::RateLimited).with("retryAfterMs", RETRY_AFTER_MS).say(sentence)
        })?;
        let _turn = place.turn().await;
        let news = self.keep(channel, by, &action).await?;
        // Noted before the room is told: a user on the way in then either is looked up again, or is in the room to be told.
        match self.store.last_change().await {
            Ok(seq) => self.recent.note(seq, Some(channel), action.user()),
            Err(_) => self.changed(),
        }
        self.act(channel, by, action, news, answer).await;
        Ok(())
    }

    /// Refuses to send somebody to a channel that the moderator may not know of: to them there is no such channel.
    /// Requests of administrators do not come this way.
    pub(super) async fn check_destination(&self, action: &Moderation, asks: &Identity) -> Result<(), Error> {
        let Moderation::Move { to, .. } = action else { return Ok(()) };
        access::granted(to, asks)?;
        let found = self.store.admission(to, &asks.user).await.map_err(refusal)?;
        if found.is_some_and(|found| access::may_know_of(&found.channel, asks, &found.facts)) { Ok(()) } else { Err(no_destination()) }
    }

    /// The connections of a user.
    #[allow(clippy::unused_async, reason = "other processes will be asked one day")]
    pub async fn sessions(&self, user: &UserId) -> Vec<SessionInfo> {
        self.presence.sessions(user)
    }

    /// Signs a user out: tokens issued until now are void, and connections made with them end. Returns how many were closed.
    pub async fn revoke(self: &Arc<Self>, user: &UserId, by: &Actor) -> Result<usize, Error> {
        let (registry, user, by) = (Arc::clone(self), user.clone(), by.clone());
        self.whole(async move { registry.sign_out(&user, &by).await.map_err(refusal) }).await
    }

    async fn sign_out(self: &Arc<Self>, user: &UserId, by: &Actor) -> Result<usize, StoreError> {
        let now = clock::wall();
        self.store.revoke(user, now, by, now).await?;
        let ended = self.presence.issued_before(user, now).len();
        let (seq, channels) = (self.store.last_change().await?, self.presence.channels_of(user));
        self.changed();
        self.end_revoked(user, now, seq, &channels).await;
        Ok(ended)
    }

    /// Closes the connections of a user whose token was issued `before` a moment, once their rooms have told them why. `seq` is
    /// the write that made it void. A room that does not answer keeps nobody connected.
    pub(super) async fn end_revoked(&self, user: &UserId, before: Timestamp, seq: i64, channels: &[ChannelId]) {
        self.signed_out(user, before);
        let told = self.stopping.run_until_cancelled(self.backlog.felt(seq, channels));
        if tokio::time::timeout(PATIENCE, told).await.is_err() {
            tracing::warn!(%user, "a call or the store does not answer; whoever was signed out may not be told why");
        }
        self.presence.issued_before(user, before).iter().for_each(|session| session.close());
    }

    /// Checks an act as far as the store can, and writes its lasting part. Returns false if everything was so already.
    async fn keep(&self, channel: &ChannelId, by: &Actor, action: &Moderation) -> Result<bool, Error> {
        if self.store.channel(channel).await.map_err(refusal)?.is_none() {
            return Err(ErrorCode::ChannelNotFound.into());
        }
        let is_here = |user| self.presence.channels_of(user).contains(channel);
        match action {
            Moderation::Kick { user, .. } | Moderation::Move { user, .. } if !is_here(user) => {
                return Err(Error::new(ErrorCode::NotFound).say("This person is not in the call."));
            }
            Moderation::Move { to, .. } if to == channel => return Err(Error::invalid("to", "must be another channel")),
            Moderation::Move { to, .. } if self.store.channel(to).await.map_err(refusal)?.is_none() => {
                return Err(no_destination());
            }
            _ => {}
        }
        self.write_down(channel, by, action).await.map_err(refusal)
    }

    async fn write_down(&self, channel: &ChannelId, by: &Actor, action: &Moderation) -> Result<bool, StoreError> {
        let now = clock::wall();
        match action {
            Moderation::Mute { user, .. } | Moderation::Deafen { user, .. } => {
                let before = self.store.restrictions(channel, user).await?;
                let after = before.after(action);
                self.store.put_restrictions(channel, user, &after, by, now).await?;
                Ok(before != after)
            }
            Moderation::Ban { user, until, reason } => {
                let put = self.store.put_ban(channel, user, *until, reason.as_deref(), by, now).await?;
                // Another process may have banned the user a moment ago, and this call not have applied that yet.
                Ok(put != BanPut::Same || self.presence.channels_of(user).contains(channel))
            }
            // The process that has the room reads the act in the change log; this process does not wait for that.
            Moderation::Kick { .. } | Moderation::Move { .. } | Moderation::EndCall { .. } => {
                self.store.command(channel, action, by, now).await.map(|()| true)
            }
        }
    }

    /// Lets the room carry out an act. The host application is told even when nobody is there.
    pub(super) async fn act(
        &self,
        channel: &ChannelId,
        by: &Actor,
        action: Moderation,
        news: bool,
        answer: Option<(SessionId, RequestId)>,
    ) {
        let told = match self.running(channel) {
            Some(room) => {
                let (action, by) = (action.clone(), by.clone());
                room.ask(Mail::Moderate { action, by, news, answer }).await
            }
            None => None,
        };
        if told.is_none() && news {
            self.feed.publish(channel, &Happening::Moderation { by: by.clone(), action }).await;
        }
    }
}

fn no_destination() -> Error {
    Error::new(ErrorCode::ChannelNotFound).with("field", "to")
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Instant;

    use futures_util::FutureExt as _;
    use parlor_proto::Channel;
    use parlor_store::{Page, Store};

    use super::*;
    use crate::config::{Config, Media};
    use crate::feed::FeedHandle;
    use crate::media::{Pool, Told};

    #[tokio::test]
    async fn who_hangs_up_leaves_nothing_half_done() {
        let media = Media { port: 0, workers: 1, listen_ip: vec![Ipv4Addr::LOCALHOST.into()], ..Media::default() };
        let config = Config { media, ..Config::default() };
        let pool = Arc::new(Pool::start(&config.media, &Told::default(), &[]).expect("starts"));
        let store = Store::open("sqlite::memory:").await.expect("opens");
        let (den, mallory) = (ChannelId::new("den").expect("valid"), UserId::new("mallory").expect("valid"));
        store.put_channel(&Channel::new(den.clone(), "den"), None, &Actor::Server, clock::wall()).await.expect("is put");
        let ice = crate::ice::Ice::new(&config, false).expect("no provider");
        let registry = Arc::new(Registry::new(&config, true, Arc::clone(&pool), store.clone(), FeedHandle::nowhere(), ice));

        let ban = Moderation::Ban { user: mallory.clone(), until: None, reason: None };
        let asked = registry.moderate(&den, &Actor::CommandLine, ban).now_or_never();
        assert!(asked.is_none(), "nobody waits for it any more");
        let asked = registry.revoke(&mallory, &Actor::CommandLine).now_or_never();
        assert!(asked.is_none(), "nor for this");
        registry.shut_down().await;
        assert_eq!(store.bans(&den, &Page::first(10), clock::wall()).await.expect("is read").len(), 1);
        assert!(store.person(&mallory).await.expect("is read").revoked_before.is_some());
        pool.stop(Instant::now());
    }
}
