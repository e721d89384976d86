//! `recvmmsg` and `sendmmsg`: the system calls, and the memory they work in.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::group::{MAX_RUN, Message, SendQueue};

/// Messages sent by one call: a flush of a large room is a few calls, and one call holds the CPU for well
/// below a millisecond.
pub(crate) const MESSAGES: usize = 256;
/// Pieces of all messages of one call, at the most.
const VECTORS: usize = 4_096;
/// Messages received by one call. Each is one datagram, or many of one sender that the kernel put together.
const ARRIVALS: usize = 64;
/// Messages asked for at least.
const MIN_EXPECTED: usize = 8;
/// Room for one received message: the longest there is. The rest keeps the buffers from beginning at the same
/// place of the processor's cache, where they would drive each other out.
const ROOM: usize = 65_536 + 9 * 64;
/// The longest datagram taken, in bytes. WebRTC keeps below an MTU of 1500; a longer one is dropped.
pub const MAX_RECEIVED: usize = 2_048;
/// Room for the control messages of one message: 24 bytes for the length of segments (a `u16` when sending, an `int` when
/// receiving), 32 for a time of arrival, and something left for what is not expected.
const CONTROL: usize = 64;

/// Control messages of one message.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL]);

/// An address for the kernel to read. With hundreds of receivers it counts that it is not 128 bytes long.
#[repr(C)]
#[derive(Clone, Copy)]
union Name {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// A datagram that arrived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Received<'a> {
    /// The bytes of the datagram.
    pub bytes: &'a [u8],
    /// The address of its sender.
    pub from: SocketAddr,
    /// When the kernel took it in, in nanoseconds of the system's clock since 1970, if that was asked for with
    /// [`stamp_arrivals`](crate::stamp_arrivals). Of datagrams that were put together it is the time of one.
    pub received_ns: Option<u64>,
}

/// Received datagrams of one socket that wait to be handled.
pub struct Inbox {
    /// Memory the kernel gives only where it is written to: most messages are one small datagram.
    buffers: Vec<u8>,
    arrivals: Vec<Arrival>,
    /// Messages there is room for.
    most: usize,
    /// Messages asked for with the next call: to ask for many that are not there has its price, too.
    expected: usize,
    /// The next one to hand out, and where in it.
    next: (usize, usize),
}

/// One received message: datagrams of one length, the last may be shorter.
struct Arrival {
    len: usize,
    size: usize,
    /// The address of its sender; nothing if it was cut off.
    from: Option<SocketAddr>,
    received_ns: Option<u64>,
}

impl Default for Inbox {
    fn default() -> Self {
        Self::with_room(ARRIVALS)
    }
}

impl Inbox {
    /// Makes one that receives so many messages with one call at the most, up to 64: for many sockets that share it, each of
    /// which gets little.
    #[must_use]
    pub fn with_room(messages: usize) -> Self {
        let most = messages.clamp(1, ARRIVALS);
        Self { buffers: vec![0; ROOM * most], arrivals: Vec::with_capacity(most), most, expected: most, next: (0, 0) }
    }

