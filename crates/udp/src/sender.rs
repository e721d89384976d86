//! Sends what one socket has to send, in whatever form the kernel takes it.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::batch::MESSAGES;
use crate::group::{Message, SendQueue};

/// Destinations that are remembered to need single datagrams: paths with a small MTU are rare, and with more of
/// them the socket does without messages of many datagrams.
const MAX_REFUSING: usize = 256;

/// The sending side of a socket.
#[derive(Debug, Default)]
pub struct UdpSender {
    /// The kernel refused to cut up messages, and will again.
    single: bool,
    /// Destinations it refused to cut up messages for.
    refusing: HashSet<SocketAddr>,
    /// Whether a refusal was told.
    told: bool,
    /// What is offered in one call.
    offer: Vec<Message>,
}

/// The result of a send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// Messages the kernel took, each of one datagram or more.
    pub messages: u64,
    /// Datagrams that were dropped.
    pub unsent: u64,
    /// Refusals to cut up messages; what they held was sent as single datagrams.
    pub refused: u64,
    /// The error of the first refusal this socket met; told once.
    pub first: Option<i32>,
}

impl UdpSender {
    /// Makes one; `single`: the kernel cannot cut up messages at all.
    pub fn new(single: bool) -> Self {
        Self { single, ..Self::default() }
    }

    /// Sends everything, with `send` as the system call: it answers how many messages went, counted from the
    /// first, and an error belongs to the first.
    pub fn send_all(&mut self, queue: &SendQueue, send: impl FnMut(&[Message]) -> io::Result<usize>) -> Sent {
        self.send_messages(&queue.messages, send)
    }

    /// Sends some messages of a queue, as [`UdpSender::send_all`] does all of them: for sockets that share a queue.
    pub fn send_messages(&mut self, mut messages: &[Message], mut send: impl FnMut(&[Message]) -> io::Result<usize>) -> Sent {
        let mut result = Sent::default();
        // Pieces of the first message that went already: it was sent one by one.
        let mut begun = 0;
        while let Some(first) = self.fill(messages, begun) {
            let gone = match send(&self.offer) {
                Ok(sent) => {
                    result.messages += sent as u64;
                    self.offer.iter().take(sent.max(1)).map(|message| message.count).sum()
                }
                // Media that cannot go now is not worth sending later: the queue in the kernel is the only one.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let left: usize = messages.iter().map(|message| message.count).sum();
                    result.unsent += (left - begun) as u64;
                    break;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => 0,
                Err(e) if first.count > 1 && self.refuse(first.to, &e) => {
                    result.refused += 1;
                    if !std::mem::replace(&mut self.told, true) {
                        result.first = e.raw_os_error();
                    }
                    0
                }
                // Unreachable or forbidden: the fault of this one destination.
                Err(_) => {
                    result.unsent += first.count as u64;
                    first.count
                }
            };
            (messages, begun) = skip(messages, begun + gone);
        }
        result
    }

    /// Makes the next offer; answers its first message.
    fn fill(&mut self, messages: &[Message], mut begun: usize) -> Option<Message> {
        self.offer.clear();
        for message in messages {
            let single = self.single || (!self.refusing.is_empty() && self.refusing.contains(&message.to));
            if begun == 0 && !single {
                self.offer.push(*message);
            } else {
                let rest = (begun..message.count).take(MESSAGES - self.offer.len());
                self.offer.extend(rest.map(|n| Message { first: message.first + n, count: 1, ..*message }));
            }
            begun = 0;
            if self.offer.len() >= MESSAGES {
                break;
            }
        }
        self.offer.first().copied()
    }

    /// Whether the error says that this message must be sent as single datagrams; remembers it.
    fn refuse(&mut self, to: SocketAddr, error: &io::Error) -> bool {
        match error.raw_os_error() {
            // The device or the path (IPsec) does not do checksums, or the kernel knows nothing of it.
            Some(libc::EIO | libc::EOPNOTSUPP | libc::ENOPROTOOPT) => self.single = true,
            // A segment is longer than the path takes; older kernels call that invalid.
            Some(libc::EMSGSIZE | libc::EINVAL) => {
                self.single |= self.refusing.len() >= MAX_REFUSING;
                self.refusing.insert(to);
            }
            _ => return false,
        }
        if self.single {
            self.refusing.clear();
        }
        true
    }
}

