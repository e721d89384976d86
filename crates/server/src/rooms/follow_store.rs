//! Brings what other writers wrote to the store into running calls: the change log is followed, and each room is made to agree with
//! what the store has now. A change says where to look, not what to do, so that seeing one twice does no harm.

pub mod backlog;
pub mod recent;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt as _;
use parlor_proto::{ChannelId, Moderation, Timestamp, UserId};
use parlor_store::{Change, ChangeKind, StoreError};

use crate::clock;
use crate::rooms::Registry;
use crate::rooms::follow_store::backlog::Errand;
use crate::rooms::mail::{Answer, Mail, Record};

/// How often the log is looked at without a notice: a write of another process takes effect here after so long at the latest.
const POLL: Duration = Duration::from_secs(1);
/// How long an API answer waits for running calls: they follow within milliseconds unless the store hangs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Changes read from the log at once.
const BATCH: u32 = 256;
/// How long changes are kept in the log: far longer than a process that lives goes without looking.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often changes older than that are removed.
const TRIM_EVERY: Duration = Duration::from_secs(60 * 60);

impl Registry {
    /// Something was written to the store: look at the change log at once.
    pub fn changed(&self) {
        self.changed.notify_one();
    }

    /// Waits until the calls of these channels have felt everything that is in the store now. False if that takes too long.
    pub async fn settled(&self, channels: &[ChannelId]) -> bool {
        let settle = async {
            let last = self.store.last_change().await.ok()?;
            self.changed();
            self.backlog.felt(last, channels).await;
            Some(())
        };
        match tokio::time::timeout(SETTLE_TIMEOUT, self.stopping.run_until_cancelled(settle)).await {
            Ok(Some(settled)) => settled.is_some(),
            // A stopping server ends its calls and does not look at the log any more.
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Waits for the calls that a user is in.
    pub async fn settled_for(&self, user: &UserId) -> bool {
        self.settled(&self.presence.channels_of(user)).await
    }

    /// Follows the change log from its present end until the server stops. Changes written before concern no room,
    /// because there are no rooms yet.
    pub async fn follow(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut cursor = self.store.last_change().await?;
        self.noticed.store(cursor, Ordering::Release);
        self.backlog.read_to(cursor);
        let registry = Arc::clone(self);
        self.tasks.spawn(async move {
            let stopping = registry.stopping.clone();
            let mut reachable = true;
            while let Some(()) = stopping.run_until_cancelled(registry.next_look()).await {
                let looked = stopping.run_until_cancelled(registry.look(&mut cursor)).await;
                let Some(looked) = looked else { return };
                match (&looked, reachable) {
                    (Err(error), true) => tracing::warn!(%error, "changes of the store cannot be read; trying again each second"),
                    (Ok(()), false) => tracing::info!("changes of the store can be read again"),
                    _ => {}
                }
                reachable = looked.is_ok();
            }
        });
        // Runs beside the following of the log, not between two looks: the first time there may be much to remove.
        let registry = Arc::clone(self);
        self.tasks.spawn(async move { registry.stopping.run_until_cancelled(registry.trim()).await });
        Ok(())
    }

    /// Removes old lines of the logs. Done at the start too: a server may never run for as long as an hour.
    async fn trim(&self) {
        let ago = |time: Duration| Timestamp(clock::wall().0.saturating_sub(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)));
        let (audit_kept, lines) = self.audit_kept;
        loop {
            if let Err(error) = self.store.trim_changes(ago(KEPT)).await {
                tracing::warn!(%error, "old changes could not be removed");
            }
            match self.store.trim_audit(ago(audit_kept), lines).await {
                Ok(0) => {}
                Ok(removed) => tracing::info!(removed, "old lines of the audit log were removed"),
                Err(error) => tracing::warn!(%error, "old lines of the audit log could not be removed"),
            }
            tokio::time::sleep(TRIM_EVERY).await;
        }
    }

    async fn next_look(&self) {
        let _ = tokio::time::timeout(POLL, self.changed.notified()).await;
    }

    /// Reads all changes after the last one that was read, and puts them into the queues of the rooms they concern.
    async fn look(self: &Arc<Self>, cursor: &mut i64) -> Result<(), StoreError> {
        loop {
            // Not every write is a change, so the last change may be older than the last write: once all changes are
            // read, nothing up to that write is missing.
            let last = self.store.last_change().await?;
            let changes = self.store.changes_after(*cursor, BATCH).await?;
            let all = changes.len() < BATCH as usize;
            for change in changes {
                // Noted before a room is told: whoever enters a room after this change was applied there has to see
                // that the change came.
                self.recent.note(change.seq, change.channel.as_ref(), change.user.as_ref());
                self.noticed.store(change.seq, Ordering::Release);
                *cursor = change.seq;
                self.hand_out(change);
            }
            if all {
                self.backlog.read_to(last.max(*cursor));
                return Ok(());
            }
        }
    }

    fn hand_out(self: &Arc<Self>, change: Change) {
        let channels = match (&change.channel, &change.user) {
            (Some(channel), _) => vec![channel.clone()],
            (None, Some(user)) => self.presence.channels_of(user),
            (None, None) => Vec::new(),
        };
        if change.kind == ChangeKind::Revoked
            && let Some(user) = change.user.clone()
        {
            let (registry, channels, seq) = (Arc::clone(self), channels.clone(), change.seq);
            let before = change.details.get("before").and_then(|before| serde_json::from_value(before.clone()).ok()).unwrap_or(change.at);
            self.tasks.spawn(async move { registry.end_revoked(&user, before, seq, &channels).await });
        }
        for channel in channels.into_iter().filter(|channel| self.running(channel).is_some()) {
            if self.backlog.add(&channel, change.clone(), is_order(&change)) {
                let registry = Arc::clone(self);
                self.tasks.spawn(async move {
                    let bringing = registry.stopping.run_until_cancelled(registry.bring(&channel));
                    if AssertUnwindSafe(bringing).catch_unwind().await.is_err() {
                        tracing::error!(%channel, "bringing changes to a call panicked; those that waited are lost");
                        registry.backlog.forget(&channel);
                    }
                });
            }
        }
    }

    /// Brings to a room the changes that wait for it. If the store does not answer, that is tried until it does; a
    /// change that cannot be applied at all must not keep those after it from the room.
    async fn bring(&self, channel: &ChannelId) {
        while let Some(errand) = self.backlog.next(channel) {
            while let Err(error) = self.run(channel, &errand).await {
                if !matches!(error, StoreError::Unavailable(_)) {
                    tracing::error!(%channel, ?errand, %error, "a change cannot be applied, and is stepped over");
                    break;
                }
                tokio::time::sleep(POLL).await;
            }
            self.backlog.done(channel, &errand);
        }
    }

    async fn run(&self, channel: &ChannelId, errand: &Errand) -> Result<(), StoreError> {
        let place = self.locks.place(channel);
        let _turn = place.turn().await;
        match errand {
            Errand::Change(change) => self.apply(channel, change).await,
            Errand::Everything(_) => self.refresh_channel(channel).await,
        }
    }

    /// Applies a change to the room of a channel. The caller must have the turn of that channel.
    async fn apply(&self, channel: &ChannelId, change: &Change) -> Result<(), StoreError> {
        match (change.kind, &change.user) {
            // A ban written by this process put out everybody it concerns when it was written.
            (ChangeKind::Ban, Some(user)) if !change.own && change.details.get("before").is_none() => {
                self.put_out(channel, user, change).await;
                self.refresh(channel, user).await
            }
            (ChangeKind::Channel, _) if change.details.get("after").is_none() => {
                if let Some(room) = self.running(channel) {
                    room.ask(Mail::Removed { seq: change.seq }).await;
                }
                self.history.forget(channel);
                self.call_changed(channel);
                Ok(())
            }
            (
                ChangeKind::Ban | ChangeKind::Restriction | ChangeKind::Access | ChangeKind::Entitlement | ChangeKind::Revoked,
                Some(user),
            ) => self.refresh(channel, user).await,
            (ChangeKind::Access | ChangeKind::Channel, _) => self.refresh_channel(channel).await,
            // What this process's moderators did has been carried out; what those of another process did is for the
            // process that has the room.
            (ChangeKind::Moderation, _) if !change.own && self.running(channel).is_some() => {
                if let Some((by, action)) = change.command() {
                    self.act(channel, &by, action, true, None).await;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Applies a ban that another process wrote: users who came before it are put out, even if it is lifted by now.
    async fn put_out(&self, channel: &ChannelId, user: &UserId, change: &Change) {
        let until = change.details.get("until").and_then(|until| serde_json::from_value(until.clone()).ok()).flatten();
        let reason = change.details.get("reason").and_then(|reason| reason.as_str()).map(str::to_owned);
        if let Some(room) = self.running(channel) {
            let ban = Moderation::Ban { user: user.clone(), until, reason };
            room.ask(Mail::Banned { seq: change.seq, ban }).await;
        }
    }

    /// Makes a room agree with what the store has of a user.
    pub(super) async fn refresh(&self, channel: &ChannelId, user: &UserId) -> Result<(), StoreError> {
        let Some(room) = self.running(channel) else { return Ok(()) };
        let found = self.store.admission(channel, user).await?.map(Box::new);
        room.ask(Mail::Facts { user: user.clone(), found }).await;
        Ok(())
    }

    /// Makes a room agree with what the store has of its channel and of everybody there.
    async fn refresh_channel(&self, channel: &ChannelId) -> Result<(), StoreError> {
        for user in self.refresh_record(channel).await? {
            self.refresh(channel, &user).await?;
        }
        Ok(())
    }

    /// Gives a room its channel's record as it is now, and says who is there; without a record it is about to end.
    pub(super) async fn refresh_record(&self, channel: &ChannelId) -> Result<Vec<UserId>, StoreError> {
        let Some(room) = self.running(channel) else { return Ok(Vec::new()) };
        // The number of the last change is asked for first: what is read after it is at least as new.
        let as_of = self.store.last_change().await?;
        let Some(stored) = self.store.channel(channel).await? else {
            // The channel was removed. The change that says so is an order, and has a place in the queue of the room.
            return Ok(Vec::new());
        };
        let record = Box::new(Record { channel: stored.value, made: stored.made, as_of });
        Ok(if let Some(Answer::Users(present)) = room.ask(Mail::Channel { record }).await { present } else { Vec::new() })
    }
}

/// Whether a change is to be carried out once, and nothing in the store tells of it afterwards: acts of moderators of another
/// process, a ban that may be lifted again, and the end of a channel that may be made anew.
fn is_order(change: &Change) -> bool {
    match change.kind {
        ChangeKind::Moderation => !change.own,
        ChangeKind::Ban => !change.own && change.details.get("before").is_none(),
        ChangeKind::Channel => change.details.get("after").is_none(),
        _ => false,
    }
}