    /// Receives what is there, at most one batch, in the place of the last one; `WouldBlock` if nothing is.
    /// Answers whether the batch is full, so that more may be waiting.
    pub fn receive(&mut self, socket: BorrowedFd<'_>) -> io::Result<bool> {
        self.arrivals.clear();
        self.next = (0, 0);
        let mut names = [const { MaybeUninit::<libc::sockaddr_storage>::uninit() }; ARRIVALS];
        let mut controls = [const { MaybeUninit::<Control>::uninit() }; ARRIVALS];
        let mut vectors = [const { MaybeUninit::<libc::iovec>::uninit() }; ARRIVALS];
        let mut headers = [const { MaybeUninit::<libc::mmsghdr>::uninit() }; ARRIVALS];
        let expected = self.expected.min(self.most);
        let parts = self.buffers.chunks_exact_mut(ROOM).zip(&mut names).zip(&mut controls).zip(&mut vectors);
        for ((((buffer, name), control), vector), header) in parts.zip(&mut headers).take(expected) {
            let vector = vector.write(libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() });
            // SAFETY: all-zero is a valid `mmsghdr`: integers and null pointers.
            let header = header.write(unsafe { MaybeUninit::zeroed().assume_init() });
            // SAFETY: all-zero is a valid `sockaddr_storage`: integers.
            header.msg_hdr.msg_name = std::ptr::from_mut(name.write(unsafe { MaybeUninit::zeroed().assume_init() })).cast();
            header.msg_hdr.msg_namelen = socklen::<libc::sockaddr_storage>();
            header.msg_hdr.msg_control = std::ptr::from_mut(control.write(Control([0; CONTROL]))).cast();
            header.msg_hdr.msg_controllen = CONTROL as _;
            header.msg_hdr.msg_iov = vector;
            header.msg_hdr.msg_iovlen = 1;
        }
        let (first, count) = (headers.as_mut_ptr().cast(), expected as libc::c_uint);
        // SAFETY: the first `expected` headers are initialized (there are more buffers) and point to names, control
        // buffers, vectors and buffers that live and are not moved until after the call; lengths are those of
        // what they point to.
        let received = unsafe { libc::recvmmsg(socket.as_raw_fd(), first, count, libc::MSG_DONTWAIT, std::ptr::null_mut()) };
        let received = usize::try_from(received).map_err(|_| io::Error::last_os_error())?;
        for (header, name) in headers.iter().zip(&names).take(received) {
            // SAFETY: initialized above, filled in by the kernel.
            let (header, name) = unsafe { (header.assume_init_ref(), name.assume_init_ref()) };
            let len = (header.msg_len as usize).min(ROOM);
            // What the kernel says of the message is lost if control data is: then its parts cannot be told apart.
            let whole = header.msg_hdr.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) == 0;
            let from = if whole { read_address(name) } else { None };
            // SAFETY: the kernel left `msg_control` and wrote to `msg_controllen` how much of it is control messages.
            let (size, received_ns) = unsafe { read_controls(&header.msg_hdr) };
            self.arrivals.push(Arrival { len, size: size.filter(|size| *size > 0).unwrap_or(len), from, received_ns });
        }
        // Twice as many, so that a burst is seldom cut in two; less only slowly.
        self.expected = (received * 2).max(expected * 7 / 8).clamp(MIN_EXPECTED.min(self.most), self.most);
        Ok(received == expected)
    }

    /// The next datagram with its sender. In the place of one that was cut off or is too long there is `None`.
    #[expect(clippy::should_implement_trait, reason = "what it gives lives in the inbox, which an iterator cannot say")]
    pub fn next(&mut self) -> Option<Option<Received<'_>>> {
        let (index, start) = self.next;
        let arrival = self.arrivals.get(index)?;
        let end = (start + arrival.size).min(arrival.len);
        self.next = if end == arrival.len { (index + 1, 0) } else { (index, end) };
        let buffer = self.buffers.get(index * ROOM..).unwrap_or_default();
        let bytes = buffer.get(start..end).filter(|bytes| bytes.len() <= MAX_RECEIVED);
        let received_ns = arrival.received_ns;
        Some(bytes.zip(arrival.from).map(|(bytes, from)| Received { bytes, from, received_ns }))
    }

    /// Whether every datagram was handed out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.next.0 >= self.arrivals.len()
    }
}

/// What a call to send needs of memory, kept from call to call.
#[derive(Default)]
pub struct SendBatch {
    names: Vec<Name>,
    controls: Vec<Control>,
    vectors: Vec<libc::iovec>,
    /// The place where each message's vectors end.
    ends: Vec<usize>,
    headers: Vec<libc::mmsghdr>,
}

impl SendBatch {
    /// Sends messages in order, as many as the socket takes and one call can hold; answers how many went,
    /// counted from the first. An error belongs to the first message. The pieces lie in `bytes`.
    pub fn send(&mut self, socket: BorrowedFd<'_>, bytes: &[u8], queue: &SendQueue, messages: &[Message]) -> io::Result<usize> {
        self.names.clear();
        self.controls.clear();
        self.vectors.clear();
        self.ends.clear();
        for message in messages.iter().take(MESSAGES) {
            if self.vectors.len() + message.count.min(MAX_RUN) > VECTORS {
                break;
            }
            let pieces = queue.pieces.get(message.first..).unwrap_or_default();
            let size = pieces.first().map_or(0, |piece| piece.len);
            let start = self.vectors.len();
            for piece in pieces.iter().take(message.count) {
                let content = bytes.get(piece.start..).and_then(|rest| rest.get(..piece.len)).unwrap_or_default();
                self.add_vector(content, start);
            }
            self.ends.push(self.vectors.len());
            self.names.push(name_of(message.to));
            if message.count > 1 {
                self.controls.push(segment_control(u16::try_from(size).unwrap_or(u16::MAX)));
            }
        }
        self.fill_headers(messages);
        let count = self.headers.len() as libc::c_uint;
        if count == 0 {
            return Ok(0);
        }
        // SAFETY: the headers are initialized; names, control messages and vectors are in `self`, which nothing
        // changes until after the call, and the contents live as long as `bytes`; the kernel only reads from them.
        let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), self.headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// Adds a piece to a message; what follows its predecessor in memory needs no vector of its own.
    fn add_vector(&mut self, content: &[u8], start: usize) {
        if let Some(last) = self.vectors.get_mut(start..).and_then(<[_]>::last_mut)
            && last.iov_base.cast_const().cast::<u8>().wrapping_add(last.iov_len) == content.as_ptr()
        {
            last.iov_len += content.len();
        } else {
            self.vectors.push(libc::iovec { iov_base: content.as_ptr().cast_mut().cast(), iov_len: content.len() });
        }
    }

