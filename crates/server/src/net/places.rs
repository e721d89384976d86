//! The places for HTTP and WebSocket connections: how many are taken in all, without a session, and from one source.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::tally::Tally;

/// The most HTTP and WebSocket connections at the same time, over all listeners: below the usual 20,000 open files of a
/// service.
pub const MAX_CONNECTIONS: usize = 16_000;
/// The most connections that belong to no session. The other half is for connections with a session: strangers cannot take it.
const MAX_STRANGERS: usize = MAX_CONNECTIONS / 2;
/// The most connections without a session from one address or IPv6 site: an office whose 80 people open the page in the
/// same moment, with the six connections of a browser each. A stranger can make the server hold this many times what
/// one connection may ([`crate::net::listen::MAX_HEADERS`], and a body or message of 64 KiB), below 64 MiB.
pub const MAX_FROM_SOURCE: usize = 512;

/// The places of a server. Clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    all: usize,
    strangers: usize,
    from_source: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    strangers: usize,
    /// The number of strangers from each source. There are never more entries than strangers, for each entry has one at least.
    sources: HashMap<IpAddr, usize>,
}

/// The place of one connection. Dropping it frees the place.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Shared>,
    holder: Mutex<Holder>,
}

#[derive(Debug)]
struct Holder {
    /// Whether the connection is a proxy's, which carries many people's requests one after the other.
    proxy: bool,
    /// The source of whoever uses the connection now.
    source: Option<IpAddr>,
    /// Whether the connection belongs to a session.
    known: bool,
}

impl Holder {
    /// The source under which the connection counts as a stranger's, if it does.
    fn stranger(&self) -> Option<IpAddr> {
        self.source.filter(|_| !self.known)
    }
}

/// The reason why there is no place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// The source has too many.
    Source,
    /// All strangers together have too many.
    Strangers,
    /// All places are taken.
    All,
}

static FROM_ONE_SOURCE: Tally = Tally::new("HTTP connections were refused: too many without a session from one address");
static OF_STRANGERS: Tally = Tally::new("HTTP connections were refused: too many without a session");
static OF_ALL: Tally = Tally::new("HTTP connections were refused: too many");

impl Full {
    /// Counts a connection or request for which there was no place.
    pub fn count(self) {
        match self {
            Self::Source => FROM_ONE_SOURCE.add(),
            Self::Strangers => OF_STRANGERS.add(),
            Self::All => OF_ALL.add(),
        }
    }
}

/// The place of the connection through which a request came.
#[derive(Clone, Debug)]
pub struct PlaceOf(pub Weak<Place>);

impl Default for Places {
    fn default() -> Self {
        Self::new(MAX_CONNECTIONS, MAX_STRANGERS, MAX_FROM_SOURCE)
    }
}

impl Places {
    /// Makes places: so many in all, for connections without a session, and for those of them from one source.
    pub fn new(all: usize, strangers: usize, from_source: usize) -> Self {
        Self(Arc::new(Shared { all, strangers, from_source, taken: Mutex::default() }))
    }

    /// Takes a place for a stranger from this source.
    pub fn take(&self, source: IpAddr) -> Result<Arc<Place>, Full> {
        self.hold(Holder { proxy: false, source: Some(source), known: false })
    }

    /// Takes a place for a connection of a trusted proxy: the source of each request is known when the request comes.
    pub fn take_for_proxy(&self) -> Result<Arc<Place>, Full> {
        self.hold(Holder { proxy: true, source: None, known: false })
    }

    fn hold(&self, holder: Holder) -> Result<Arc<Place>, Full> {
        let mut taken = self.0.taken();
        if taken.all >= self.0.all {
            return Err(Full::All);
        }
        if let Some(source) = holder.stranger() {
            self.0.add(&mut taken, source)?;
        }
        taken.all += 1;
        Ok(Arc::new(Place { shared: Arc::clone(&self.0), holder: Mutex::new(holder) }))
    }
}

impl Place {
    /// Counts the source of a proxy's request, until [`Place::settle`]. Connections that are not a proxy's are counted already.
    pub fn charge(&self, source: IpAddr) -> Result<(), Full> {
        let mut holder = self.holder();
        if !holder.proxy || holder.known {
            return Ok(());
        }
        let mut taken = self.shared.taken();
        if let Some(before) = holder.source.take() {
            Shared::remove(&mut taken, before);
        }
        self.shared.add(&mut taken, source)?;
        holder.source = Some(source);
        Ok(())
    }

