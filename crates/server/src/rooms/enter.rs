//! The ways into a room: a join, and the resumption of a session whose connection broke.

pub mod admission;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlor_proto::rtp::RtpCapabilities;
use parlor_proto::{ChannelId, Error, ErrorCode, Identity, MeshTerms, ResumeToken, SessionId, Topology, UserId};
use parlor_rooms::{Join, RequestId, Resume, Stay};
use parlor_store::StoreError;
use tokio::time::{Instant, timeout_at};

use crate::rooms::Registry;
use crate::rooms::enter::admission::Admission;
use crate::rooms::handle::{RoomHandle, Unanswered};
use crate::rooms::mail::{Answer, Mail};

/// How often a join may meet a room that is just closing, or records that changed meanwhile, before it is given up.
const JOIN_TRIES: usize = 5;
/// The pause between two questions to a store that does not answer, about somebody who is in a room already.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// What a session brings along to a join.
#[derive(Clone, Debug)]
pub struct JoinWish {
    /// The session that asks.
    pub session: SessionId,
    /// The join request of that session.
    pub request: RequestId,
    /// The user the session belongs to.
    pub identity: Identity,
    /// How the client wants to join.
    pub terms: JoinTerms,
    /// When the join has taken too long.
    pub deadline: Instant,
}

/// How a client wants to join.
#[derive(Clone, Debug, Default)]
pub struct JoinTerms {
    /// What the client can decode.
    pub capabilities: Option<Arc<RtpCapabilities>>,
    /// Whether the user's other session in the channel is to be put out for it.
    pub take_over: bool,
    /// What the client can do with mesh calls.
    pub mesh: MeshTerms,
    /// The dialect that the client speaks, for the log.
    pub dialect: &'static str,
}

/// What a session brings along to continue where another connection broke off.
#[derive(Clone, Debug)]
pub struct ResumeWish {
    /// The session that asks.
    pub session: SessionId,
    /// The resume request of that session.
    pub request: RequestId,
    /// The user the session belongs to.
    pub identity: Identity,
    /// The channel of the call that broke off.
    pub channel: ChannelId,
    /// The token the client was given when it joined.
    pub token: ResumeToken,
    /// When the resumption has taken too long.
    pub deadline: Instant,
}

impl JoinTerms {
    /// The topology of a channel that is made because the client joins it.
    pub const fn topology(&self) -> Topology {
        if self.mesh.only { Topology::Mesh } else { Topology::Sfu }
    }
}

impl JoinWish {
    fn mail(&self, admission: &Admission) -> Mail {
        let join = Join {
            session: self.session,
            request: self.request,
            identity: self.identity.clone(),
            admitted: admission.admitted,
            as_of: admission.record.as_of,
            ice: admission.ice.clone(),
            capabilities: self.terms.capabilities.clone(),
            take_over: self.terms.take_over,
            mesh: self.terms.mesh,
            dialect: self.terms.dialect,
        };
        Mail::Join { join: Box::new(join), record: Box::new(admission.record.clone()) }
    }
}

impl ResumeWish {
    fn mail(&self, admission: &Admission) -> Mail {
        let resume = Resume {
            session: self.session,
            request: self.request,
            identity: self.identity.clone(),
            admitted: admission.admitted,
            as_of: admission.record.as_of,
            token: self.token,
            ice: admission.ice.clone(),
        };
        Mail::Resume { resume: Box::new(resume), record: Box::new(admission.record.clone()) }
    }
}

impl Admission {
    /// The channel that may be entered.
    pub const fn channel(&self) -> &ChannelId {
        &self.record.channel.id
    }
}

impl Registry {
    /// Joins the room of an admitted channel, making the room if need be. Returns the room if the session is in it now,
    /// `None` if the room refused the join and answered the request, and an error if the request has no answer yet.
    pub async fn join(self: &Arc<Self>, admission: &Admission, wish: JoinWish) -> Result<Option<RoomHandle>, Error> {
        let mut admission = admission.clone();
        let _entering = self.entering(admission.channel(), &wish.identity);
        for _ in 0..JOIN_TRIES {
            let room = self.room(&admission.record)?;
            match room.enter(wish.mail(&admission), wish.deadline).await {
                Ok(true) => {
                    self.catch_up(&admission, &wish.identity.user);
                    return Ok(Some(room));
                }
                Ok(false) => return Ok(None),
                // The room closed meanwhile, or the records it was to judge by are outdated: room and records are looked up again.
                Err(Unanswered::Closed) => {
                    tokio::task::yield_now().await;
                    let again = self.admit_uncounted(admission.channel(), &wish.identity, wish.terms.topology());
                    admission = timeout_at(wish.deadline, again).await.unwrap_or_else(|_| Err(ErrorCode::Timeout.into()))?;
                }
                Err(Unanswered::TooLate) => return Err(ErrorCode::Timeout.into()),
            }
        }
        let code = if self.stopping.is_cancelled() { ErrorCode::ShuttingDown } else { ErrorCode::ServerError };
        Err(code.into())
    }

