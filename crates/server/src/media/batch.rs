//! `recvmmsg` and `sendmmsg`: many datagrams for one system call. The only unsafe code of the server.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams received or sent by one call: the kernel's work for a batch is well below a millisecond, so a
/// batch delays nothing that can be heard, and the cost of the call is shared by many.
pub const BATCH: usize = 64;
/// Room for one datagram. WebRTC keeps below an MTU of 1500; a longer datagram is cut off and dropped.
const DATAGRAM: usize = 2048;

/// Buffers for one batch of received datagrams.
pub struct RecvBatch {
    buffers: Vec<[u8; DATAGRAM]>,
    lengths: Vec<(usize, Option<SocketAddr>)>,
}

impl Default for RecvBatch {
    fn default() -> Self {
        Self { buffers: vec![[0; DATAGRAM]; BATCH], lengths: Vec::with_capacity(BATCH) }
    }
}

impl RecvBatch {
    /// Receives what is there, at most [`BATCH`] datagrams; `WouldBlock` if nothing is.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.lengths.clear();
        let mut names = [const { MaybeUninit::<libc::sockaddr_storage>::zeroed() }; BATCH];
        let mut vectors = [const { MaybeUninit::<libc::iovec>::zeroed() }; BATCH];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::zeroed() }; BATCH];
        for (((buffer, name), vector), header) in self.buffers.iter_mut().zip(&mut names).zip(&mut vectors).zip(&mut headers) {
            let vector = vector.write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: DATAGRAM });
            // SAFETY: all-zero is a valid `mmsghdr`: integers and null pointers.
            let header = unsafe { header.assume_init_mut() };
            header.msg_hdr.msg_name = name.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = socklen::<libc::sockaddr_storage>();
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: the first `BATCH` headers are initialized and point to names, vectors and buffers that live
        // and are not moved until after the call; lengths are those of what they point to.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), BATCH as libc::c_uint, libc::MSG_DONTWAIT, std::ptr::null_mut())
        };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (header, name) in headers.iter().zip(&names).take(received) {
            // SAFETY: initialized above, filled in by the kernel.
            let (header, name) = unsafe { (header.assume_init_ref(), name.assume_init_ref()) };
            let whole = header.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            let from = if whole { read_address(name) } else { None };
            self.lengths.push((header.msg_len as usize, from));
        }
        Ok(())
    }

    /// The datagrams of the last batch with their senders, and whether each was whole: `None` was cut off.
    pub fn datagrams(&self) -> impl Iterator<Item = Option<(&[u8], SocketAddr)>> {
        self.buffers.iter().zip(&self.lengths).map(|(buffer, (length, from))| Some((buffer.get(..*length)?, (*from)?)))
    }

    /// Whether the last batch was full: more may be waiting.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.lengths.len() == BATCH
    }
}

/// Sends datagrams in order, as many as the socket takes; answers how many went, counted from the first.
/// An error belongs to the first datagram.
pub fn send<'a>(socket: BorrowedFd<'_>, datagrams: impl Iterator<Item = (&'a [u8], SocketAddr)>) -> io::Result<usize> {
    let mut names = [const { MaybeUninit::<libc::sockaddr_storage>::zeroed() }; BATCH];
    let mut vectors = [const { MaybeUninit::<libc::iovec>::zeroed() }; BATCH];
    let mut headers = [const { MaybeUninit::<libc::mmsghdr>::zeroed() }; BATCH];
    let mut count: libc::c_uint = 0;
    for (((name, vector), header), (bytes, to)) in names.iter_mut().zip(&mut vectors).zip(&mut headers).zip(datagrams) {
        let vector = vector.write(libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() });
        // SAFETY: all-zero is a valid `mmsghdr`.
        let header = unsafe { header.assume_init_mut() };
        header.msg_hdr.msg_namelen = write_address(name, to);
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_iov = vector;
        header.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    if count == 0 {
        return Ok(0);
    }
    // SAFETY: the first `count` headers are initialized; names and vectors live until after the call, and so
    // do the datagrams ('a); the kernel only reads from them.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr().cast(), count, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

const fn socklen<T>() -> libc::socklen_t {
    size_of::<T>() as libc::socklen_t
}

fn read_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says which address it is; `sockaddr_storage` is larger and aligned for all.
            let v4 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Some(SocketAddr::V4(SocketAddrV4::new(ip, u16::from_be(v4.sin_port))))
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*std::ptr::from_ref(storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            // Flow label and scope are left out: one sender is one address, whatever its packets carry.
            Some(SocketAddr::V6(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), 0, 0)))
        }
        _ => None,
    }
}

fn write_address(storage: &mut MaybeUninit<libc::sockaddr_storage>, address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: `sockaddr_storage` is larger and aligned for every address.
            unsafe { storage.as_mut_ptr().cast::<libc::sockaddr_in>().write(raw) };
            socklen::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { storage.as_mut_ptr().cast::<libc::sockaddr_in6>().write(raw) };
            socklen::<libc::sockaddr_in6>()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;

    fn exchange(ip: &str) {
        let (a, b) = (UdpSocket::bind((ip, 0)).expect("bind"), UdpSocket::bind((ip, 0)).expect("bind"));
        let to = b.local_addr().expect("address");
        let payloads: Vec<Vec<u8>> = (0..BATCH as u8).map(|n| vec![n; usize::from(n) + 1]).collect();
        let sent = send(a.as_fd(), payloads.iter().map(|p| (p.as_slice(), to))).expect("sent");
        assert_eq!(sent, BATCH);
        let mut batch = RecvBatch::default();
        batch.receive(b.as_fd()).expect("received");
        let received: Vec<_> = batch.datagrams().map(|d| d.expect("whole")).collect();
        assert!(batch.is_full());
        for (payload, (bytes, from)) in payloads.iter().zip(received) {
            assert_eq!((payload.as_slice(), a.local_addr().expect("address")), (bytes, from));
        }
        assert_eq!(batch.receive(b.as_fd()).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
        assert_eq!(batch.datagrams().count(), 0);
    }

    #[test]
    fn a_batch_arrives_whole_over_ipv4() {
        exchange("127.0.0.1");
    }

    #[test]
    fn a_batch_arrives_whole_over_ipv6() {
        exchange("::1");
    }

    #[test]
    fn a_datagram_that_is_too_long_is_dropped_alone() {
        let (a, b) = (UdpSocket::bind("127.0.0.1:0").expect("bind"), UdpSocket::bind("127.0.0.1:0").expect("bind"));
        let to = b.local_addr().expect("address");
        a.send_to(&[1; DATAGRAM + 1], to).expect("sent");
        a.send_to(&[2; 5], to).expect("sent");
        let mut batch = RecvBatch::default();
        batch.receive(b.as_fd()).expect("received");
        let received: Vec<_> = batch.datagrams().map(|d| d.map(|(bytes, _)| bytes.to_vec())).collect();
        assert_eq!(received, [None, Some(vec![2; 5])]);
    }
}
