//! What belongs to an SSRC, on one transport.

/// A sorted list: a transport has a few dozen of them, found in a handful of comparisons, and no client can
/// choose numbers that make it slow.
#[derive(Debug)]
pub(crate) struct SsrcMap<T>(Vec<(u32, T)>);

impl<T> Default for SsrcMap<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy> SsrcMap<T> {
    pub(crate) fn get(&self, ssrc: u32) -> Option<T> {
        let at = self.0.binary_search_by_key(&ssrc, |(key, _)| *key).ok()?;
        self.0.get(at).map(|(_, value)| *value)
    }

    pub(crate) fn insert(&mut self, ssrc: u32, value: T) {
        match self.0.binary_search_by_key(&ssrc, |(key, _)| *key) {
            Ok(at) => {
                if let Some(entry) = self.0.get_mut(at) {
                    entry.1 = value;
                }
            }
            Err(at) => self.0.insert(at, (ssrc, value)),
        }
    }

    pub(crate) fn remove(&mut self, ssrc: u32) {
        self.0.retain(|(key, _)| *key != ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_inserted_last_is_found_until_it_is_removed() {
        let mut map = SsrcMap::default();
        for ssrc in [9, 3, u32::MAX, 0, 7] {
            map.insert(ssrc, ssrc);
        }
        map.insert(3, 33);
        assert_eq!((map.get(3), map.get(u32::MAX), map.get(5)), (Some(33), Some(u32::MAX), None));
        map.remove(3);
        assert_eq!((map.get(3), map.get(7)), (None, Some(7)));
    }
}
