//! Random numbers from the kernel.

/// 64 random bits. Early in a machine's boot the kernel may have none yet: then the time's, which
/// is enough for a jitter or an id and too little for a secret. Source: getrandom(2).
pub(crate) fn bits() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: getrandom writes at most as many bytes as `bytes` has.
    let got =
        unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), libc::GRND_NONBLOCK) };
    if got == 8 {
        return u64::from_ne_bytes(bytes);
    }
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    now.as_secs().rotate_left(32)
        ^ u64::from(now.subsec_nanos()).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}