    /// Lets rooms know that the user of a session in them is in another channel now, with another session.
    pub(super) fn leave_elsewhere(self: &Arc<Self>, stays: Vec<Stay>) {
        for Stay { channel, session } in stays {
            if let Some(room) = self.running(&channel) {
                self.tasks.spawn(async move { room.send(Mail::MovedDevice { session }).await });
            }
        }
    }

    /// Continues in a room where another connection of the same client broke off. Returns the same results as [`Registry::join`].
    pub async fn resume(self: &Arc<Self>, wish: ResumeWish) -> Result<Option<RoomHandle>, Error> {
        for _ in 0..JOIN_TRIES {
            let stay = timeout_at(wish.deadline, self.stay(&wish)).await;
            let (room, admission) = stay.unwrap_or_else(|_| Err(ErrorCode::Timeout.into()))?;
            match room.enter(wish.mail(&admission), wish.deadline).await {
                Ok(true) => {
                    self.limiter().resumed(&wish.identity.user);
                    self.catch_up(&admission, &wish.identity.user);
                    return Ok(Some(room));
                }
                Ok(false) => return Ok(None),
                // The records are outdated and are looked up again. If the room closed, no room is found then.
                Err(Unanswered::Closed) => tokio::task::yield_now().await,
                Err(Unanswered::TooLate) => return Err(ErrorCode::Timeout.into()),
            }
        }
        Err(ErrorCode::SessionExpired.into())
    }

    /// Finds the room in which there is a stay to resume, and checks that the user may be there. If there is no such stay the store is
    /// not asked, so a client that guesses tokens learns neither whether there is a call nor what the user may do there.
    async fn stay(&self, wish: &ResumeWish) -> Result<(RoomHandle, Admission), Error> {
        let expired = || Error::new(ErrorCode::SessionExpired);
        let room = self.running(&wish.channel).ok_or_else(expired)?;
        let (user, token) = (wish.identity.user.clone(), wish.token);
        match room.ask(Mail::HasStay { user, token }).await {
            Some(Answer::Yes(true)) => Ok((room, self.admit_again(&wish.channel, &wish.identity).await?)),
            _ => Err(expired()),
        }
    }

    /// A ban, or another record of the channel, may have been written after the store was asked and made known before the
    /// room was entered: then nobody has looked for this user, or this room, and that is done now. The client does not
    /// wait for it, and a store that does not answer is asked until it does: nobody stays who may not.
    ///
    /// Nothing may have been noticed either, because another process wrote it: its change is not waited for.
    fn catch_up(self: &Arc<Self>, admission: &Admission, user: &UserId) {
        let noticed = self.noticed.load(Ordering::Acquire) != admission.seen;
        let (registry, channel, user) = (Arc::clone(self), admission.channel().clone(), user.clone());
        let as_of = admission.record.as_of;
        self.tasks.spawn(async move {
            let stopping = registry.stopping.clone();
            let catching_up = async {
                if noticed {
                    registry.agree_at_last(&channel, &user).await;
                } else if registry.store.last_change().await.is_ok_and(|last| last > as_of) {
                    registry.changed();
                }
            };
            stopping.run_until_cancelled(catching_up).await;
        });
    }

    async fn agree_at_last(&self, channel: &ChannelId, user: &UserId) {
        let mut warned = false;
        while let Err(error) = self.look_again(channel, user).await {
            if !std::mem::replace(&mut warned, true) {
                tracing::warn!(%error, %channel, "what changed during a join is not known; asking until it is");
            }
            tokio::time::sleep(ASK_AGAIN).await;
            if !self.presence.channels_of(user).contains(channel) {
                return;
            }
        }
    }

    async fn look_again(&self, channel: &ChannelId, user: &UserId) -> Result<(), StoreError> {
        // What the change log or a moderator brings meanwhile must not be overwritten with what was read before.
        let place = self.locks.place(channel);
        let _turn = place.turn().await;
        self.refresh_record(channel).await?;
        self.refresh(channel, user).await
    }
}
