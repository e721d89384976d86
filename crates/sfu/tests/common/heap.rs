//! Counts what the code under test takes from the heap, on the thread of the test.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// To be made the `#[global_allocator]` of a test.
#[derive(Debug)]
pub struct Counting;

/// What was taken and given back so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Taken {
    /// How often something was taken, or moved to grow.
    pub times: u64,
    /// Bytes that are in use.
    pub live: i64,
}

thread_local! {
    // Without a destructor and without lazy initialization: safe to use while allocating.
    static TAKEN: Cell<Taken> = const { Cell::new(Taken { times: 0, live: 0 }) };
}

/// What this thread has taken from the heap since it began.
pub fn taken() -> Taken {
    TAKEN.with(Cell::get)
}

fn count(times: u64, bytes: i64) {
    // A thread that ends has no counters any more.
    let _ = TAKEN.try_with(|cell| {
        let Taken { times: before, live } = cell.get();
        cell.set(Taken { times: before + times, live: live + bytes });
    });
}

// SAFETY: everything is passed on to the allocator of the system as it is.
#[allow(unsafe_code, reason = "an allocator is unsafe by nature")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed() as i64);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size().cast_signed() as i64));
        // SAFETY: the pointer is from `alloc` or `realloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size.cast_signed() as i64 - layout.size().cast_signed() as i64);
        // SAFETY: the pointer is from `alloc` or `realloc` above, with this layout.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size().cast_signed() as i64);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }
}
