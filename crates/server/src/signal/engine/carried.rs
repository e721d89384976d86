//! The HTTP connections that carry one of engine.io: they are a session's as long as it is one, and few.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use axum::extract::Request;

use crate::net::places::{Place, PlaceOf};

/// HTTP connections that count as a session's: one that waits, one that posts, a WebSocket they are changed for, and one of
/// them anew.
const MAX_PLACES: usize = 4;

/// What carries one connection of engine.io.
#[derive(Debug, Default)]
pub struct Carried(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// It has a session.
    known: bool,
    places: Vec<Weak<Place>>,
}

impl Carried {
    /// Notes the HTTP connection a request came by.
    pub fn note(&self, request: &Request) {
        let Some(place) = request.extensions().get::<PlaceOf>().and_then(|place| place.0.upgrade()) else { return };
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

    /// It has a session from now on.
    pub fn know(&self) {
        let mut state = self.state();
        state.known = true;
        state.places.iter().filter_map(Weak::upgrade).for_each(|place| place.know());
    }

    /// It has none any more.
    pub fn forget(&self) {
        let mut state = self.state();
        state.known = false;
        state.places.iter().filter_map(Weak::upgrade).for_each(|place| place.forget());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
