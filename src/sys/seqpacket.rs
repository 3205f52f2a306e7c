//! The socket under the seam: packets that stay whole, and descriptors beside them.
use super::Errno;
use super::fd::{check_size, retry};
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// The most descriptors one packet may carry.
pub(crate) const MAX_DESCRIPTORS: usize = 3;

/// Room for one SCM_RIGHTS of `MAX_DESCRIPTORS`, aligned as a header must be. Source: cmsg(3).
#[repr(C, align(8))]
struct Control([u8; CONTROL]);
// SAFETY: CMSG_SPACE only computes; 12 bytes are three descriptors.
const CONTROL: usize =
    unsafe { libc::CMSG_SPACE((MAX_DESCRIPTORS * size_of::<i32>()) as u32) } as usize;

/// A packet that came: its length in the buffer, and what rode beside it.
#[derive(Debug)]
pub(crate) struct Received {
    /// 0 when the other end has closed: we send no empty packets.
    pub(crate) length: usize,
    pub(crate) descriptors: [Option<OwnedFd>; MAX_DESCRIPTORS],
}

/// Two connected ends, close-on-exec and non-blocking. Source: unix(7), SOCK_SEQPACKET.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    Ok(socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?)
}

/// Whether this descriptor is an end of such a pair: how agent and shim are told from a program
/// that happens to be called like them.
pub(crate) fn is_one(fd: BorrowedFd<'_>) -> bool {
    use nix::sys::socket::{SockType, getsockopt, sockopt};
    getsockopt(&fd, sockopt::SockType).is_ok_and(|it| it == SockType::SeqPacket)
}

/// Sends one packet now or answers EAGAIN; never waits, never raises SIGPIPE. Source: sendmsg(2).
pub(crate) fn send(
    socket: BorrowedFd<'_>,
    packet: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> Result<(), Errno> {
    if descriptors.len() > MAX_DESCRIPTORS {
        return Err(Errno::INVALID);
    }
    let mut control = Control([0; CONTROL]);
    let mut part =
        libc::iovec { iov_base: packet.as_ptr().cast_mut().cast(), iov_len: packet.len() };
    // SAFETY: msghdr is plain data; all zero is an empty one.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    if !descriptors.is_empty() {
        put_rights(&mut message, &mut control, descriptors);
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    retry(|| {
        // SAFETY: `message` points at `part` and `control`, which live until the call returns, and
        // sendmsg only reads what they point at.
        check_size(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) })
    })?;
    Ok(())
}

fn put_rights(message: &mut libc::msghdr, control: &mut Control, descriptors: &[BorrowedFd<'_>]) {
    let length = size_of_val(descriptors) as u32;
    message.msg_control = control.0.as_mut_ptr().cast();
    // SAFETY: CMSG_SPACE only computes.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(length) } as usize;
    // SAFETY: msg_control and msg_controllen describe `control`, which holds a header.
    let header = unsafe { libc::CMSG_FIRSTHDR(message) };
    // SAFETY: CMSG_LEN only computes.
    let header_length = unsafe { libc::CMSG_LEN(length) } as usize;
    // SAFETY: `header` points into `control`, aligned and large enough for a header.
    unsafe {
        *header = libc::cmsghdr {
            cmsg_len: header_length,
            cmsg_level: libc::SOL_SOCKET,
            cmsg_type: libc::SCM_RIGHTS,
        }
    };
    // SAFETY: the header above begins a message whose data follows it.
    let data = unsafe { libc::CMSG_DATA(header) };
    // SAFETY: BorrowedFd is an int (repr(transparent)); `control` has room for MAX_DESCRIPTORS of
    // them, which `send` has checked.
    unsafe { std::ptr::copy_nonoverlapping(descriptors.as_ptr().cast(), data, length as usize) };
}

/// Takes one packet or answers EAGAIN. A packet longer than the buffer, or with more descriptors
/// than fit, is EBADMSG, and what came with it is closed. Source: recvmsg(2), MSG_CTRUNC.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut control = Control([0; CONTROL]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data; all zero is an empty one.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = CONTROL;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let length = retry(|| {
        // SAFETY: `message` points at `part` and `control`, ours and alive; recvmsg writes no
        // more than their lengths.
        check_size(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags) })
    })?;
    let (descriptors, surplus) = take_rights(&message);
    if surplus || message.msg_flags & (libc::MSG_CTRUNC | libc::MSG_TRUNC) != 0 {
        return Err(Errno::BAD_MESSAGE);
    }
    Ok(Received { length, descriptors })
}