    /// Notes that the request of a proxy has been answered: its connection has no source until the next request.
    pub fn settle(&self) {
        let mut holder = self.holder();
        if holder.proxy {
            if let Some(source) = holder.stranger() {
                Shared::remove(&mut self.shared.taken(), source);
            }
            holder.source = None;
            holder.known = false;
        }
    }

    /// Notes that the connection belongs to a session from now on.
    pub fn know(&self) {
        let mut holder = self.holder();
        if let Some(source) = holder.stranger() {
            Shared::remove(&mut self.shared.taken(), source);
        }
        holder.known = true;
    }

    /// Notes that the connection belongs to no session any more. It was let in, so too many strangers meanwhile do not end it.
    pub fn forget(&self) {
        let mut holder = self.holder();
        if !holder.known {
            return;
        }
        holder.known = false;
        if let Some(source) = holder.source {
            Shared::insert(&mut self.shared.taken(), source);
        }
    }

    /// Whether the connection is a proxy's, and so carries the requests of many.
    pub fn is_proxy(&self) -> bool {
        self.holder().proxy
    }

    fn holder(&self) -> MutexGuard<'_, Holder> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stranger = self.holder().stranger();
        let mut taken = self.shared.taken();
        taken.all = taken.all.saturating_sub(1);
        if let Some(source) = stranger {
            Shared::remove(&mut taken, source);
        }
    }
}

impl Shared {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, taken: &mut Taken, source: IpAddr) -> Result<(), Full> {
        if taken.strangers >= self.strangers {
            return Err(Full::Strangers);
        }
        if taken.sources.get(&source).is_some_and(|count| *count >= self.from_source) {
            return Err(Full::Source);
        }
        Self::insert(taken, source);
        Ok(())
    }

    fn insert(taken: &mut Taken, source: IpAddr) {
        taken.strangers += 1;
        *taken.sources.entry(source).or_default() += 1;
    }

    fn remove(taken: &mut Taken, source: IpAddr) {
        taken.strangers = taken.strangers.saturating_sub(1);
        if let Some(count) = taken.sources.get_mut(&source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.sources.remove(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn counted(places: &Places) -> (usize, usize, usize) {
        let taken = places.0.taken();
        (taken.all, taken.strangers, taken.sources.len())
    }

    #[test]
    fn one_source_has_its_places_and_not_those_of_others() {
        let places = Places::new(100, 50, 2);
        let _held = [places.take(ip(1)).expect("fits"), places.take(ip(1)).expect("fits")];
        assert_eq!(places.take(ip(1)).err(), Some(Full::Source));
        assert!(places.take(ip(2)).is_ok());
    }

    #[test]
    fn strangers_leave_places_for_those_with_a_session() {
        let places = Places::new(4, 2, 2);
        let strangers = [places.take(ip(1)).expect("fits"), places.take(ip(2)).expect("fits")];
        assert_eq!(places.take(ip(3)).err(), Some(Full::Strangers));
        strangers[0].know();
        let more = places.take(ip(3)).expect("who has a session is no stranger");
        more.know();
        let last = places.take(ip(3)).expect("fits");
        assert_eq!(places.take(ip(4)).err(), Some(Full::All));
        strangers[0].forget();
        assert_eq!(counted(&places), (4, 3, 3), "who was let in stays, and counts again");
        drop((strangers, more, last));
        assert_eq!(counted(&places), (0, 0, 0), "who is gone is forgotten");
    }

    #[test]
    fn a_proxy_is_not_one_stranger_and_those_behind_it_are() {
        let places = Places::new(100, 50, 1);
        let by_proxy: Vec<_> = (0..10).map(|_| places.take_for_proxy().expect("many of one proxy")).collect();
        assert_eq!(counted(&places), (10, 0, 0));
        assert_eq!(by_proxy[0].charge(ip(1)), Ok(()));
        assert_eq!(by_proxy[1].charge(ip(1)), Err(Full::Source), "the same person");
        assert_eq!(by_proxy[1].charge(ip(2)), Ok(()));
        by_proxy[0].settle();
        assert_eq!(by_proxy[2].charge(ip(1)), Ok(()), "the first request is over");
        by_proxy[2].know();
        assert_eq!(by_proxy[3].charge(ip(1)), Ok(()), "a session's connection is no stranger's");
        drop(by_proxy);
        assert_eq!(counted(&places), (0, 0, 0));
    }

    #[test]
    fn a_direct_connection_stays_its_peers() {
        let places = Places::new(100, 50, 1);
        let place = places.take(ip(1)).expect("fits");
        assert_eq!(place.charge(ip(2)), Ok(()));
        place.settle();
        assert_eq!(places.take(ip(1)).err(), Some(Full::Source));
        assert!(places.take(ip(2)).is_ok());
    }
}
