//! Who may ask for an allocation: whoever has a credential that this server signed.

use std::sync::Arc;

use parlor_proto::Timestamp;
use parlor_turn::{Authenticate, Grant, Login, Peers};

use crate::ice::credential::{Claim, Kind, Signer};

/// The credentials of a signer.
pub struct Signed(pub Arc<Signer>);

impl Authenticate for Signed {
    fn login(&self, username: &str, unix: u64) -> Option<Login> {
        let claim = Claim::read(username)?;
        let now = Timestamp(i64::try_from(unix).ok()?.checked_mul(1_000)?);
        if claim.expires_at <= now || claim.user.is_empty() {
            return None;
        }
        let peers = match claim.kind {
            Kind::Sfu => Peers::Sfu,
            Kind::Mesh => Peers::Mesh,
        };
        Some(Login { grant: Grant { user: claim.user.into_owned(), peers }, passwords: self.0.passwords(username).collect() })
    }
}

#[cfg(test)]
mod tests {
    use parlor_proto::UserId;

    use super::*;
    use crate::config::{Period, Secret};
    use crate::ice::credential::Marks;

    #[test]
    fn a_credential_is_good_until_its_end_and_for_its_kind_of_call() {
        let secret = |text: &str| Secret::new(text.to_owned());
        let signer = Arc::new(Signer::new(&secret("north"), &[secret("old-north")], Marks::Kind));
        let user = UserId::new("alice").expect("an id");
        for (kind, peers) in [(Kind::Sfu, Peers::Sfu), (Kind::Mesh, Peers::Mesh)] {
            let credential = signer.issue(&user, kind, Period::minutes(1), Timestamp(1_000_000));
            let login = |unix| Signed(Arc::clone(&signer)).login(&credential.username, unix);
            let good = login(1_059).expect("good");
            assert_eq!(good.grant, Grant { user: "alice".to_owned(), peers });
            assert_eq!((good.passwords.len(), good.passwords.first()), (2, Some(&credential.password)));
            assert_eq!(login(1_060), None);
        }
        for wrong in ["", "alice", "2000:", "2000::sfu"] {
            assert_eq!(Signed(Arc::clone(&signer)).login(wrong, 0), None, "{wrong}");
        }
    }
}