/// The descriptors that came, and whether there were more than we have room for (then closed).
fn take_rights(message: &libc::msghdr) -> ([Option<OwnedFd>; MAX_DESCRIPTORS], bool) {
    let mut taken = [const { None }; MAX_DESCRIPTORS];
    let mut count = 0_usize;
    let mut surplus = false;
    // SAFETY: recvmsg has filled `message`; its control buffer is alive in our caller.
    let mut header = unsafe { libc::CMSG_FIRSTHDR(message) };
    while !header.is_null() {
        // SAFETY: not null, so CMSG_FIRSTHDR or CMSG_NXTHDR found a whole header there.
        let it = unsafe { *header };
        if it.cmsg_level == libc::SOL_SOCKET && it.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: CMSG_LEN only computes.
            let overhead = unsafe { libc::CMSG_LEN(0) } as usize;
            // SAFETY: the data of a header that is there.
            let data = unsafe { libc::CMSG_DATA(header) }.cast::<i32>();
            for index in 0..it.cmsg_len.saturating_sub(overhead) / size_of::<i32>() {
                // SAFETY: `index` is below the count that the header's length says.
                let place = unsafe { data.add(index) };
                // SAFETY: as above; the data of a message need not be aligned for an int.
                let raw = unsafe { place.read_unaligned() };
                // SAFETY: the kernel has installed this descriptor for us with this very packet.
                let fd = unsafe { OwnedFd::from_raw_fd(raw) };
                match taken.get_mut(count) {
                    Some(slot) => *slot = Some(fd),
                    None => surplus = true,
                }
                count = count.saturating_add(1);
            }
        }
        // SAFETY: `header` came from this very message.
        header = unsafe { libc::CMSG_NXTHDR(message, header) };
    }
    (taken, surplus)
}

impl Received {
    /// The descriptors, counted from the first; the rest stays empty.
    pub(crate) fn count(&self) -> usize {
        self.descriptors.iter().flatten().count()
    }

    /// The only descriptor, if there is exactly one.
    pub(crate) fn single(self) -> Option<OwnedFd> {
        let [first, None, None] = self.descriptors else { return None };
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_packet_stays_whole_and_brings_its_descriptors() {
        let (ours, theirs) = pair().expect("a pair");
        assert!(is_one(ours.as_fd()));
        let (read, write) = super::super::fd::pipe().expect("a pipe");
        send(ours.as_fd(), b"one", &[read.as_fd(), write.as_fd()]).expect("sent");
        send(ours.as_fd(), b"two", &[]).expect("sent");
        let mut buffer = [0; 16];
        let first = receive(theirs.as_fd(), &mut buffer).expect("received");
        assert_eq!((first.length, first.count()), (3, 2));
        let second = receive(theirs.as_fd(), &mut buffer).expect("received");
        assert_eq!((second.length, second.count(), &buffer[..3]), (3, 0, &b"two"[..]));
        assert_eq!(receive(theirs.as_fd(), &mut buffer).map(|_| ()), Err(Errno::AGAIN));
        drop(ours);
        assert_eq!(receive(theirs.as_fd(), &mut buffer).map(|it| it.length), Ok(0));
    }

    #[test]
    fn what_is_too_long_or_carries_too_much_is_refused_and_closed() {
        let (ours, theirs) = pair().expect("a pair");
        send(ours.as_fd(), &[7; 32], &[]).expect("sent");
        assert_eq!(receive(theirs.as_fd(), &mut [0; 8]).map(|_| ()), Err(Errno::BAD_MESSAGE));
        let many = [ours.as_fd(); MAX_DESCRIPTORS + 1];
        assert_eq!(send(ours.as_fd(), b"x", &many), Err(Errno::INVALID));
    }
}
