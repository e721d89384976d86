//! Tables whose entries are found by number, each with a type of its own for its numbers: one of another table does not compile.

use std::marker::PhantomData;

use slab::Slab;

/// A table grows by this share of what it holds.
const GROWTH_DIVISOR: usize = 8;
/// A table grows by this many entries at least.
const LEAST_GROWTH: usize = 8;

/// The number of an entry in a table. It is used again once its entry is gone.
pub(crate) trait Index: Copy {
    fn at(number: usize) -> Self;
    fn number(self) -> usize;
}

macro_rules! index {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub(crate) struct $name(usize);

        impl Index for $name {
            fn at(number: usize) -> Self {
                Self(number)
            }

            fn number(self) -> usize {
                self.0
            }
        }
    )*};
}

index! {
    /// The number of a router among those of an `Sfu`.
    RouterIndex
    /// The number of a transport among those of an `Sfu`.
    TransportIndex
    /// The number of a producer among those of an `Sfu`, mirrors included.
    ProducerIndex
    /// The number of a consumer among those of an `Sfu`.
    ConsumerIndex
    /// The number of a stream that arrives among those of its transport.
    StreamIndex
    /// The number of a sender of sound among those of its router.
    TalkerIndex
}

/// Entries of one kind, found by indexes of the type `I`.
#[derive(Debug)]
pub(crate) struct Table<I, T> {
    entries: Slab<T>,
    indexes: PhantomData<I>,
}

impl<I, T> Default for Table<I, T> {
    fn default() -> Self {
        Self { entries: Slab::new(), indexes: PhantomData }
    }
}

impl<I: Index, T> Table<I, T> {
    pub(crate) fn get(&self, index: I) -> Option<&T> {
        self.entries.get(index.number())
    }

    pub(crate) fn get_mut(&mut self, index: I) -> Option<&mut T> {
        self.entries.get_mut(index.number())
    }

    pub(crate) fn insert(&mut self, entry: T) -> I {
        I::at(self.entries.insert(entry))
    }

    /// Adds an entry to a table of what is large. Doubled, as it would be by itself, such a table would be half empty.
    pub(crate) fn insert_large(&mut self, entry: T) -> I {
        if self.entries.len() == self.entries.capacity() {
            self.entries.reserve_exact((self.entries.len() / GROWTH_DIVISOR).max(LEAST_GROWTH));
        }
        self.insert(entry)
    }

    /// The index that the next entry will have.
    pub(crate) fn next_index(&self) -> I {
        I::at(self.entries.vacant_key())
    }

    pub(crate) fn remove(&mut self, index: I) -> Option<T> {
        self.entries.try_remove(index.number())
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(crate) fn indexes(&self) -> impl Iterator<Item = I> + '_ {
        self.iter().map(|(index, _)| index)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (I, &T)> + '_ {
        self.entries.iter().map(|(number, entry)| (I::at(number), entry))
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (I, &mut T)> + '_ {
        self.entries.iter_mut().map(|(number, entry)| (I::at(number), entry))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> + '_ {
        self.iter().map(|(_, entry)| entry)
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> + '_ {
        self.iter_mut().map(|(_, entry)| entry)
    }
}
