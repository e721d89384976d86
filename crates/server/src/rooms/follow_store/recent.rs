//! The latest changes of the store, kept for users on their way into a room: between the question to the store and the
//! entry something may be written that nobody would look for in a room the user is not in yet.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use parlor_proto::{ChannelId, UserId};

/// How many changes are remembered: a join takes milliseconds, and so many writes take seconds. For a join that is
/// slower than that everything counts as changed, and is looked up again.
const REMEMBERED: usize = 1_024;

/// The latest changes, each noted before any room is told of it.
#[derive(Debug, Default)]
pub struct Recent(Mutex<Notes>);

#[derive(Debug, Default)]
struct Notes {
    /// The number of the last change that is forgotten.
    forgotten: i64,
    changes: VecDeque<(i64, Option<ChannelId>, Option<UserId>)>,
}

impl Recent {
    /// Notes the change with this number. Without a channel it concerns every channel, without a user it concerns everybody.
    pub fn note(&self, seq: i64, channel: Option<&ChannelId>, user: Option<&UserId>) {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.changes.push_back((seq, channel.cloned(), user.cloned()));
        if notes.changes.len() > REMEMBERED
            && let Some((seq, ..)) = notes.changes.pop_front()
        {
            notes.forgotten = notes.forgotten.max(seq);
        }
    }

    /// Whether something changed for this user in this channel after the write of this number.
    pub fn concerns(&self, as_of: i64, channel: &ChannelId, user: &UserId) -> bool {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is = |(seq, of_channel, of_user): &(i64, Option<ChannelId>, Option<UserId>)| {
            *seq > as_of && of_channel.as_ref().is_none_or(|one| one == channel) && of_user.as_ref().is_none_or(|one| one == user)
        };
        as_of < notes.forgotten || notes.changes.iter().any(is)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_concerns_whom_it_is_about_and_who_asked_before_it() {
        let (den, alice) = (ChannelId::new("den").expect("valid"), UserId::new("alice").expect("valid"));
        let (attic, bob) = (ChannelId::new("attic").expect("valid"), UserId::new("bob").expect("valid"));
        let recent = Recent::default();
        recent.note(5, Some(&den), Some(&alice));
        let concerned = |as_of| [(&den, &alice), (&attic, &alice), (&den, &bob)].map(|(c, u)| recent.concerns(as_of, c, u));
        assert_eq!((concerned(4), concerned(5)), ([true, false, false], [false; 3]));
        recent.note(6, None, Some(&alice));
        assert_eq!(concerned(5), [true, true, false]);
        recent.note(7, Some(&den), None);
        assert_eq!(concerned(6), [true, false, true]);
        for seq in 8..8 + i64::try_from(REMEMBERED).expect("fits") {
            recent.note(seq, Some(&ChannelId::new("else").expect("valid")), None);
        }
        assert_eq!((concerned(6), concerned(7)), ([true; 3], [false; 3]), "what is forgotten counts for everybody");
    }
}
