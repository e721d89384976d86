//! The people of a call as they stand in Redis: those who are in it, and those who are about to be.

use std::sync::Arc;

use parlor_proto::UserId;
use serde::Serialize;

use crate::rooms::{CallParticipant, CallStage, CallState};

/// The people of a call; empty if it is over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct People(Arc<[Person]>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Person {
    user: UserId,
    value: Value,
}

/// The value of a field.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
struct Value {
    state: CallStage,
    username: String,
}

impl People {
    /// The people whom a state shows as active or connecting.
    pub fn of(state: &CallState) -> Self {
        let person = |one: &CallParticipant| match one.state {
            CallStage::Active | CallStage::Connecting => {
                Some(Person { user: one.user.clone(), value: Value { state: one.state, username: one.name.clone() } })
            }
            CallStage::Idle | CallStage::Ended => None,
        };
        Self(state.participants.iter().filter_map(person).collect())
    }

    /// Whether there is nobody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields of the hash, and their values.
    pub fn fields(&self) -> impl Iterator<Item = (&str, String)> {
        self.0.iter().map(|person| (person.user.as_str(), serde_json::to_string(&person.value).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_a_user_and_its_value_state_and_name() {
        let one = |user: &str, name: &str, state| CallParticipant { user: UserId::new(user).expect("an id"), name: name.to_owned(), state };
        let participants = vec![
            one("alice", "Alice \"A\"", CallStage::Active),
            one("bob", "Bob", CallStage::Connecting),
            one("carol", "Carol", CallStage::Ended),
            one("dave", "Dave", CallStage::Idle),
        ];
        let people = People::of(&CallState { room_state: CallStage::Active, participants });
        let expected = [
            ("alice", r#"{"state":"active","username":"Alice \"A\""}"#.to_owned()),
            ("bob", r#"{"state":"connecting","username":"Bob"}"#.to_owned()),
        ];
        assert_eq!(people.fields().collect::<Vec<_>>(), expected);
    }
}
