//! The simulated kernel as the driver sees it, and its receive buffers: each belongs to the kernel, or to
//! the driver until it gives it back.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use rand::rngs::StdRng;
use rustix::net::Shutdown;

use super::odds::Odds;
use super::world::{File, World};
use crate::control::Control;
use crate::driver::RingCounters;
use crate::driver::accepting::Newcomer;
use crate::driver::uring::kernel::{Completion, Event, Kernel};
use crate::driver::uring::operation::{Operation, Target, Token};
use crate::driver::uring::queue::Wait;

pub(super) struct SimulatedKernel {
    world: Rc<RefCell<World>>,
}

/// A buffer that a completion named, and what is in it.
pub(super) struct SimulatedFilled {
    buffer: u16,
    bytes: Vec<u8>,
}

/// Closed when dropped, which is checked.
pub(super) struct SimulatedSocket {
    descriptor: i32,
    file: File,
    world: Rc<RefCell<World>>,
}

/// Let go when dropped, which is checked.
pub(super) struct SimulatedHeld {
    bytes: Bytes,
    world: Rc<RefCell<World>>,
}

impl SimulatedKernel {
    pub(super) fn new(rng: StdRng, odds: Odds, control: Arc<Control>) -> Self {
        Self {
            world: Rc::new(RefCell::new(World::new(rng, odds, control))),
        }
    }

    pub(super) fn world(&self) -> Rc<RefCell<World>> {
        Rc::clone(&self.world)
    }
}

// SAFETY: the bytes of a `Bytes` are immutable, and stay where they are for as long as it lives.
unsafe impl Kernel for SimulatedKernel {
    type Socket = SimulatedSocket;
    type Held = SimulatedHeld;
    type Filled = SimulatedFilled;

    fn now(&self) -> Instant {
        self.world.borrow().now
    }

    fn push(&mut self, operation: Operation) {
        self.world.borrow_mut().submit(&operation);
    }

    fn enter(&mut self, wait: Wait) -> io::Result<()> {
        self.world.borrow_mut().enter(wait);
        Ok(())
    }

    fn has_more(&mut self) -> bool {
        self.world.borrow().frozen
    }

    fn reap(&mut self) -> Option<Completion<Self>> {
        let mut world = self.world.borrow_mut();
        let completed = world.completions.pop_front()?;
        let result = completed.result;
        let event = match completed.token {
            Token::Accept => Event::Accepted(result.map(|descriptor| {
                let descriptor = descriptor.cast_signed();
                SimulatedSocket {
                    descriptor,
                    file: world.descriptors[&descriptor],
                    world: self.world(),
                }
            })),
            Token::Waker => Event::Woken,
            Token::Cancel => Event::Cancelled,
            Token::Receive(id) => {
                let filled = completed.buffer.map(|buffer| SimulatedFilled {
                    buffer,
                    bytes: world.buffers.hand_out(buffer),
                });
                Event::Received(id, result, filled)
            }
            Token::Send(id) => Event::Sent(id, result),
        };
        let goes_on = completed.goes_on;
        Some(Completion { event, goes_on })
    }

    fn counters(&self) -> RingCounters {
        RingCounters::default()
    }

    fn listener(&self) -> i32 {
        0
    }

    fn stop_listening(&mut self) {
        let mut world = self.world.borrow_mut();
        // The kernel does not wait for the driver to call: somebody may have got in before this.
        if world.chance(0.5) {
            world.peer_comes();
        }
        let odds = world.odds.completes;
        world.complete_some(odds);
        world.listening = false;
        world.waiting.clear();
    }

    fn peer(&self, socket: &SimulatedSocket) -> Option<SocketAddr> {
        let broken = self.world.borrow().peers[socket.file].broken;
        (!broken).then(|| ([127, 0, 0, 1], 1024).into())
    }

    fn place(&mut self, socket: &SimulatedSocket, place: u32) -> Target {
        let mut world = self.world.borrow_mut();
        if place >= world.odds.fixed_files {
            return Target::Descriptor(socket.descriptor);
        }
        let before = world.places.insert(place, socket.file);
        assert_eq!(before, None, "place {place} is taken");
        Target::Fixed(place)
    }