/// What is left when so many pieces from the start of the first message went.
fn skip(mut messages: &[Message], mut gone: usize) -> (&[Message], usize) {
    while let Some((first, rest)) = messages.split_first().filter(|(first, _)| first.count <= gone) {
        gone -= first.count;
        messages = rest;
    }
    (messages, gone)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::Piece;

    fn queue(messages: &[(u16, usize)]) -> SendQueue {
        let mut queue = SendQueue::default();
        for &(port, count) in messages {
            let to = (Ipv4Addr::LOCALHOST, port).into();
            queue.messages.push(Message { destination: u32::from(port), to, first: queue.pieces.len(), count });
            queue.pieces.resize(queue.pieces.len() + count, Piece { start: 0, len: 1 });
        }
        queue
    }

    /// A kernel that takes `most` messages a call, and answers what `refusal` says to one of many datagrams.
    fn kernel(most: usize, refusal: impl Fn(u16) -> Option<i32>, went: &mut Vec<usize>) -> impl FnMut(&[Message]) -> io::Result<usize> {
        move |offer| {
            let error = |m: &Message| if m.count > 1 { refusal(m.to.port()) } else { None };
            let taken = offer.iter().take(most).take_while(|m| error(m).is_none()).count();
            if let Some(code) = offer.first().filter(|_| taken == 0).and_then(error) {
                return Err(io::Error::from_raw_os_error(code));
            }
            went.extend(offer.iter().take(taken).flat_map(|m| m.first..m.first + m.count));
            Ok(taken)
        }
    }

    #[test]
    fn a_refused_message_is_sent_as_single_datagrams_and_none_is_lost() {
        let work = queue(&[(1, 1), (2, 300), (3, 5), (2, 4)]);
        let all: Vec<usize> = (0..310).collect();
        for code in [libc::EIO, libc::EOPNOTSUPP, libc::ENOPROTOOPT, libc::EMSGSIZE, libc::EINVAL] {
            for most in [1, 7, MESSAGES] {
                let (mut sender, mut went) = (UdpSender::default(), Vec::new());
                let sent = sender.send_all(&work, kernel(most, |port| (port == 2).then_some(code), &mut went));
                assert_eq!((sent.unsent, sent.refused, sent.first, &went), (0, 1, Some(code), &all));
            }
        }
    }

    #[test]
    fn a_refusal_is_met_once() {
        let work = queue(&[(2, 3), (3, 5)]);
        let mut sender = UdpSender::default();
        let refusal = |port| (port == 2).then_some(libc::EMSGSIZE);
        let first = sender.send_all(&work, kernel(9, refusal, &mut Vec::new()));
        assert_eq!(first, Sent { messages: 4, unsent: 0, refused: 1, first: Some(libc::EMSGSIZE) });
        let mut offers = Vec::new();
        sender.send_all(&work, |offer| {
            offers.push(offer.iter().map(|m| m.count).collect::<Vec<_>>());
            Ok(offer.len())
        });
        assert_eq!(offers, [[1, 1, 1, 5]]);
        let second = sender.send_all(&work, kernel(9, |_| Some(libc::EIO), &mut Vec::new()));
        assert_eq!(second, Sent { messages: 8, unsent: 0, refused: 1, first: None });
        assert_eq!(sender.send_all(&work, kernel(9, |_| Some(libc::EIO), &mut Vec::new())), Sent { messages: 8, ..Sent::default() });
    }

    #[test]
    fn destinations_that_refuse_are_not_remembered_without_end() {
        let mut sender = UdpSender::default();
        let many: Vec<(u16, usize)> = (1..1_000).map(|port| (port, 2)).collect();
        let mut went = Vec::new();
        let sent = sender.send_all(&queue(&many), kernel(9, |_| Some(libc::EMSGSIZE), &mut went));
        assert_eq!((sent.unsent, went.len()), (0, 1_998));
        assert!(sender.single && sender.refusing.is_empty());
    }

    #[test]
    fn what_a_full_socket_does_not_take_is_dropped_and_counted_once() {
        let mut sender = UdpSender::new(true);
        let mut calls = 0;
        let sent = sender.send_all(&queue(&[(1, 5), (2, 4)]), |_| {
            calls += 1;
            if calls == 1 { Ok(2) } else { Err(ErrorKind::WouldBlock.into()) }
        });
        assert_eq!((sent.unsent, calls), (7, 2));
    }

    #[test]
    fn an_unreachable_destination_costs_nobody_else_a_datagram() {
        let mut went = Vec::new();
        let mut take = kernel(9, |port| (port == 1).then_some(libc::ENETUNREACH), &mut went);
        let sent = UdpSender::default().send_all(&queue(&[(1, 5), (2, 4), (1, 2)]), &mut take);
        drop(take);
        assert_eq!((sent, went), (Sent { messages: 1, unsent: 7, ..Sent::default() }, vec![5, 6, 7, 8]));
    }
}
