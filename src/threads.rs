//! Large loops on all threads. Page: `book/src/tensor.md`.
//!
//! Work is cut into pieces by its size alone, never by the number of threads, and what the pieces
//! add up is added in their order. So one thread and two give the same bits.

use rayon::prelude::*;

use crate::Float;

/// From here on a second thread pays: waking it costs some 10 µs, in which one core runs through
/// about this many numbers.
pub(crate) const MANY: usize = 100_000;
/// How many pieces work of that size is cut into: more than there are cores, so that none waits long.
pub(crate) const PIECES: usize = 16;

/// How many of `items`, which hold `numbers` together, make one piece.
pub(crate) fn piece(items: usize, numbers: usize) -> usize {
    if numbers < MANY { items.max(1) } else { items.div_ceil(PIECES) }
}

/// Runs `work` on each piece, on all threads if there is more than one of both.
pub(crate) fn each<I: Send, R: Send>(
    pieces: impl ExactSizeIterator<Item = I>,
    work: impl Fn(I) -> R + Sync + Send,
) -> Vec<R> {
    if pieces.len() <= 1 || rayon::current_num_threads() == 1 {
        return pieces.map(work).collect();
    }
    pieces.collect::<Vec<_>>().into_par_iter().map(work).collect()
}

/// Writes f of each number of `x` to `y`.
pub(crate) fn map<T: Float>(y: &mut [T], x: &[T], f: impl Fn(T) -> T + Copy + Sync + Send) {
    let piece = piece(y.len(), y.len());
    each(y.chunks_mut(piece).zip(x.chunks(piece)), |(y, x)| {
        // One length that the compiler knows of, and an `f` of our own: nothing to check or to load
        // again inside of the loop.
        let (x, f) = (&x[..y.len()], f);
        for i in 0..y.len() {
            y[i] = f(x[i]);
        }
    });
}

/// Writes f of each pair of numbers of `a` and `b` to `y`.
pub(crate) fn zip<T: Float>(
    y: &mut [T],
    a: &[T],
    b: &[T],
    f: impl Fn(T, T) -> T + Copy + Sync + Send,
) {
    let piece = piece(y.len(), y.len());
    each(y.chunks_mut(piece).zip(a.chunks(piece)).zip(b.chunks(piece)), |((y, a), b)| {
        let (a, b, f) = (&a[..y.len()], &b[..y.len()], f);
        for i in 0..y.len() {
            y[i] = f(a[i], b[i]);
        }
    });
}
