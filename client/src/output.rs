//! What a session shows itself through: a screen with a person before it, or a pipe.

use std::io;
use std::os::fd::BorrowedFd;

use crate::wire::Message;

/// Where messages and notices go. Nothing here may block for long, except a pipe's standard output,
/// whose reader sets the pace.
pub(crate) trait Output {
    fn message(&mut self, message: &Message) -> io::Result<()>;

    fn server_notice(&mut self, text: &[u8]);

    fn aside(&mut self, text: &str);

    fn trouble(&mut self, text: &str);

    /// Makes everything visible that was shown so far.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// What was typed last has been dealt with: the next line may be typed.
    fn ready(&mut self) {}

    /// How many messages did not reach the screen because it could not keep up.
    fn skipped(&self) -> u64 {
        0
    }

    /// Reports an error in `poll` when nobody reads any more.
    fn reader(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}