    /// Makes the headers, when nothing they point to is moved any more.
    fn fill_headers(&mut self, messages: &[Message]) {
        self.headers.clear();
        let mut start = 0;
        let mut controls = self.controls.iter_mut();
        for ((name, end), message) in self.names.iter_mut().zip(&self.ends).zip(messages) {
            let Some(vectors) = self.vectors.get_mut(start..*end) else { break };
            start = *end;
            // SAFETY: all-zero is a valid `mmsghdr`: integers and null pointers.
            let mut header: libc::mmsghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            header.msg_hdr.msg_namelen = name_length(message.to);
            header.msg_hdr.msg_name = std::ptr::from_mut(name).cast();
            header.msg_hdr.msg_iov = vectors.as_mut_ptr();
            header.msg_hdr.msg_iovlen = vectors.len() as _;
            if let Some(control) = Some(message).filter(|message| message.count > 1).and_then(|_| controls.next()) {
                header.msg_hdr.msg_control = std::ptr::from_mut(control).cast();
                header.msg_hdr.msg_controllen = control_space::<u16>() as _;
            }
            self.headers.push(header);
        }
    }
}

/// The control message that tells the length of the segments to make (`UDP_SEGMENT`).
fn segment_control(size: u16) -> Control {
    let mut control = Control([0; CONTROL]);
    // SAFETY: all-zero is a valid `msghdr`.
    let mut header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = control_space::<u16>() as _;
    // SAFETY: `control` is aligned for a `cmsghdr` and has room for one with a `u16`, so the first one is in it.
    unsafe {
        let message = libc::CMSG_FIRSTHDR(&raw const header);
        (*message).cmsg_level = libc::SOL_UDP;
        (*message).cmsg_type = libc::UDP_SEGMENT;
        (*message).cmsg_len = libc::CMSG_LEN(socklen::<u16>()) as _;
        libc::CMSG_DATA(message).cast::<u16>().write_unaligned(size);
    }
    control
}

/// The length of the datagrams a received message was put together from (`UDP_GRO`), and when it arrived.
///
/// # Safety
/// `msg_control` must point to `msg_controllen` bytes of control messages from the kernel.
unsafe fn read_controls(header: &libc::msghdr) -> (Option<usize>, Option<u64>) {
    let (mut size, mut received_ns) = (None, None);
    // SAFETY: promised by the caller; the macros keep within `msg_controllen`.
    let mut message = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !message.is_null() {
        // SAFETY: not null, so it lies whole within the control messages.
        match unsafe { ((*message).cmsg_level, (*message).cmsg_type) } {
            // SAFETY: the kernel gives an `int` with this type.
            (libc::SOL_UDP, libc::UDP_GRO) => size = usize::try_from(unsafe { content::<libc::c_int>(message) }).ok(),
            // SAFETY: the kernel gives a `timespec` with this type.
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => received_ns = nanoseconds(unsafe { content(message) }),
            _ => {}
        }
        // SAFETY: as for the first.
        message = unsafe { libc::CMSG_NXTHDR(header, message) };
    }
    (size, received_ns)
}

/// # Safety
/// The control message must carry a `T`, perhaps not aligned.
unsafe fn content<T: Copy>(message: *const libc::cmsghdr) -> T {
    // SAFETY: promised by the caller.
    unsafe { libc::CMSG_DATA(message).cast::<T>().read_unaligned() }
}

fn nanoseconds(time: libc::timespec) -> Option<u64> {
    u64::try_from(time.tv_sec).ok()?.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
}

const fn control_space<T>() -> usize {
    // SAFETY: arithmetic.
    let space = unsafe { libc::CMSG_SPACE(socklen::<T>()) } as usize;
    assert!(space <= CONTROL, "room for it");
    space
}

const fn name_length(address: SocketAddr) -> libc::socklen_t {
    match address {
        SocketAddr::V4(_) => socklen::<libc::sockaddr_in>(),
        SocketAddr::V6(_) => socklen::<libc::sockaddr_in6>(),
    }
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

fn name_of(address: SocketAddr) -> Name {
    match address {
        SocketAddr::V4(v4) => Name {
            v4: libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            },
        },
        SocketAddr::V6(v6) => Name {
            v6: libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            },
        },
    }
}

#[cfg(test)]
mod tests;
