//! Who may ask for an allocation: whoever has a credential that this server signed, and was not signed out since.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use parlor_proto::Timestamp;
use parlor_turn::{Authenticate, Grant, Login, Peers};

use crate::config::Period;
use crate::ice::credential::{Claim, Kind, Signer};

/// The most users whose sign-out is remembered: as many as there may be allocations, in a few hundred KiB. Of more than that the ones
/// who were signed out first are forgotten; their credentials are good again for what is left of them.
const REMEMBERED: usize = 10_000;

/// The credentials of a signer.
pub struct Signed {
    /// What signs them.
    pub signer: Arc<Signer>,
    /// How long those last that were told in a call.
    pub ttl: Period,
    /// How long those last that were told outside of one.
    pub rest_ttl: Period,
    /// Whose credentials are void.
    pub signed_out: Arc<SignedOut>,
}

impl Authenticate for Signed {
    fn login(&self, username: &str, unix: u64) -> Option<Login> {
        let claim = Claim::read(username)?;
        let now = Timestamp(i64::try_from(unix).ok()?.checked_mul(1_000)?);
        let (peers, lasts) = match claim.kind {
            Kind::Sfu => (Peers::Sfu, self.ttl),
            Kind::Mesh => (Peers::Mesh, self.ttl),
            Kind::Any => (Peers::Mesh, self.rest_ttl),
        };
        let issued_at = claim.expires_at.0.saturating_sub(lasts.as_millis());
        if claim.expires_at <= now || claim.user.is_empty() || self.signed_out.refuses(&claim.user, Timestamp(issued_at)) {
            return None;
        }
        Some(Login { grant: Grant { user: claim.user.into_owned(), peers }, passwords: self.signer.passwords(username).collect() })
    }
}

/// Who was signed out, and when: credentials issued before that are void.
#[derive(Debug, Default)]
pub struct SignedOut(Mutex<HashMap<String, Timestamp>>);

impl SignedOut {
    /// Notes that what a user was given before a moment is void. False if that is known.
    pub fn note(&self, user: &str, before: Timestamp) -> bool {
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if users.get(user).is_some_and(|known| *known >= before) {
            return false;
        }
        if users.len() >= REMEMBERED && !users.contains_key(user) {
            let first = users.iter().min_by_key(|(_, before)| **before).map(|(user, _)| user.clone());
            first.and_then(|user| users.remove(&user));
        }
        users.insert(user.to_owned(), before);
        true
    }

    fn refuses(&self, user: &str, issued_at: Timestamp) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(user).is_some_and(|before| issued_at < *before)
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::UserId;

    use super::*;
    use crate::config::Secret;
    use crate::ice::credential::Marks;

    fn signed() -> Signed {
        let secret = |text: &str| Secret::new(text.to_owned());
        let signer = Arc::new(Signer::new(&secret("north"), &[secret("old-north")], Marks::Kind));
        Signed { signer, ttl: Period::minutes(1), rest_ttl: Period::hours(1), signed_out: Arc::default() }
    }

    #[test]
    fn a_credential_is_good_until_its_end_and_for_its_kind_of_call() {
        let signed = signed();
        let user = UserId::new("alice").expect("an id");
        for (kind, peers) in [(Kind::Sfu, Peers::Sfu), (Kind::Mesh, Peers::Mesh), (Kind::Any, Peers::Mesh)] {
            let credential = signed.signer.issue(&user, kind, Period::minutes(1), Timestamp(1_000_000));
            let login = |unix| signed.login(&credential.username, unix);
            let good = login(1_059).expect("good");
            assert_eq!(good.grant, Grant { user: "alice".to_owned(), peers });
            assert_eq!((good.passwords.len(), good.passwords.first()), (2, Some(&credential.password)));
            assert_eq!(login(1_060), None);
        }
        for wrong in ["", "alice", "2000:", "2000::sfu"] {
            assert_eq!(signed.login(wrong, 0), None, "{wrong}");
        }
    }

    #[test]
    fn what_was_issued_before_a_sign_out_is_refused_and_what_comes_after_it_is_good() {
        let signed = signed();
        let user = |id: &str| UserId::new(id).expect("an id");
        let issued = |id: &str, kind, at| {
            let ttl = if kind == Kind::Any { signed.rest_ttl } else { signed.ttl };
            signed.signer.issue(&user(id), kind, ttl, Timestamp(at)).username
        };
        assert!(signed.signed_out.note("alice", Timestamp(2_000_000)));
        assert!(!signed.signed_out.note("alice", Timestamp(2_000_000)) && !signed.signed_out.note("alice", Timestamp(1_000_000)));
        for kind in [Kind::Sfu, Kind::Mesh, Kind::Any] {
            let good = |id: &str, at| signed.login(&issued(id, kind, at), 2_001).is_some();
            assert_eq!((good("alice", 1_999_000), good("alice", 2_000_000), good("bob", 1_999_000)), (false, true, true), "{kind:?}");
        }
    }

    #[test]
    fn of_too_many_who_were_signed_out_the_first_are_forgotten() {
        let signed_out = SignedOut::default();
        for n in 0..=i64::try_from(REMEMBERED).expect("fits") {
            assert!(signed_out.note(&format!("user-{n}"), Timestamp(1_000 + n)));
        }
        assert!(!signed_out.refuses("user-0", Timestamp(0)) && signed_out.refuses("user-1", Timestamp(0)));
    }
}
