//! How the operations of a simulated kernel complete.

use rand::RngExt;
use rustix::io::Errno;

use super::world::{Completed, FIRST, File, InFlight, World};
use crate::driver::uring::operation::{Action, Operation, Target, Token};

/// What comes of an operation for now.
enum Outcome {
    /// Nothing.
    Waits,
    /// A completion, after which it goes on if it can.
    Result(Result<u32, Errno>),
    /// Bytes, and the buffer that they are in.
    Filled(u32, u16),
    /// A completion, after which it is over in any case.
    Last(Result<u32, Errno>),
}

impl World {
    /// Takes an operation in.
    pub(super) fn submit(&mut self, operation: &Operation) {
        let (token, action) = (operation.token(), operation.action());
        let target = match action {
            Action::Cancel(of) => return self.cancel(of),
            Action::Accept { .. } | Action::WatchWaker { .. } => None,
            Action::ReceiveOn(target) | Action::ReceiveOnce(target) => Some(target),
            Action::Send { target, .. } => Some(target),
        };
        let twice = self.in_flight.iter().any(|it| it.token == token);
        assert!(!twice, "{token:?} is in flight already");
        let file = target.map(|target| self.find(target));
        let mine = |it: &InFlight| it.file == file && kind(it.token) == kind(token);
        assert!(
            file.is_none() || !self.in_flight.iter().any(mine),
            "{token:?} works on a file that another of its kind works on"
        );
        if let Some(file) = file {
            self.used.entry(file).or_default().insert(token.to_bits());
        }
        self.submitted.push(token);
        self.in_flight.push(InFlight {
            token,
            action,
            file,
            cancelled: false,
        });
    }

    fn find(&self, target: Target) -> File {
        let file = match target {
            Target::Fixed(place) => self.places.get(&place),
            Target::Descriptor(descriptor) => self.descriptors.get(&descriptor),
        };
        *file.unwrap_or_else(|| panic!("there is no file at {target:?}"))
    }

    fn cancel(&mut self, of: Token) {
        let late = self.chance(self.odds.cancel_is_late);
        let found = self.in_flight.iter_mut().find(|it| it.token == of);
        let result = match found {
            None => Err(Errno::NOENT),
            Some(_) if late => {
                self.tally.late_cancels += 1;
                // It may still bring what has come; `try_complete` ends it before long.
                Err(Errno::ALREADY)
            }
            Some(operation) => {
                operation.cancelled = true;
                Ok(0)
            }
        };
        self.push_completion(Completed {
            token: Token::Cancel,
            result,
            buffer: None,
            goes_on: false,
        });
        if late && result == Err(Errno::ALREADY) {
            self.late.push(of);
        }
    }

    /// Completes an operation once, if there is anything to tell.
    pub(super) fn try_complete(&mut self, token: Token) {
        let Some(place) = self.in_flight.iter().position(|it| it.token == token) else {
            return;
        };
        if let Some(late) = self.late.iter().position(|late| *late == token)
            && self.rng.random_bool(0.3)
        {
            self.late.swap_remove(late);
            self.in_flight[place].cancelled = true;
        }
        let operation = self.in_flight[place];
        let outcome = if operation.cancelled {
            Outcome::Last(Err(Errno::CANCELED))
        } else {
            match operation.action {
                Action::Accept { .. } => self.accept(),
                Action::WatchWaker { .. } if self.is_awake() => Outcome::Result(Ok(1)),
                Action::WatchWaker { .. } | Action::Cancel(_) => Outcome::Waits,
                Action::ReceiveOn(_) if !self.odds.multishot_receive => {
                    Outcome::Last(Err(Errno::INVAL))
                }
                Action::ReceiveOn(_) | Action::ReceiveOnce(_) => self.receive(operation),
                Action::Send { bytes, length, .. } => self.send(operation, bytes, length),
            }
        };
        let (result, buffer, ends) = match outcome {
            Outcome::Waits => return,
            Outcome::Result(result) => (result, None, false),
            Outcome::Filled(bytes, buffer) => (Ok(bytes), Some(buffer), false),
            Outcome::Last(result) => (result, None, true),
        };
        let is_multishot = matches!(
            operation.action,
            Action::Accept { .. } | Action::WatchWaker { .. } | Action::ReceiveOn(_)
        );
        let goes_on = is_multishot && !ends && !self.chance(self.odds.multishot_ends);
        if !goes_on {
            self.in_flight.swap_remove(place);
            self.late.retain(|late| *late != token);
        }
        self.push_completion(Completed {
            token,
            result,
            buffer,
            goes_on,
        });
    }

