//! Large loops on all threads. Page: `book/src/tensor.md`.
//!
//! Work is cut into pieces by its size alone, never by the number of threads, and what the pieces
//! add up is added in their order. So one thread and two give the same bits.

use std::sync::Mutex;

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

/// Runs `work` on each piece, on all threads if there is more than one of both; the results in the
/// pieces' order.
pub(crate) fn each<I: Send, R: Send>(
    pieces: impl ExactSizeIterator<Item = I>,
    work: impl Fn(I) -> R + Sync + Send,
) -> Vec<R> {
    if pieces.len() <= 1 || rayon::current_num_threads() == 1 {
        return pieces.map(work).collect();
    }
    let slots: Vec<_> = pieces.map(|piece| Mutex::new((Some(piece), None))).collect();
    at_once(slots.len(), &|number| {
        let mut slot = slots[number].lock().expect("each slot is used once");
        let (piece, result) = &mut *slot;
        *result = piece.take().map(&work);
    });
    let results =
        slots.into_iter().map(|slot| slot.into_inner().ok().and_then(|(_, result)| result));
    results.map(|result| result.expect("every piece was worked on")).collect()
}

/// Calls `work` with each number below `pieces`. Behind a `dyn`, so that rayon's machinery is
/// compiled once and not for every loop of the crate.
fn at_once(pieces: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..pieces).into_par_iter().for_each(work);
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
