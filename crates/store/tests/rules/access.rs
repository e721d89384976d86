//! Members, invitations and seats: what a join is told of them.

use parlor_proto::{Invitation, MemberRole};
use parlor_store::{Found, Page, StoreError, What};

use crate::database::Database;
use crate::{admin, at, channel, id, on_both, user};

on_both![
    a_member_is_put_changed_and_removed,
    an_invitation_only_goes_on,
    a_seat_has_one_person_and_a_person_one_seat,
    everything_belongs_to_a_channel_that_exists,
    a_join_is_told_of_one_person_in_one_channel,
];

async fn a_member_is_put_changed_and_removed(db: Database) {
    let store = db.open().await;
    let (den, alice) = (id("den"), user("alice"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let put = async |role, now| store.put_member(&den, &alice, role, &admin(), at(now)).await;
    assert_eq!(put(MemberRole::Member, 2).await, Ok(true));
    assert_eq!(put(MemberRole::Member, 3).await, Ok(false));
    assert_eq!(put(MemberRole::Moderator, 4).await, Ok(false));
    store.put_member(&den, &user("bob"), MemberRole::Member, &admin(), at(5)).await.expect("put");

    let first = store.members(&den, &Page::first(1)).await.expect("listed");
    let [member] = first.as_slice() else { panic!("one: {first:?}") };
    assert_eq!((&member.user, member.role, member.updated_at), (&alice, MemberRole::Moderator, at(4)));
    let rest = store.members(&den, &Page::after("alice", 10)).await.expect("listed");
    assert_eq!(rest.iter().map(|m| m.user.as_str()).collect::<Vec<_>>(), ["bob"]);

    store.delete_member(&den, &alice, &admin(), at(6)).await.expect("removed");
    assert_eq!(store.delete_member(&den, &alice, &admin(), at(7)).await, Err(StoreError::NotFound(What::Member)));
}

async fn an_invitation_only_goes_on(db: Database) {
    let store = db.open().await;
    let (den, alice) = (id("den"), user("alice"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let set = async |state| store.set_invitation(&den, &alice, state, &admin(), at(2)).await;
    assert_eq!(set(Invitation::Present).await, Err(StoreError::NotFound(What::Invitation)));
    assert_eq!(store.invite(&den, &alice, &admin(), at(2)).await, Ok(true));
    assert_eq!(store.invite(&den, &alice, &admin(), at(3)).await, Ok(false));
    assert!(matches!(set(Invitation::Left).await, Err(StoreError::Conflict(_))), "who never came cannot leave");
    assert_eq!(set(Invitation::Present).await, Ok(()));
    assert_eq!(set(Invitation::Present).await, Ok(()), "the same again is fine");
    assert_eq!(store.invite(&den, &alice, &admin(), at(4)).await, Ok(false));
    let listed = store.invitations(&den, &Page::first(10)).await.expect("listed");
    assert_eq!(listed.iter().map(|i| (i.user.as_str(), i.state)).collect::<Vec<_>>(), [("alice", Invitation::Present)]);
    assert!(matches!(set(Invitation::Invited).await, Err(StoreError::Conflict(_))));
    assert_eq!(set(Invitation::Left).await, Ok(()));
    for back in [Invitation::Invited, Invitation::Present] {
        assert!(matches!(set(back).await, Err(StoreError::Conflict(_))));
    }
    assert!(matches!(store.invite(&den, &alice, &admin(), at(5)).await, Err(StoreError::Conflict(_))));
    store.delete_invitation(&den, &alice, &admin(), at(6)).await.expect("taken back");
    assert_eq!(store.delete_invitation(&den, &alice, &admin(), at(6)).await, Err(StoreError::NotFound(What::Invitation)));
    assert_eq!(store.invite(&den, &alice, &admin(), at(7)).await, Ok(true));
}

async fn a_seat_has_one_person_and_a_person_one_seat(db: Database) {
    let store = db.open().await;
    let (den, alice, bob) = (id("den"), user("alice"), user("bob"));
    store.create_channel(&channel("den"), &admin(), at(1)).await.expect("made");
    let put = async |seat: &str, who| store.put_seat(&den, seat, who, &admin(), at(2)).await;
    assert_eq!(put("north", None).await, Ok(true));
    assert_eq!(put("south", None).await, Ok(true), "any number of seats is free");
    assert_eq!(put("north", Some(&alice)).await, Ok(false));
    assert_eq!(put("north", Some(&alice)).await, Ok(false), "the same again is fine");
    assert_eq!(put("north", Some(&bob)).await, Err(StoreError::Exists(What::Seat)));
    assert!(matches!(put("south", Some(&alice)).await, Err(StoreError::Conflict(_))));
    assert_eq!(put("north", None).await, Ok(false), "freed");
    assert_eq!(put("north", Some(&bob)).await, Ok(false));
    assert_eq!(put("south", Some(&alice)).await, Ok(false));
    let seats = store.seats(&den, &Page::first(10)).await.expect("listed");
    let taken: Vec<_> = seats.iter().map(|s| (s.seat.as_str(), s.user.as_ref().map(|u| u.as_str()))).collect();
    assert_eq!(taken, [("north", Some("bob")), ("south", Some("alice"))]);
    store.delete_seat(&den, "north", &admin(), at(3)).await.expect("removed");
    assert_eq!(store.delete_seat(&den, "north", &admin(), at(3)).await, Err(StoreError::NotFound(What::Seat)));
    assert!(matches!(put("", None).await, Err(StoreError::Invalid { field: "seat", .. })));
    assert!(matches!(put("a\0b", None).await, Err(StoreError::Invalid { field: "seat", .. })));
}

async fn everything_belongs_to_a_channel_that_exists(db: Database) {
    let store = db.open().await;
    let (den, alice, missing) = (id("den"), user("alice"), StoreError::NotFound(What::Channel));
    assert_eq!(store.put_member(&den, &alice, MemberRole::Member, &admin(), at(1)).await, Err(missing.clone()));
    assert_eq!(store.invite(&den, &alice, &admin(), at(1)).await, Err(missing.clone()));
    assert_eq!(store.put_seat(&den, "north", None, &admin(), at(1)).await, Err(missing.clone()));
    assert_eq!(store.put_ban(&den, &alice, None, None, &admin(), at(1)).await, Err(missing.clone()));
    let silenced = parlor_proto::Restrictions { audio: true, ..Default::default() };
    assert_eq!(store.put_restrictions(&den, &alice, &silenced, &admin(), at(1)).await, Err(missing));
    assert!(store.audit(None, &Page::first(10)).await.expect("listed").is_empty(), "what was refused is in no log");
    assert_eq!(store.last_change().await, Ok(0), "and took no number");
}

async fn a_join_is_told_of_one_person_in_one_channel(db: Database) {
    let store = db.open().await;
    let (den, alice) = (id("den"), user("alice"));
    for name in ["den", "attic"] {
        store.create_channel(&channel(name), &admin(), at(1)).await.expect("made");
    }
    // Others', which must not be mistaken for hers.
    store.put_ban(&den, &user("mallory"), None, Some("spam"), &admin(), at(2)).await.expect("banned");
    store.put_ban(&id("attic"), &alice, None, None, &admin(), at(2)).await.expect("banned");
    store.put_seat(&den, "south", Some(&user("bob")), &admin(), at(2)).await.expect("put");
    let Found { channel: read, facts, .. } = store.admission(&den, &alice).await.expect("read").expect("is there");
    assert_eq!((read, facts), (channel("den"), parlor_rooms::Facts::default()));

    store.put_member(&den, &alice, MemberRole::Moderator, &admin(), at(3)).await.expect("put");
    store.invite(&den, &alice, &admin(), at(3)).await.expect("invited");
    store.put_seat(&den, "north", Some(&alice), &admin(), at(3)).await.expect("put");
    store.put_ban(&den, &alice, Some(at(50)), Some("shouting"), &admin(), at(3)).await.expect("banned");
    let taken = parlor_proto::Restrictions { audio: false, video: true, screen: false, deafened: true };
    store.put_restrictions(&den, &alice, &taken, &admin(), at(3)).await.expect("put");
    let paid = parlor_proto::Entitlement { pro: true, expires_at: Some(at(99)) };
    store.put_entitlement(&alice, &paid, &admin(), at(3)).await.expect("put");
    store.revoke(&alice, at(3), &admin(), at(3)).await.expect("revoked");
    let Found { facts, .. } = db.open().await.admission(&den, &alice).await.expect("read").expect("is there");
    let expected = parlor_rooms::Facts {
        ban: Some(parlor_rooms::Ban { until: Some(at(50)), reason: Some("shouting".to_owned()) }),
        member: Some(MemberRole::Moderator),
        invitation: Some(Invitation::Invited),
        seat: true,
        restrictions: taken,
        entitlement: Some(paid),
        revoked_before: Some(at(3)),
    };
    assert_eq!(facts, expected);
    assert_eq!(store.admission(&id("cellar"), &alice).await.expect("read"), None);
}
