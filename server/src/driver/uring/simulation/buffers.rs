//! The receive buffers of a simulated kernel: each belongs to the kernel, or to the driver until it
//! gives it back.

use std::collections::VecDeque;

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
