//! Many datagrams for one system call.
//!
//! Receiving: an [`Inbox`] takes up to 64 messages with one `recvmmsg`, each one datagram or many of one sender that the kernel
//! put together (`UDP_GRO`). Sending: a [`Grouper`] sorts datagrams by destination and makes runs of equal length into messages
//! that the kernel cuts up (`UDP_SEGMENT`), a [`UdpSender`] offers them, one by one where the kernel refuses, and a [`SendBatch`]
//! is the system call, `sendmmsg`. All unsafe code of Parlor is here, in `batch`.

mod batch;
mod group;
mod options;
mod sender;

pub use batch::{Inbox, MAX_RECEIVED, Received, SendBatch};
pub use group::{Entry, Grouper, Message, Piece, SendQueue};
pub use options::{can_cut_up, receive_grouped, stamp_arrivals};
pub use sender::{Sent, UdpSender};
