//! What is passed on, and what is ours.
use crate::sys::Signal;
use crate::sys::signals::Arrived;

/// The signal for the child, if this one is.
pub(crate) fn for_child(arrived: Arrived) -> Option<Signal> {
    let ours = arrived.signal == Signal::CHLD || arrived.own_fault;
    (!ours).then_some(arrived.signal)
}

/// Signals that came before there was a child: each number once, delivered after the start.
#[derive(Debug, Default)]
pub(crate) struct Kept(u64);

impl Kept {
    pub(crate) fn keep(&mut self, signal: Signal) {
        self.0 |= bit(signal);
    }

    /// Takes one out, the lowest number first.
    pub(crate) fn take(&mut self) -> Option<Signal> {
        let number = u8::try_from(self.0.trailing_zeros()).ok()?.saturating_add(1);
        let signal = Signal::new(number).filter(|_| self.0 != 0)?;
        self.0 &= !bit(signal);
        Some(signal)
    }
}

fn bit(signal: Signal) -> u64 {
    1_u64.checked_shl(u32::from(signal.number().saturating_sub(1))).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_signals_are_for_the_child_but_the_kernels_word_on_what_we_did() {
        let arrived = |signal, own_fault| Arrived { signal, own_fault };
        for number in 1..=64 {
            let signal = Signal::new(number).expect("a signal");
            let expected = (signal != Signal::CHLD).then_some(signal);
            assert_eq!(for_child(arrived(signal, false)), expected);
            assert_eq!(for_child(arrived(signal, true)), None);
        }
    }

    #[test]
    fn what_was_kept_comes_out_once_each() {
        let mut kept = Kept::default();
        for number in [64, 1, 10, 10] {
            kept.keep(Signal::new(number).expect("a signal"));
        }
        let taken: Vec<u8> = std::iter::from_fn(|| kept.take()).map(Signal::number).collect();
        assert_eq!(taken, [1, 10, 64]);
    }
}
