//! The terminal's modes: quiet while the client runs, restored however it ends.
//!
//! The line editor switches to raw mode for each line and back after it. Between two lines the
//! terminal would echo what is typed ahead, so the mode it goes back to is a *quiet* one: no echo,
//! no line discipline, no signals from keys. What was there before is put back by [`restore`], which
//! may be called from any thread, and does it once.

use std::io;
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};
use rustix::process::{Signal, getpgrp, kill_process_group};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::SIGCONT;
use signal_hook::{flag, low_level};

const BRACKETED_PASTE_ON: &str = "\x1b[?2004h";
/// Ends what the editor may have begun: bracketed paste, a synchronized update, a hidden cursor.
const CALM: &str = "\x1b[?2004l\x1b[?2026l\x1b[?25h\x1b[0m";

/// How long a stop may take to come: so often this pause.
const STOP_TRIES_MAX: u32 = 200;
const STOP_PAUSE: Duration = Duration::from_millis(1);

/// A terminal that takes nothing for so long is stalled.
const STALL_MAX: Duration = Duration::from_millis(300);
/// The room that a terminal has when it says that it has room, in bytes: see `n_tty_poll` in Linux.
const STALL_BYTES_MAX: usize = 256;

/// The modes to put back; `None` when there is nothing to put back (any more).
static ORIGINAL: Mutex<Option<Termios>> = Mutex::new(None);

/// Makes the terminal quiet, and sees to it that a panic of any thread restores it first.
pub(crate) fn enter() -> io::Result<()> {
    let original = tcgetattr(stdin())?;
    let mut quiet = original.clone();
    quiet
        .local_modes
        .remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
    quiet
        .input_modes
        .remove(InputModes::ICRNL | InputModes::IXON);
    quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
    quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
    *ORIGINAL.lock().unwrap_or_else(PoisonError::into_inner) = Some(original);
    tcsetattr(stdin(), OptionalActions::Now, &quiet)?;
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
    }));
    Ok(())
}

/// Puts the terminal back as it was found; the cursor stands at the left of an empty line then.
pub(crate) fn restore() {
    let original = ORIGINAL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(original) = original {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &original);
        write_out(&format!("{CALM}\r\x1b[J"));
    }
}

/// Stops the client, as Ctrl-Z asks for, with the terminal as the shell left it; returns when it is
/// continued, with the terminal as it was before.
pub(crate) fn suspend() {
    let original = ORIGINAL
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let (Some(original), Ok(present)) = (original, tcgetattr(stdin())) else {
        return;
    };
    write_out(&format!("{CALM}\r\n"));
    let _ = tcsetattr(stdin(), OptionalActions::Now, &original);
    stop();
    let _ = tcsetattr(stdin(), OptionalActions::Now, &present);
    write_out(BRACKETED_PASTE_ON);
}

/// Stops the client and all that belongs to its job; returns when it was continued. The signal may
/// reach another thread first, so this one waits until it sees the end of the stop.
fn stop() {
    let continued = Arc::new(AtomicBool::new(false));
    let Ok(handler) = flag::register(SIGCONT, Arc::clone(&continued)) else {
        return;
    };
    let _ = kill_process_group(getpgrp(), Signal::TSTP);
    // Nobody stops a job whose shell is gone: the wait has an end.
    for _ in 0..STOP_TRIES_MAX {
        thread::sleep(STOP_PAUSE);
        if continued.load(Ordering::Relaxed) {
            break;
        }
    }
    low_level::unregister(handler);
}

/// Writes past the editor: only for when it does not draw. What a terminal that is stalled, or gone,
/// does not take is given up, for nobody can see it.
pub(crate) fn write_out(text: &str) {
    let mut rest = text.as_bytes();
    let patience = Timespec::try_from(STALL_MAX).ok();
    while !rest.is_empty() {
        match poll(
            &mut [PollFd::new(&stdout(), PollFlags::OUT)],
            patience.as_ref(),
        ) {
            Ok(0) => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return,
        }
        // A terminal is ready when it has room for so much.
        match write(stdout(), &rest[..rest.len().min(STALL_BYTES_MAX)]) {
            Ok(bytes) => rest = &rest[bytes..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return,
        }
    }
}
