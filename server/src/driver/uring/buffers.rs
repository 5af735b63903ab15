//! The ring of receive buffers that all connections of a thread share.
//!
//! The kernel takes a buffer from the head of the ring when bytes are there for a connection, so an
//! idle connection holds none. We read it and put it back at the tail. Invariant: a buffer belongs
//! to the kernel from the moment its entry is published until a completion names it, and to us from
//! then until it is given back.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The only group of buffers a ring of ours has.
pub(super) const GROUP: u16 = 0;

/// What the kernel demands of the address of a buffer ring.
const PAGE_BYTES: usize = 4096;

/// A buffer that a completion named, and how much came in it. Whoever has it owns the buffer.
#[derive(Debug)]
pub(super) struct Filled {
    buffer: u16,
    bytes: u32,
}

impl Filled {
    /// # Safety
    /// A completion has just named the buffer, and nobody else has it.
    pub(super) unsafe fn new(buffer: u16, bytes: u32) -> Self {
        Self { buffer, bytes }
    }
}

/// A ring of `count` buffers of `buffer_bytes` each.
#[derive(Debug)]
pub(super) struct Buffers {
    /// The entries that the kernel reads; the tail lies in the first of them.
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    buffer_bytes: u32,
    /// Where the next buffer is put back.
    tail: u16,
}

impl Buffers {
    /// Allocates and fills the ring. `count` must be a power of two, at most 2^15.
    pub(super) fn new(count: u16, buffer_bytes: u32) -> Self {
        assert!(count.is_power_of_two() && count <= 1 << 15 && buffer_bytes > 0);
        let mut buffers = Self {
            entries: allocate(entries_layout(count)).cast(),
            memory: allocate(memory_layout(count, buffer_bytes)),
            count,
            buffer_bytes,
            tail: 0,
        };
        (0..count).for_each(|buffer| buffers.give_back(Filled { buffer, bytes: 0 }));
        buffers.publish();
        buffers
    }

    /// Makes the ring known to the kernel.
    ///
    /// # Errors
    /// When the kernel has no buffer rings (before 5.19), or no memory to pin.
    ///
    /// # Safety
    /// The buffers must not be dropped before they are unregistered or the ring is closed, and no
    /// receive may be in flight then.
    pub(super) unsafe fn register(&self, submitter: &Submitter<'_>) -> io::Result<()> {
        // SAFETY: the entries are page-aligned, initialised, `count` long, and live as long as the
        // caller promises.
        unsafe {
            submitter.register_buf_ring_with_flags(
                self.entries.as_ptr() as u64,
                self.count,
                GROUP,
                0,
            )
        }
    }

    /// What came in a buffer.
    pub(super) fn filled<'a>(&'a self, filled: &'a Filled) -> &'a [u8] {
        assert!(filled.buffer < self.count && filled.bytes <= self.buffer_bytes);
        // SAFETY: the range lies in our allocation, was zeroed at least, and the kernel does not
        // write to it: `filled` is ours until it is given back.
        unsafe {
            std::slice::from_raw_parts(
                self.memory.as_ptr().add(self.offset(filled.buffer)),
                filled.bytes as usize,
            )
        }
    }

    /// How many buffers there are.
    pub(super) fn count(&self) -> u16 {
        self.count
    }

    /// Puts a buffer back. The kernel sees it after [`Self::publish`].
    #[expect(clippy::needless_pass_by_value, reason = "it is the driver's no more")]
    pub(super) fn give_back(&mut self, filled: Filled) {
        let buffer = filled.buffer;
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: the index is below `count`. The kernel reads entries only up to the published
        // tail, and this one lies behind it, for it holds at most `count` buffers. The fields are
        // written one by one since the first entry shares its bytes with the tail.
        let entry = unsafe { &mut *self.entries.as_ptr().add(index) };
        // SAFETY: the offset lies in the allocation.
        let address = unsafe { self.memory.as_ptr().add(self.offset(buffer)) };
        entry.set_addr(address as u64);
        entry.set_len(self.buffer_bytes);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Shows the kernel the buffers that were given back.
    pub(super) fn publish(&self) {
        // SAFETY: the first entry is initialised, and the address that comes back is that of its
        // last two bytes, aligned for a `u16`, which both sides access atomically from here on.
        let tail = unsafe { &*BufRingEntry::tail(self.entries.as_ptr()).cast::<AtomicU16>() };
        tail.store(self.tail, Ordering::Release);
    }

    fn offset(&self, buffer: u16) -> usize {
        usize::from(buffer) * self.buffer_bytes as usize
    }
}

impl Drop for Buffers {
    fn drop(&mut self) {
        // SAFETY: both were allocated with these layouts, and are not used by the kernel any more
        // as promised to `register`.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), entries_layout(self.count));
            dealloc(
                self.memory.as_ptr(),
                memory_layout(self.count, self.buffer_bytes),
            );
        }
    }
}

fn entries_layout(count: u16) -> Layout {
    let bytes = usize::from(count) * size_of::<BufRingEntry>();
    Layout::from_size_align(bytes, PAGE_BYTES).expect("at most 2^15 entries")
}

fn memory_layout(count: u16, buffer_bytes: u32) -> Layout {
    let bytes = usize::from(count) * buffer_bytes as usize;
    Layout::from_size_align(bytes, PAGE_BYTES).expect("buffers that fit into memory")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the layout is not empty, since neither count nor size is 0.
    let memory = unsafe { alloc_zeroed(layout) };
    NonNull::new(memory).unwrap_or_else(|| handle_alloc_error(layout))
}
