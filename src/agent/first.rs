//! Waiting for whichever of two things happens first. (tokio's `select!` would need its macros.)
use std::pin::pin;
use std::task::Poll;

/// Which of two futures was ready first.
#[derive(Debug)]
pub(crate) enum First<A, B> {
    Left(A),
    Right(B),
}

/// Waits for the first of two and drops the other; the left one wins a tie, so it is the one that
/// must not starve.
pub(crate) async fn first<A: Future, B: Future>(left: A, right: B) -> First<A::Output, B::Output> {
    let (mut left, mut right) = (pin!(left), pin!(right));
    std::future::poll_fn(|context| match left.as_mut().poll(context) {
        Poll::Ready(it) => Poll::Ready(First::Left(it)),
        Poll::Pending => right.as_mut().poll(context).map(First::Right),
    })
    .await
}

impl<T> First<T, T> {
    /// What happened, where it does not matter which it was.
    pub(crate) fn either(self) -> T {
        match self {
            Self::Left(it) | Self::Right(it) => it,
        }
    }
}