    fn accept(&mut self) -> Outcome {
        if !self.listening {
            return Outcome::Last(Err(Errno::INVAL));
        }
        if self.waiting.is_empty() {
            return Outcome::Waits;
        }
        if self.descriptors.len() >= self.odds.descriptors_max.saturating_add(self.odds.spare) {
            self.tally.out_of_descriptors += 1;
            return Outcome::Last(Err(Errno::MFILE));
        }
        if self.chance(self.odds.accept_fails) {
            let errors = [Errno::CONNABORTED, Errno::NFILE, Errno::NOBUFS, Errno::INTR];
            return Outcome::Last(Err(errors[self.rng.random_range(0..errors.len())]));
        }
        let file = self.waiting.pop_front().expect("somebody waits");
        let mut numbers = FIRST..;
        let free = numbers.find(|number| !self.descriptors.contains_key(number));
        let descriptor = free.expect("there are enough numbers");
        self.descriptors.insert(descriptor, file);
        Outcome::Result(Ok(descriptor.cast_unsigned()))
    }

    fn receive(&mut self, operation: InFlight) -> Outcome {
        let file = operation.file.expect("it receives from a peer");
        let peer = &self.peers[file];
        let nothing = peer.to_server.is_empty();
        if peer.broken {
            return Outcome::Last(Err(Errno::CONNRESET));
        }
        if self.shut.contains(&file) || (nothing && peer.ended) {
            return Outcome::Last(Ok(0));
        }
        if nothing {
            return Outcome::Waits;
        }
        if self.chance(self.odds.receive_fails) {
            let errors = [Errno::NOBUFS, Errno::INTR, Errno::AGAIN];
            return Outcome::Last(Err(errors[self.rng.random_range(0..errors.len())]));
        }
        if !self.buffers.is_free() {
            self.tally.out_of_buffers += 1;
            return Outcome::Last(Err(Errno::NOBUFS));
        }
        let came = self.peers[file].to_server.len();
        let most = came.min(self.odds.buffer_bytes as usize);
        let bytes = self.rng.random_range(1..=most);
        let taken: Vec<u8> = self.peers[file].to_server.drain(..bytes).collect();
        let buffer = self.buffers.fill(taken);
        Outcome::Filled(u32::try_from(bytes).expect("a bufferful"), buffer)
    }

    fn send(&mut self, operation: InFlight, bytes: *const u8, length: u32) -> Outcome {
        let file = operation.file.expect("it sends to a peer");
        let peer = &self.peers[file];
        if peer.broken {
            return Outcome::Last(Err(Errno::CONNRESET));
        }
        if peer.server_ended {
            return Outcome::Last(Err(Errno::PIPE));
        }
        if self.chance(self.odds.send_fails) {
            self.tally.out_of_memory += 1;
            let errors = [Errno::NOBUFS, Errno::NOMEM, Errno::INTR, Errno::AGAIN];
            return Outcome::Last(Err(errors[self.rng.random_range(0..errors.len())]));
        }
        let mut most = self.peers[file].room().min(length as usize);
        if most == 0 {
            return Outcome::Waits;
        }
        if self.chance(self.odds.send_is_short) {
            most = self.rng.random_range(1..=most);
        }
        self.assert_held();
        // SAFETY: `most` is at most `length`, and the bytes are held: `assert_held` has counted.
        let sent = unsafe { std::slice::from_raw_parts(bytes, most) };
        self.peers[file].is_sent(sent);
        Outcome::Last(Ok(u32::try_from(most).expect("at most the length")))
    }

    /// The bytes of every send in flight have to be held, once for each send.
    pub(super) fn assert_held(&self) {
        let mut held = self.held.clone();
        for operation in &self.in_flight {
            if let Action::Send { bytes, .. } = operation.action {
                let place = held.iter().position(|held| *held == bytes);
                let place = place.unwrap_or_else(|| {
                    panic!("{:?} reads from bytes that were let go", operation.token)
                });
                held.swap_remove(place);
            }
        }
    }

    /// A completion that nobody waits for any more.
    pub(super) fn complete_stale(&mut self) {
        if self.stale.is_empty() {
            return;
        }
        self.tally.stale += 1;
        let token = self.stale[self.rng.random_range(0..self.stale.len())];
        let is_receive = matches!(token, Token::Receive(_));
        let fills = is_receive && self.buffers.is_free() && self.rng.random_bool(0.5);
        let errors = [Errno::CANCELED, Errno::NOBUFS, Errno::CONNRESET];
        let error = errors[self.rng.random_range(0..errors.len())];
        let buffer = fills.then(|| self.buffers.fill(vec![b'?']));
        let goes_on = self.rng.random_bool(0.5);
        self.push_completion(Completed {
            token,
            result: if fills { Ok(1) } else { Err(error) },
            buffer,
            goes_on,
        });
    }
}

/// Whether it sends or receives, or neither.
fn kind(token: Token) -> u8 {
    match token {
        Token::Send(_) => 1,
        Token::Receive(_) => 2,
        Token::Accept | Token::Waker | Token::Cancel => 0,
    }
}
