//! The HTTP connections that carry a connection of engine.io: they count as the session's while it has one, and are few.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::net::places::{Place, PlaceOf};

/// The most HTTP connections that count as a session's: one for a waiting poll, one for posts, one for the WebSocket
/// that replaces them, and a new one for any of these.
const MAX_PLACES: usize = 4;

/// The HTTP connections that carry one connection of engine.io.
#[derive(Debug, Default)]
pub struct Carried(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Whether the connection of engine.io has a session.
    known: bool,
    places: Vec<Weak<Place>>,
}

impl Carried {
    /// Notes the HTTP connection through which a request came.
    pub fn note(&self, place: Option<&PlaceOf>) {
        let Some(place) = place.and_then(|place| place.0.upgrade()) else { return };
        let mut state = self.state();
        state.places.retain(|held| held.strong_count() > 0);
        if !state.places.iter().any(|held| std::ptr::eq(held.as_ptr(), Arc::as_ptr(&place))) {
            if state.places.len() >= MAX_PLACES {
                return;
            }
            state.places.push(Arc::downgrade(&place));
        }
        if state.known {
            place.know();
        }
    }

    /// Notes that the connection of engine.io has a session from now on.
    pub fn know(&self) {
        let mut state = self.state();
        state.known = true;
        state.places.iter().filter_map(Weak::upgrade).for_each(|place| place.know());
    }

    /// Notes that the connection of engine.io has no session any more.
    pub fn forget(&self) {
        let mut state = self.state();
        state.known = false;
        state.places.iter().filter_map(Weak::upgrade).for_each(|place| place.forget());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
