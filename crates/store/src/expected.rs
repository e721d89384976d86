//! What somebody who changes a record has seen of it: looked at in the transaction of the change, so that nothing comes between.

use crate::{StoreError, What};

/// What must hold for a change to be made (the preconditions of RFC 9110, 13.1). The default is nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Expected {
    /// The record is at one of these versions.
    pub one_of: Option<Versions>,
    /// The record is not there, or at none of these versions.
    pub none_of: Option<Versions>,
}

/// Some versions of a record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Versions {
    /// Any version will do.
    Any,
    /// One of the versions of this list.
    These(Vec<i64>),
}

impl Versions {
    fn has(&self, version: i64) -> bool {
        match self {
            Self::Any => true,
            Self::These(versions) => versions.contains(&version),
        }
    }
}

/// This version, or whatever is there.
impl From<Option<i64>> for Expected {
    fn from(version: Option<i64>) -> Self {
        Self { one_of: version.map(|version| Versions::These(vec![version])), none_of: None }
    }
}

impl Expected {
    /// Compares with the version a record is at; `None`: there is no such record.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] or [`StoreError::Stale`] by `one_of`, then [`StoreError::Exists`] by `none_of`.
    pub fn check(&self, what: What, version: Option<i64>) -> Result<(), StoreError> {
        match (&self.one_of, version) {
            (Some(_), None) => return Err(StoreError::NotFound(what)),
            (Some(wanted), Some(version)) if !wanted.has(version) => return Err(StoreError::Stale { version }),
            _ => {}
        }
        match (&self.none_of, version) {
            (Some(unwanted), Some(version)) if unwanted.has(version) => Err(StoreError::Exists(what)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_conditions_count() {
        let these = |versions: &[i64]| Some(Versions::These(versions.to_vec()));
        let check = |one_of, none_of, version| Expected { one_of, none_of }.check(What::Channel, version);
        for version in [None, Some(7)] {
            assert_eq!(check(None, None, version), Ok(()));
        }
        assert_eq!(check(Some(Versions::Any), None, Some(7)), Ok(()));
        assert_eq!(check(Some(Versions::Any), None, None), Err(StoreError::NotFound(What::Channel)));
        assert_eq!(check(these(&[6, 7]), None, Some(7)), Ok(()));
        assert_eq!(check(these(&[6]), None, Some(7)), Err(StoreError::Stale { version: 7 }));
        assert_eq!(check(these(&[]), None, Some(7)), Err(StoreError::Stale { version: 7 }));
        assert_eq!(check(None, Some(Versions::Any), None), Ok(()));
        assert_eq!(check(None, Some(Versions::Any), Some(7)), Err(StoreError::Exists(What::Channel)));
        assert_eq!(check(None, these(&[6]), Some(7)), Ok(()));
        assert_eq!(check(these(&[7]), these(&[7]), Some(7)), Err(StoreError::Exists(What::Channel)));
    }
}
