//! What outlives a call: channels, people, bans, keys, the audit log and the event feed, in SQLite or PostgreSQL.
//!
//! A [`Store`] is a handle that is cheap to clone. Every administrative write is one transaction with three things in it:
//! the change itself, its row of the audit log, and its row of the change log ([`Store::changes_after`]), from which
//! every process learns what the others wrote. A write that changes nothing writes nothing.
//!
//! Acknowledged means kept: when a function has returned `Ok`, the write survives a crash of the process and of the
//! machine.

#![forbid(unsafe_code)]

mod admission;
mod bans;
mod change_kind;
mod channels;
mod dialect;
mod disk;
mod error;
mod expected;
mod feed;
mod invitations;
mod key_text;
mod keys;
mod leases;
mod log;
mod members;
mod migrate;
mod open;
mod page;
mod people;
mod restrictions;
mod rows;
mod seats;
mod trim;
mod write;

pub use admission::Found;
pub use bans::{BanPut, BanRecord, MAX_BANS_BY_MODERATORS};
pub use change_kind::ChangeKind;
pub use channels::Stored;
pub use error::{StoreError, What};
pub use expected::{Expected, Versions};
pub use feed::{FeedEvent, FeedRange, NewFeedEvent, Owes};
pub use invitations::Invitee;
pub use key_text::KeyText;
pub use keys::{ApiKey, NewKey};
pub use leases::LeaseEnd;
pub use log::{AuditEntry, Change};
pub use members::Member;
pub use open::{Lease, Store};
pub use page::{MAX_PAGE, Page};
pub use people::Person;
pub use restrictions::MAX_RESTRICTED;
pub use seats::Seat;
