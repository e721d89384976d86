//! Many datagrams in one system call, each with the time the kernel took it in.
//!
//! On `libc` itself: `nix` does not restore the lengths in its headers between calls, so one datagram without a
//! timestamp would take the timestamps of all later ones away.

use std::io;
use std::mem::MaybeUninit;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, RawFd};

use nix::sys::socket::{setsockopt, sockopt::ReceiveTimestampns};

/// Datagrams read in one call: a room of 50 sends 49 at once to each member.
pub(crate) const BATCH: usize = 64;
/// More than the largest packet of WebRTC.
const BUFFER: usize = 2048;
/// Room for one timestamp control message.
const CONTROL: usize = 64;

/// Buffers for a batch, used again and again.
pub(crate) struct Batch {
    buffers: Box<[[u8; BUFFER]]>,
    controls: Box<[Control]>,
    addresses: Box<[libc::sockaddr_storage]>,
    lengths: Vec<usize>,
}

/// Control messages must be aligned like their header.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL]);

/// One datagram of a batch.
pub(crate) struct Datagram<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) from: SocketAddr,
    /// On the clock of [`crate::clock::now_ns`]; `None` if the kernel did not say.
    pub(crate) received_ns: Option<u64>,
}

/// Asks the kernel to stamp what a socket receives.
pub(crate) fn enable_timestamps(socket: &impl AsFd) -> io::Result<()> {
    Ok(setsockopt(socket, ReceiveTimestampns, &true)?)
}

impl Batch {
    pub(crate) fn new() -> Self {
        // SAFETY: `sockaddr_storage` is plain bytes for which zero is valid (no address family).
        let address: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Self {
            buffers: vec![[0; BUFFER]; BATCH].into_boxed_slice(),
            controls: vec![Control([0; CONTROL]); BATCH].into_boxed_slice(),
            addresses: vec![address; BATCH].into_boxed_slice(),
            lengths: Vec::with_capacity(BATCH),
        }
    }

    /// Reads what is there, up to one batch, without waiting. `WouldBlock` when there is nothing.
    pub(crate) fn receive(&mut self, socket: &impl AsRawFd) -> io::Result<impl Iterator<Item = Datagram<'_>>> {
        let stamps = self.receive_raw(socket.as_raw_fd())?;
        let parts = self.buffers.iter().zip(&self.addresses).zip(&self.lengths).zip(stamps);
        Ok(parts.filter_map(|(((buffer, address), length), received_ns)| {
            Some(Datagram { bytes: buffer.get(..*length)?, from: socket_address(address)?, received_ns })
        }))
    }

    fn receive_raw(&mut self, fd: RawFd) -> io::Result<Vec<Option<u64>>> {
        let mut vectors: [MaybeUninit<libc::iovec>; BATCH] = [const { MaybeUninit::uninit() }; BATCH];
        // SAFETY: `mmsghdr` is pointers and numbers for which zero is valid; those used are set below.
        let mut messages: [libc::mmsghdr; BATCH] = unsafe { std::mem::zeroed() };
        let parts = self.buffers.iter_mut().zip(&mut self.controls).zip(&mut self.addresses);
        for ((((buffer, control), address), vector), message) in parts.zip(&mut vectors).zip(&mut messages) {
            let vector = vector.write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: BUFFER });
            message.msg_hdr.msg_iov = vector;
            message.msg_hdr.msg_iovlen = 1;
            message.msg_hdr.msg_control = control.0.as_mut_ptr().cast();
            message.msg_hdr.msg_controllen = CONTROL;
            message.msg_hdr.msg_name = (&raw mut *address).cast();
            message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
        }
        // SAFETY: every message points to buffers of `self` and to `vectors`, which all outlive the call, with
        // their true sizes.
        let count = unsafe { libc::recvmmsg(fd, messages.as_mut_ptr(), BATCH as libc::c_uint, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        let Ok(count) = usize::try_from(count) else { return Err(io::Error::last_os_error()) };
        self.lengths.clear();
        self.lengths.extend(messages.iter().take(count).map(|m| m.msg_len as usize));
        Ok(messages.iter().take(count).map(|m| timestamp(&m.msg_hdr)).collect())
    }
}

fn timestamp(header: &libc::msghdr) -> Option<u64> {
    // SAFETY: the kernel filled the header in; the CMSG functions stay inside `msg_control`.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it points to a whole control message header inside the buffer.
        let control = unsafe { &*message };
        if control.cmsg_level == libc::SOL_SOCKET && control.cmsg_type == libc::SCM_TIMESTAMPNS {
            // SAFETY: a message of this type carries one `timespec`, perhaps not aligned.
            let time = unsafe { libc::CMSG_DATA(message).cast::<libc::timespec>().read_unaligned() };
            return Some(u64::try_from(time.tv_sec).ok()? * 1_000_000_000 + u64::try_from(time.tv_nsec).ok()?);
        }
        // SAFETY: as for CMSG_FIRSTHDR; `message` is one of this header's.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    None
}

fn socket_address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that it is a `sockaddr_in`, which `sockaddr_storage` is large enough and aligned for.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in>() };
            Some(SocketAddrV4::new(u32::from_be(address.sin_addr.s_addr).into(), u16::from_be(address.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above, for `sockaddr_in6`.
            let address = unsafe { &*(&raw const *storage).cast::<libc::sockaddr_in6>() };
            let ip = address.sin6_addr.s6_addr.into();
            Some(SocketAddrV6::new(ip, u16::from_be(address.sin6_port), address.sin6_flowinfo, address.sin6_scope_id).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;
    use crate::clock;

    #[test]
    fn a_batch_is_read_with_senders_and_times() {
        let receiver = UdpSocket::bind("127.0.0.1:0").expect("binds");
        enable_timestamps(&receiver).expect("sets the option");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("binds");
        let to = receiver.local_addr().expect("bound");
        let before = clock::now_ns();
        for n in 0..3u8 {
            sender.send_to(&[n; 10], to).expect("sends");
        }
        let mut batch = Batch::new();
        let got: Vec<(Vec<u8>, SocketAddr, u64)> =
            batch.receive(&receiver).expect("reads").map(|d| (d.bytes.to_vec(), d.from, d.received_ns.expect("stamped"))).collect();
        assert_eq!(got.len(), 3);
        let from = sender.local_addr().expect("bound");
        for (n, (bytes, sender, time)) in (0..3u8).zip(got) {
            assert_eq!((bytes, sender), (vec![n; 10], from));
            assert!(time >= before && time <= clock::now_ns());
        }
        assert!(batch.receive(&receiver).is_err_and(|e| e.kind() == io::ErrorKind::WouldBlock));
    }
}
