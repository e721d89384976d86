//! Everything a join needs to know, in one query.

use parlor_proto::{Channel, ChannelId, Restrictions, UserId};
use parlor_rooms::{Ban, Facts};

use crate::channels::{columns, stored};
use crate::people::of_columns;
use crate::rows::{Row, answer};
use crate::{Store, StoreError};

/// What was found for a join, as of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// The channel somebody wants to enter.
    pub channel: Channel,
    /// The number of the write that made the channel ([`crate::Stored::made`]).
    pub made: i64,
    /// What decides whether somebody may join it.
    pub facts: Facts,
    /// The number of the last write that is in all this ([`crate::Change::seq`]): none with a higher number is.
    pub as_of: i64,
}

/// `$1` is the channel, `$2` the person, `$3` the lease that fences the store.
const SELECT: &str = concat!(
    "SELECT ",
    columns!(),
    ", m.role AS member_role, i.state AS invitation_state, s.seat AS seat, \
       b.user_id AS banned, b.until_at AS ban_until, b.reason AS ban_reason, \
       r.audio, r.video, r.screen, r.deafened, p.pro, p.pro_until, p.revoked_before, \
       (SELECT value FROM counters WHERE name = 'log') AS as_of, (SELECT epoch FROM leases WHERE name = $3) AS epoch \
     FROM channels c \
     LEFT JOIN members m ON m.channel_id = c.id AND m.user_id = $2 \
     LEFT JOIN invitations i ON i.channel_id = c.id AND i.user_id = $2 \
     LEFT JOIN seats s ON s.channel_id = c.id AND s.user_id = $2 \
     LEFT JOIN bans b ON b.channel_id = c.id AND b.user_id = $2 \
     LEFT JOIN restrictions r ON r.channel_id = c.id AND r.user_id = $2 \
     LEFT JOIN people p ON p.user_id = $2 \
     WHERE c.id = $1"
);

impl Store {
    /// A channel, and what decides whether somebody may join it; `None` if there is no such channel. A ban is told even
    /// if it has ended: the rule that reads the facts knows what time it is.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]; [`StoreError::Superseded`] if this store is fenced by a lease that is lost.
    pub async fn admission(&self, channel: &ChannelId, user: &UserId) -> Result<Option<Found>, StoreError> {
        let fence = self.fence.as_ref().map_or_else(String::new, |fence| fence.name.to_string());
        let read = sqlx::query(SELECT).bind(channel.as_str().to_owned()).bind(user.as_str().to_owned()).bind(fence);
        let Some(row) = answer(read.fetch_optional(&self.pool)).await?.map(Row) else { return Ok(None) };
        self.passes(row.get("epoch")?)?;
        let (stored, facts, as_of) = (stored(&row)?, facts(&row)?, row.get("as_of")?);
        Ok(Some(Found { channel: stored.value, made: stored.made, facts, as_of }))
    }
}

fn facts(row: &Row) -> Result<Facts, StoreError> {
    let banned: Option<&str> = row.get("banned")?;
    let ban = match banned {
        Some(_) => Some(Ban { until: row.time_or_null("ban_until")?, reason: row.get("ban_reason")? }),
        None => None,
    };
    let seat: Option<&str> = row.get("seat")?;
    let person = of_columns(row)?;
    Ok(Facts {
        ban,
        member: row.word_or_null("member_role")?,
        invitation: row.word_or_null("invitation_state")?,
        seat: seat.is_some(),
        restrictions: restrictions(row)?,
        entitlement: person.entitlement,
        revoked_before: person.revoked_before,
    })
}

fn restrictions(row: &Row) -> Result<Restrictions, StoreError> {
    let flag = |column| -> Result<bool, StoreError> { Ok(row.get::<Option<i64>>(column)?.is_some_and(|flag| flag != 0)) };
    Ok(Restrictions { audio: flag("audio")?, video: flag("video")?, screen: flag("screen")?, deafened: flag("deafened")? })
}
