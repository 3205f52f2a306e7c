//! Packets and their descriptors, as init hears them.
use super::message::{Malformed, ToInit};
use crate::sys::{Errno, seqpacket};
use std::os::fd::{BorrowedFd, OwnedFd};

/// Why nothing was heard.
#[derive(Debug, PartialEq)]
pub(crate) enum Lost {
    /// There is nothing now.
    Nothing,
    /// The other end has closed.
    Gone,
    Malformed(Malformed),
    Failed(Errno),
}

/// The next message of the agent, with the descriptor that belongs to it. A surplus or a missing
/// one is malformed, and what came is closed.
pub(crate) fn hear(socket: BorrowedFd<'_>) -> Result<(ToInit, Option<OwnedFd>), Lost> {
    let mut buffer = [0; 64];
    let received = match seqpacket::receive(socket, &mut buffer) {
        Ok(received) if received.length == 0 => return Err(Lost::Gone),
        Ok(received) => received,
        Err(Errno::AGAIN) => return Err(Lost::Nothing),
        Err(errno) => return Err(Lost::Failed(errno)),
    };
    let packet = buffer.get(..received.length).unwrap_or_default();
    let message = ToInit::decode(packet).map_err(Lost::Malformed)?;
    if received.count() != message.descriptors() {
        let kind = packet.get(1).copied().unwrap_or_default();
        return Err(Lost::Malformed(Malformed { kind, length: received.length }));
    }
    Ok((message, received.single()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn a_message_needs_exactly_its_descriptors() {
        let (agent, init) = seqpacket::pair().expect("a pair");
        let say = |message: ToInit, fds: &[BorrowedFd<'_>]| {
            seqpacket::send(agent.as_fd(), message.encode(&mut [0; 64]), fds).expect("sent");
            hear(init.as_fd())
        };
        assert!(matches!(say(ToInit::Ready, &[]), Ok((ToInit::Ready, None))));
        assert!(matches!(say(ToInit::Keep, &[init.as_fd()]), Ok((ToInit::Keep, Some(_)))));
        assert!(matches!(say(ToInit::Keep, &[]), Err(Lost::Malformed(_))));
        assert!(matches!(say(ToInit::Ready, &[init.as_fd()]), Err(Lost::Malformed(_))));
        assert!(matches!(hear(init.as_fd()), Err(Lost::Nothing)));
        drop(agent);
        assert!(matches!(hear(init.as_fd()), Err(Lost::Gone)));
    }
}
