//! Taking little memory, and giving back the pages of our own file that nobody has written to.
use std::ffi::c_void;

/// Room that takes no memory before it is used: the kernel's zeroes, never built on our stack.
pub(crate) fn zeroed<const N: usize>() -> Box<[u8; N]> {
    vec![0; N].into_boxed_slice().try_into().unwrap_or_else(|_| Box::new([0; N]))
}

/// Forgets the clean pages of our own program: they come back from the page cache when they are
/// used. It lowers what this process has mapped, not what the machine has cached.
/// Source: madvise(2), MADV_DONTNEED; getauxval(3), AT_PHDR; elf(5).
pub(crate) fn drop_clean_pages() {
    for (start, length) in read_only_segments() {
        // SAFETY: the range lies in a private file mapping that was never written (no PF_W), so
        // what is forgotten is read again from the same file, unchanged: an executable that runs
        // cannot be written (ETXTBSY).
        unsafe { libc::madvise(start as *mut c_void, length, libc::MADV_DONTNEED) };
    }
}

/// Whole pages of our loaded segments that are not writable.
fn read_only_segments() -> impl Iterator<Item = (usize, usize)> {
    const PAGE: usize = 4096;
    let headers = program_headers();
    let base = headers
        .iter()
        .find(|it| it.p_type == libc::PT_PHDR)
        .map_or(0, |it| (headers.as_ptr() as usize).wrapping_sub(it.p_vaddr as usize));
    headers
        .iter()
        .filter(|it| it.p_type == libc::PT_LOAD && it.p_flags & libc::PF_W == 0)
        .map(move |it| {
            let start = base.wrapping_add(it.p_vaddr as usize);
            let end = start.wrapping_add(it.p_memsz as usize) & !(PAGE - 1);
            let start = start.next_multiple_of(PAGE);
            (start, end.saturating_sub(start))
        })
        .filter(|(_, length)| *length > 0)
}

fn program_headers() -> &'static [libc::Elf64_Phdr] {
    // SAFETY: getauxval only reads what the kernel left on our stack.
    let start = unsafe { libc::getauxval(libc::AT_PHDR) } as *const libc::Elf64_Phdr;
    // SAFETY: as above.
    let count = unsafe { libc::getauxval(libc::AT_PHNUM) } as usize;
    if start.is_null() {
        return &[];
    }
    // SAFETY: the kernel says that `count` headers are mapped there, for as long as we run.
    unsafe { std::slice::from_raw_parts(start, count) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_runs_on_after_it_has_dropped_its_pages() {
        assert!(read_only_segments().count() > 0);
        drop_clean_pages();
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
