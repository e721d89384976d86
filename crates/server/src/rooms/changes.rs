//! What others wrote to the store reaches running calls: the change log is followed, and each room is made to agree
//! with what the store has now. A change says where to look, not what to do, so that seeing one twice does no harm.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use parlor_proto::{ChannelId, Moderation, Timestamp, UserId};
use parlor_store::{Change, ChangeKind, StoreError};

use super::{Message, Record, Registry};
use crate::clock;

/// How often the log is looked at without having been told: so long may pass before a write of another process is
/// felt here.
const POLL: Duration = Duration::from_secs(1);
/// How long an answer waits for running calls: they follow within milliseconds unless the store hangs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(5);
/// Changes read at once.
const BATCH: u32 = 256;
/// How long changes are kept: far longer than a process that lives goes without looking.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How often older ones are removed.
const TRIM_EVERY: Duration = Duration::from_secs(60 * 60);

impl Registry {
    /// Something was written to the store: look at the change log at once.
    pub fn changed(&self) {
        self.changed.notify_one();
    }

    /// Waits until running calls have felt everything that is in the store now. False if that takes too long.
    pub async fn settled(&self) -> bool {
        let settle = async {
            let mut applied = self.applied.subscribe();
            let last = self.store.last_change().await.ok()?;
            self.changed();
            applied.wait_for(|applied| *applied >= last).await.ok().map(drop)
        };
        match tokio::time::timeout(SETTLE_TIMEOUT, self.stopping.run_until_cancelled(settle)).await {
            Ok(Some(settled)) => settled.is_some(),
            // A server that stops ends its calls, and looks at the log no more.
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Follows the change log from its present end until the server stops. What was written before concerns no room:
    /// there are none yet.
    pub async fn follow(self: &Arc<Self>) -> Result<(), StoreError> {
        let mut cursor = self.store.last_change().await?;
        self.noticed.store(cursor, Ordering::Release);
        self.applied.send_replace(cursor);
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
        // Not between two looks: the first time there may be much to remove.
        let registry = Arc::clone(self);
        self.tasks.spawn(async move { registry.stopping.run_until_cancelled(registry.trim()).await });
        Ok(())
    }

    /// Removes old lines of the logs, at the start too: a server may never run for as long as an hour.
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

    /// Applies all changes there are after the last applied one. One that could not be applied because the store does not
    /// answer is tried again with the next look; one that cannot be applied at all must not keep those after it from
    /// running calls.
    async fn look(&self, cursor: &mut i64) -> Result<(), StoreError> {
        loop {
            // Not every write is a change: up to here nothing is missing once all changes there are have been applied.
            let last = self.store.last_change().await?;
            let changes = self.store.changes_after(*cursor, BATCH).await?;
            for change in &changes {
                // First: whoever enters a room after this change was applied there has to see that it came.
                self.recent.note(change.seq, change.channel.as_ref(), change.user.as_ref());
                self.noticed.store(change.seq, Ordering::Release);
                match self.apply(change).await {
                    Err(error @ StoreError::Unavailable(_)) => return Err(error),
                    Err(error) => tracing::error!(seq = change.seq, %error, "a change cannot be applied, and is stepped over"),
                    Ok(()) => {}
                }
                *cursor = change.seq;
            }
            if changes.len() < BATCH as usize {
                self.applied.send_replace(last.max(*cursor));
                return Ok(());
            }
        }
    }

    async fn apply(&self, change: &Change) -> Result<(), StoreError> {
        let _turn = self.moderating.lock().await;
        match (change.kind, &change.channel, &change.user) {
            // Ours has put out whoever was there when it was written.
            (ChangeKind::Ban, Some(channel), Some(user)) if !change.own && change.details.get("before").is_none() => {
                self.put_out(channel, user, change).await;
                self.refresh(channel, user).await
            }
            (ChangeKind::Channel, Some(channel), _) if change.details.get("after").is_none() => {
                if let Some(room) = self.running(channel) {
                    room.ask(|done| Message::Removed { seq: change.seq, done }).await;
                }
                Ok(())
            }
            (ChangeKind::Ban | ChangeKind::Restriction | ChangeKind::Access, Some(channel), Some(user)) => {
                self.refresh(channel, user).await
            }
            (ChangeKind::Access | ChangeKind::Channel, Some(channel), _) => self.refresh_channel(channel).await,
            (ChangeKind::Entitlement, _, Some(user)) => self.refresh_user(user).await,
            (ChangeKind::Revoked, _, Some(user)) => {
                self.refresh_user(user).await?;
                self.end_revoked(user).await.map(drop)
            }
            // Our own acts are done; those of others are for whoever has the room.
            (ChangeKind::Moderation, Some(channel), _) if !change.own && self.running(channel).is_some() => {
                if let Some((by, action)) = change.command() {
                    self.act(channel, &by, action, true, None).await;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A ban that another process wrote puts out who came before it, even if it is lifted by now.
    async fn put_out(&self, channel: &ChannelId, user: &UserId, change: &Change) {
        let until = change.details.get("until").and_then(|until| serde_json::from_value(until.clone()).ok()).flatten();
        let reason = change.details.get("reason").and_then(|reason| reason.as_str()).map(str::to_owned);
        if let Some(room) = self.running(channel) {
            let ban = Moderation::Ban { user: user.clone(), until, reason };
            room.ask(|done| Message::Banned { seq: change.seq, ban, done }).await;
        }
    }

    /// Makes a room agree with what the store has of a user.
    pub(super) async fn refresh(&self, channel: &ChannelId, user: &UserId) -> Result<(), StoreError> {
        let Some(room) = self.running(channel) else { return Ok(()) };
        let found = self.store.admission(channel, user).await?.map(Box::new);
        room.ask(|done| Message::Facts { user: user.clone(), found, done }).await;
        Ok(())
    }

    /// The same in every room the user is in.
    pub(super) async fn refresh_user(&self, user: &UserId) -> Result<(), StoreError> {
        for channel in self.people.channels_of(user) {
            self.refresh(&channel, user).await?;
        }
        Ok(())
    }

    /// The same for everybody in a room, whose channel has changed itself or is gone.
    async fn refresh_channel(&self, channel: &ChannelId) -> Result<(), StoreError> {
        for user in self.refresh_record(channel).await? {
            self.refresh(channel, &user).await?;
        }
        Ok(())
    }

    /// Gives a room its channel's record as it is now, and says who is there; without a record it is about to end.
    pub(super) async fn refresh_record(&self, channel: &ChannelId) -> Result<Vec<UserId>, StoreError> {
        let Some(room) = self.running(channel) else { return Ok(Vec::new()) };
        // Asked first: what is read after it is at least as new.
        let as_of = self.store.last_change().await?;
        let Some(stored) = self.store.channel(channel).await? else {
            // The line that says so comes, and ends the call.
            return Ok(Vec::new());
        };
        let record = Box::new(Record { channel: stored.value, made: stored.made, as_of });
        Ok(room.ask(|present| Message::Channel { record, present }).await.unwrap_or_default())
    }
}
