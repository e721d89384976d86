//! Admission: whether somebody may enter a channel now, by how often they try and by what the store knows of the channel and the user.

use std::sync::atomic::Ordering;
use std::time::Instant;

use parlor_proto::event::IceSetup;
use parlor_proto::{Actor, Channel, ChannelId, Error, ErrorCode, Identity, Tier, Topology, UserId, Window};
use parlor_rooms::{Admitted, access};
use parlor_store::{Found, StoreError};

use crate::clock;
use crate::rooms::Registry;
use crate::rooms::mail::Record;
use crate::store::refusal;

/// The most channels a development server makes by itself: each name somebody guesses costs a row.
const MAX_DEV_CHANNELS: usize = 10_000;

/// A join that passed the checks that need no room.
#[derive(Clone, Debug)]
pub struct Admission {
    pub(in crate::rooms) record: Record,
    pub(in crate::rooms) admitted: Admitted,
    pub(in crate::rooms) ice: IceSetup,
    /// The last change of the store that was known before the store was asked.
    pub(in crate::rooms) seen: i64,
}

impl Registry {
    /// Checks whether a user may try to join a channel now. How often they tried is looked at first, so that nobody
    /// can keep the store busy. Where every channel exists, a missing one is made with this topology.
    pub async fn admit(&self, channel: &ChannelId, identity: &Identity, topology: Topology) -> Result<Admission, Error> {
        if self.stopping.is_cancelled() {
            return Err(Error::new(ErrorCode::ShuttingDown));
        }
        self.limiter().check_join(&identity.user, Instant::now())?;
        self.admit_uncounted(channel, identity, topology).await
    }

    /// Checks whether a user may join a channel now, as [`Registry::admit`] does, without counting another try.
    pub async fn admit_uncounted(&self, channel: &ChannelId, identity: &Identity, topology: Topology) -> Result<Admission, Error> {
        access::granted(channel, identity)?;
        let seen = self.noticed.load(Ordering::Acquire);
        let found = self.find(channel, &identity.user, topology).await.map_err(refusal)?;
        let found = found.ok_or_else(|| Error::new(ErrorCode::ChannelNotFound))?;
        self.admission(found.channel.window, found, identity, seen).await
    }

    /// Checks whether somebody who only lost their connection may come back. That is no join: it is not counted, and a
    /// window that has closed meanwhile does not end a call.
    pub async fn admit_again(&self, channel: &ChannelId, identity: &Identity) -> Result<Admission, Error> {
        let seen = self.noticed.load(Ordering::Acquire);
        let found = self.store.admission(channel, &identity.user).await.map_err(refusal)?;
        let found = found.ok_or_else(|| Error::new(ErrorCode::SessionExpired))?;
        self.admission(Window::default(), found, identity, seen).await
    }

    /// Refuses a token that was revoked. While the store does not answer, no token counts as revoked: a join needs the store anyway.
    pub async fn check_revoked(&self, identity: &Identity) -> Result<(), Error> {
        let person = self.store.person(&identity.user).await.unwrap_or_default();
        Ok(access::not_revoked(identity, person.revoked_before)?)
    }

    /// Notes that a connection broke while its user was in a channel.
    pub fn left_uncleanly(&self, user: &UserId) {
        self.limiter().left_uncleanly(user, Instant::now());
    }

    async fn admission(&self, window: Window, found: Found, identity: &Identity, seen: i64) -> Result<Admission, Error> {
        let Found { channel, made, facts, as_of } = found;
        let admitted = access::admit(&Channel { window, ..channel.clone() }, identity, &facts, clock::wall())?;
        let ice = self.ice.for_call(&channel, &identity.user, clock::wall()).await;
        Ok(Admission { record: Record { channel, made, as_of }, admitted, ice, seen })
    }

    async fn find(&self, id: &ChannelId, user: &UserId, topology: Topology) -> Result<Option<Found>, StoreError> {
        let found = self.store.admission(id, user).await?;
        if found.is_some() || !self.open || self.made.fetch_add(1, Ordering::Relaxed) >= MAX_DEV_CHANNELS {
            return Ok(found);
        }
        // A channel made by its first join is a pro one: development is for trying everything.
        let channel = Channel { tier: Tier::Pro, topology, ..Channel::new(id.clone(), id.as_str()) };
        match self.store.create_channel(&channel, &Actor::Server, clock::wall()).await {
            Ok(_) | Err(StoreError::Exists(_)) => self.store.admission(id, user).await,
            Err(error) => Err(error),
        }
    }
}
