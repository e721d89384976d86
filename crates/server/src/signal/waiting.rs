//! Limits the connections that have shown no valid token yet: in all, and from one source.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most waiting connections from one address, or one IPv6 site. A client waits for the time of a round trip, so this allows a few
/// thousand new ones a second behind one address; strangers need many addresses to be in anybody's way.
pub const MAX_FROM_SOURCE: usize = 256;

/// The places for connections without a session. A connection without a place is not heard.
#[derive(Debug)]
pub struct Waiting {
    places: Arc<Semaphore>,
    /// How many connections wait from each source. There are never more entries than places, for each has one at least.
    sources: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The place of one waiting connection. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    source: IpAddr,
    sources: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _place: OwnedSemaphorePermit,
}

/// The reason why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// Too many connections wait from this source.
    Source,
    /// Too many connections wait in all.
    All,
}

impl Waiting {
    /// Makes so many places.
    pub fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), sources: Arc::default() }
    }

    /// Takes a place for a connection from this source. Connections of unknown source count as one source.
    pub fn place(&self, source: Option<IpAddr>) -> Result<Place, Full> {
        let source = source.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let mut sources = lock(&self.sources);
        if sources.get(&source).is_some_and(|waiting| *waiting >= MAX_FROM_SOURCE) {
            return Err(Full::Source);
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Full::All)?;
        *sources.entry(source).or_default() += 1;
        Ok(Place { source, sources: Arc::clone(&self.sources), _place: place })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut sources = lock(&self.sources);
        if let Some(waiting) = sources.get_mut(&self.source) {
            *waiting = waiting.saturating_sub(1);
            if *waiting == 0 {
                sources.remove(&self.source);
            }
        }
    }
}

fn lock(sources: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    sources.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(n: u32) -> Option<IpAddr> {
        Some(Ipv4Addr::from_bits(n).into())
    }

    #[test]
    fn one_source_has_only_so_many_places_and_others_have_theirs() {
        let waiting = Waiting::new(10_000);
        let mut places: Vec<Place> = (0..MAX_FROM_SOURCE).map(|_| waiting.place(source(1)).expect("fits")).collect();
        assert_eq!(waiting.place(source(1)).err(), Some(Full::Source));
        let other = waiting.place(source(2)).expect("another source");
        places.pop();
        drop(waiting.place(source(1)).expect("one went"));
        drop((places, other));
        assert!(lock(&waiting.sources).is_empty(), "who is gone is forgotten");
    }

    #[test]
    fn all_sources_together_have_only_so_many() {
        let waiting = Waiting::new(3);
        let places: Vec<Place> = (0..3).map(|n| waiting.place(source(n)).expect("fits")).collect();
        assert_eq!(waiting.place(source(9)).err(), Some(Full::All));
        assert_eq!(lock(&waiting.sources).len(), 3, "who was refused is not counted");
        drop(places);
        assert!(waiting.place(None).is_ok());
    }
}