    fn displace(&mut self, target: Target) {
        if let Target::Fixed(place) = target {
            let before = self.world.borrow_mut().places.remove(&place);
            assert!(before.is_some(), "place {place} is empty");
        }
    }

    fn shutdown(&self, socket: &SimulatedSocket, how: Shutdown) {
        self.world.borrow_mut().shut(socket.file, how);
    }

    fn hold(&mut self, bytes: Bytes) -> SimulatedHeld {
        self.world.borrow_mut().held.push(bytes.as_ptr());
        SimulatedHeld {
            bytes,
            world: self.world(),
        }
    }

    fn buffers(&self) -> u16 {
        self.world.borrow().buffers.count()
    }

    fn filled<'a>(&'a self, filled: &'a SimulatedFilled) -> &'a [u8] {
        &filled.bytes
    }

    fn give_back(&mut self, filled: SimulatedFilled) {
        self.world.borrow_mut().buffers.give_back(filled.buffer);
    }

    fn publish(&mut self) {
        self.world.borrow_mut().buffers.publish();
    }

    unsafe fn free_buffers(&mut self) -> io::Result<()> {
        self.world.borrow_mut().free_buffers();
        Ok(())
    }
}

impl Newcomer for SimulatedSocket {
    fn number(&self) -> u64 {
        if self.world.borrow().is_spare(self.descriptor) {
            return u64::MAX;
        }
        self.descriptor.unsigned_abs().into()
    }

    fn tell(&self, notice: &[u8]) {
        let mut world = self.world.borrow_mut();
        world.peers[self.file].is_sent(notice);
        world.shut(self.file, Shutdown::Write);
        world.tally.refused += 1;
    }
}

impl Drop for SimulatedSocket {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.world.borrow_mut().close(self.descriptor, self.file);
        }
    }
}

impl Deref for SimulatedHeld {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SimulatedHeld {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.world.borrow_mut().let_go(self.bytes.as_ptr());
        }
    }
}

/// The receive buffers.
#[derive(Debug)]
pub(super) struct SimulatedBuffers {
    memory: Vec<Vec<u8>>,
    /// The kernel's, in the order in which it takes them.
    free: VecDeque<u16>,
    /// Given back, and not published yet.
    unpublished: Vec<u16>,
    /// The driver's.
    handed_out: Vec<u16>,
}

impl SimulatedBuffers {
    pub(super) fn new(count: u16) -> Self {
        Self {
            memory: vec![Vec::new(); usize::from(count)],
            free: (0..count).collect(),
            unpublished: Vec::new(),
            handed_out: Vec::new(),
        }
    }

    pub(super) fn count(&self) -> u16 {
        u16::try_from(self.memory.len()).expect("as many as were asked for")
    }

    pub(super) fn is_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Hands out a buffer with these bytes.
    pub(super) fn fill(&mut self, bytes: Vec<u8>) -> u16 {
        let buffer = self.free.pop_front().expect("a free buffer");
        self.memory[usize::from(buffer)] = bytes;
        self.handed_out.push(buffer);
        buffer
    }

    /// What is in a buffer, for the driver to look at.
    pub(super) fn hand_out(&mut self, buffer: u16) -> Vec<u8> {
        std::mem::take(&mut self.memory[usize::from(buffer)])
    }

    pub(super) fn give_back(&mut self, buffer: u16) {
        let place = self.handed_out.iter().position(|held| *held == buffer);
        let place = place.unwrap_or_else(|| panic!("buffer {buffer} is given back twice"));
        self.handed_out.swap_remove(place);
        self.unpublished.push(buffer);
    }

    pub(super) fn publish(&mut self) {
        self.free.extend(self.unpublished.drain(..));
    }

    /// All but those that completions name which were not taken are the kernel's.
    pub(super) fn assert_all_back(&self, not_taken: usize) {
        let back = self.free.len() + self.unpublished.len();
        assert_eq!(back + not_taken, self.memory.len(), "{self:?}");
    }
}
