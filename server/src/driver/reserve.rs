//! A descriptor in reserve, for the time when the process may open no more: with it each newcomer is
//! taken in for a moment and told why it has to go, instead of waiting without a word.
//!
//! After every call the reserve is filled again, unless another thread was faster to take the
//! descriptor; then newcomers wait until one is free, as they would without a reserve.

use std::fs::File;
use std::net::TcpListener;

use bytes::Bytes;
use rustix::net::{RecvFlags, SendFlags, Shutdown, SocketFlags, accept_with, recv, send, shutdown};

/// Newcomers that are refused before the loop looks at those that are there.
const REFUSALS: usize = 256;

/// Opens anywhere and holds nothing but its descriptor.
const PLACEHOLDER: &str = "/dev/null";

#[derive(Debug)]
pub(super) struct Reserve(Option<File>);

impl Reserve {
    pub(super) fn new() -> Self {
        Self(File::open(PLACEHOLDER).ok())
    }

    /// Fills the reserve if it is empty; to be called when there are descriptors.
    pub(super) fn refill(&mut self) {
        if self.0.is_none() {
            *self = Self::new();
        }
    }

    /// Refuses those who wait at the listener, which does not block; each is sent what `refusal` says.
    pub(super) fn refuse_waiting(
        &mut self,
        listener: &TcpListener,
        mut refusal: impl FnMut() -> Bytes,
    ) {
        for _ in 0..REFUSALS {
            self.0 = None;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let Ok(newcomer) = accept_with(listener, flags) else {
                break;
            };
            // It has hung up already if any of this fails. What it said is read, for closing with
            // unread input would reset the connection and destroy the notice.
            let _ = send(
                &newcomer,
                &refusal(),
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            );
            let _ = shutdown(&newcomer, Shutdown::Write);
            let _ = recv(&newcomer, &mut [0; 4096], RecvFlags::DONTWAIT);
            drop(newcomer);
        }
        *self = Self::new();
    }
}
