//! Ring operations, and the 64 bits by which a completion is told from all others.
//!
//! The bits carry the kind of the operation and the whole [`ConnectionId`], generation included, so
//! a completion of a connection that is gone can never be taken for one of its successor.

use io_uring::types::{Fd, Fixed};
use io_uring::{opcode, squeue};
use rustix::event::PollFlags;
use rustix::net::SendFlags;

use super::buffers::GROUP;
use crate::hub::ConnectionId;

/// Most connections of one thread: what the slot has room for.
pub(super) const SLOTS_MAX: u32 = 1 << SLOT_BITS;

const SLOT_BITS: u32 = 24;

const SEND_FLAGS: i32 = SendFlags::NOSIGNAL.bits().cast_signed();

/// What a completion is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// A connection was accepted, or accepting ended.
    Accept,
    /// The waker became readable.
    Waker,
    /// An operation was cancelled, or was over before that; the operation itself tells.
    Cancel,
    /// Bytes came, or receiving ended.
    Receive(ConnectionId),
    /// The one send of a connection is done.
    Send(ConnectionId),
}

/// An operation that is ready to be submitted. Whatever memory it names outlives it: that is a
/// condition of [`Operation::send`], and no other operation names any.
#[derive(Debug)]
pub(super) struct Operation {
    token: Token,
    action: Action,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Accepts one connection after another, until it fails.
    Accept { listener: i32 },
    /// Says each time that the waker becomes readable.
    WatchWaker { waker: i32 },
    /// Receives one buffer after another, as they come, until the stream or the buffers end.
    ReceiveOn(Target),
    /// Receives one buffer.
    ReceiveOnce(Target),
    /// Sends the beginning of `length` bytes.
    Send {
        target: Target,
        bytes: *const u8,
        length: u32,
    },
    /// Ends the operation of this token.
    Cancel(Token),
}

/// How the kernel is told which socket is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// An index into the ring's table of files, which saves the look-up in the process's.
    Fixed(u32),
    /// A descriptor of the process.
    Descriptor(i32),
}

impl Token {
    pub(super) fn to_bits(self) -> u64 {
        let (kind, id) = match self {
            Self::Accept => (0, None),
            Self::Waker => (1, None),
            Self::Cancel => (2, None),
            Self::Receive(id) => (3, Some(id)),
            Self::Send(id) => (4, Some(id)),
        };
        let id = id.map_or(0, |id| {
            debug_assert!(id.slot < SLOTS_MAX);
            u64::from(id.generation) << SLOT_BITS | u64::from(id.slot)
        });
        id << 8 | kind
    }

    /// # Panics
    /// When no token has these bits: the kernel only ever returns those that were submitted.
    pub(super) fn from_bits(bits: u64) -> Self {
        let id = ConnectionId {
            slot: u32::try_from(bits >> 8 & u64::from(SLOTS_MAX - 1)).expect("24 bits"),
            generation: u32::try_from(bits >> (8 + SLOT_BITS)).expect("32 bits"),
        };
        match bits & 0xff {
            0 => Self::Accept,
            1 => Self::Waker,
            2 => Self::Cancel,
            3 => Self::Receive(id),
            4 => Self::Send(id),
            kind => unreachable!("no operation is of kind {kind}"),
        }
    }
}

impl Operation {
    pub(super) fn accept(listener: i32) -> Self {
        Self::new(Token::Accept, Action::Accept { listener })
    }

    pub(super) fn watch_waker(waker: i32) -> Self {
        Self::new(Token::Waker, Action::WatchWaker { waker })
    }

    pub(super) fn receive_on(id: ConnectionId, target: Target) -> Self {
        Self::new(Token::Receive(id), Action::ReceiveOn(target))
    }

    /// For kernels (before 6.0) whose receives cannot go on by themselves.
    pub(super) fn receive_once(id: ConnectionId, target: Target) -> Self {
        Self::new(Token::Receive(id), Action::ReceiveOnce(target))
    }

    /// # Safety
    /// `bytes` must stay where they are, unchanged, until the completion of this operation was
    /// taken from the ring.
    pub(super) unsafe fn send(id: ConnectionId, target: Target, bytes: &[u8]) -> Self {
        let action = Action::Send {
            target,
            bytes: bytes.as_ptr(),
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        };
        Self::new(Token::Send(id), action)
    }

    /// Asks for the end of the operation that `token` names.
    pub(super) fn cancel(token: Token) -> Self {
        Self::new(Token::Cancel, Action::Cancel(token))
    }

    /// Asks for the end of the accept.
    pub(super) fn stop_accepting() -> Self {
        Self::cancel(Token::Accept)
    }

    /// As the kernel wants it.
    pub(super) fn entry(&self) -> squeue::Entry {
        let (nowhere, no_bytes) = (std::ptr::null_mut(), 0);
        let entry = match self.action {
            Action::Accept { listener } => opcode::AcceptMulti::new(Fd(listener))
                .flags(rustix::net::SocketFlags::CLOEXEC.bits().cast_signed())
                .build(),
            Action::WatchWaker { waker } => {
                opcode::PollAdd::new(Fd(waker), u32::from(PollFlags::IN.bits()))
                    .multi(true)
                    .build()
            }
            Action::ReceiveOn(Target::Fixed(index)) => {
                opcode::RecvMulti::new(Fixed(index), GROUP).build()
            }
            Action::ReceiveOn(Target::Descriptor(fd)) => {
                opcode::RecvMulti::new(Fd(fd), GROUP).build()
            }
            Action::ReceiveOnce(Target::Fixed(index)) => {
                opcode::Recv::new(Fixed(index), nowhere, no_bytes)
                    .buf_group(GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
            Action::ReceiveOnce(Target::Descriptor(fd)) => {
                opcode::Recv::new(Fd(fd), nowhere, no_bytes)
                    .buf_group(GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
            Action::Send {
                target,
                bytes,
                length,
            } => match target {
                Target::Fixed(index) => opcode::Send::new(Fixed(index), bytes, length)
                    .flags(SEND_FLAGS)
                    .build(),
                Target::Descriptor(fd) => opcode::Send::new(Fd(fd), bytes, length)
                    .flags(SEND_FLAGS)
                    .build(),
            },
            Action::Cancel(token) => opcode::AsyncCancel::new(token.to_bits()).build(),
        };
        entry.user_data(self.token.to_bits())
    }

    fn new(token: Token, action: Action) -> Self {
        Self { token, action }
    }
}

#[cfg(test)]
impl Operation {
    pub(super) fn token(&self) -> Token {
        self.token
    }

    pub(super) fn action(&self) -> Action {
        self.action
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_kernel() {
        let ids = [(0, 0), (1, u32::MAX), (SLOTS_MAX - 1, 7)];
        let ids = ids.map(|(slot, generation)| ConnectionId { slot, generation });
        let mut tokens = vec![Token::Accept, Token::Waker, Token::Cancel];
        tokens.extend(ids.map(Token::Receive));
        tokens.extend(ids.map(Token::Send));
        for token in tokens {
            assert_eq!(Token::from_bits(token.to_bits()), token);
        }
    }
}
