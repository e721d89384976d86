//! The name of a seat, as a part of a path.

use std::fmt;

use parlor_proto::ids::check_id;

/// The name of a seat.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seat(String);

impl Seat {
    /// Takes a text that may be the name of a seat.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        check_id(text).map(|()| Self(text.to_owned()))
    }

    /// The name of the seat.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
