//! The simulated kernel as the driver sees it.

use std::cell::RefCell;
use std::collections::BTreeMap;
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
use crate::driver::uring::kernel::Kernel;
use crate::driver::uring::operation::{Completion, Operation, Target};
use crate::driver::uring::queue::Wait;

pub(super) struct SimulatedKernel {
    world: Rc<RefCell<World>>,
    /// What is in the buffers that completions named and that were not given back.
    filled: BTreeMap<u16, Vec<u8>>,
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
            filled: BTreeMap::new(),
        }
    }

    pub(super) fn world(&self) -> Rc<RefCell<World>> {
        Rc::clone(&self.world)
    }
}

impl Kernel for SimulatedKernel {
    type Socket = SimulatedSocket;
    type Held = SimulatedHeld;

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

    fn reap(&mut self) -> Option<Completion> {
        let mut world = self.world.borrow_mut();
        let completion = world.completions.pop_front()?;
        if let Some(buffer) = completion.buffer {
            self.filled.insert(buffer, world.buffers.hand_out(buffer));
        }
        Some(completion)
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

    fn refuse_waiting(&mut self, mut refusal: impl FnMut() -> Bytes) {
        let mut world = self.world.borrow_mut();
        while let Some(file) = world.waiting.pop_front() {
            let peer = &mut world.peers[file];
            peer.is_sent(&refusal());
            peer.server_ended = true;
        }
    }

    fn refill_reserve(&mut self) {}

    unsafe fn adopt(&mut self, descriptor: u32) -> SimulatedSocket {
        let descriptor = descriptor.cast_signed();
        SimulatedSocket {
            descriptor,
            file: self.world.borrow().descriptors[&descriptor],
            world: self.world(),
        }
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

    fn filled(&self, buffer: u16, bytes: u32) -> &[u8] {
        &self.filled[&buffer][..bytes as usize]
    }

    fn give_back(&mut self, buffer: u16) {
        self.filled.remove(&buffer);
        self.world.borrow_mut().buffers.give_back(buffer);
    }

    fn publish(&mut self) {
        self.world.borrow_mut().buffers.publish();
    }

    fn free_buffers(&mut self) -> io::Result<()> {
        self.world.borrow_mut().free_buffers();
        Ok(())
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
