//! What a socket has to be told before it is used with this crate.

use std::io;
use std::os::fd::AsFd;

use nix::sys::socket::sockopt::{ReceiveTimestampns, UdpGroSegment, UdpGsoSegment};
use nix::sys::socket::{getsockopt, setsockopt};

/// Lets the kernel put datagrams of one sender together. One that does not know this answers with an error, and gives every
/// datagram alone.
pub fn receive_grouped(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, UdpGroSegment, &true)?)
}

/// Whether the kernel can cut up messages of many datagrams. One that cannot would send each as one.
#[must_use]
pub fn can_cut_up(socket: &impl AsFd) -> bool {
    getsockopt(socket, UdpGsoSegment).is_ok()
}

/// Lets the kernel note when each datagram arrived: [`Received::received_ns`](crate::Received::received_ns).
pub fn stamp_arrivals(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
}
