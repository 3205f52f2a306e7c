//! The promise that PID 1 allocates nothing once the child runs, kept by debug builds: there the
//! heap is sealed, and who allocates ends the process.
#[cfg(debug_assertions)]
mod sealed {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::sync::atomic::{AtomicBool, Ordering};

    pub(super) static SEALED: AtomicBool = AtomicBool::new(false);

    struct Heap;

    // SAFETY: every call goes to the system's allocator unchanged, or does not return.
    unsafe impl GlobalAlloc for Heap {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            if SEALED.swap(false, Ordering::Relaxed) {
                super::super::stderr::line(format_args!(
                    "bug: init allocates {} bytes",
                    layout.size()
                ));
                std::process::abort();
            }
            // SAFETY: the caller's contract is System's.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
            // SAFETY: the caller's contract is System's.
            unsafe { System.dealloc(start, layout) }
        }
    }

    #[global_allocator]
    static HEAP: Heap = Heap;
}

/// From here on an allocation is a bug, and in debug builds the end.
pub(crate) fn seal() {
    #[cfg(debug_assertions)]
    sealed::SEALED.store(true, std::sync::atomic::Ordering::Relaxed);
}

/// The forked side is a process of its own: it may allocate.
pub(crate) fn open() {
    #[cfg(debug_assertions)]
    sealed::SEALED.store(false, std::sync::atomic::Ordering::Relaxed);
}
