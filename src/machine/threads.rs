//! Large loops on all threads. Page: `book/src/speed.md`.
//!
//! Work is cut into pieces by its size alone, never by the number of threads, and what the pieces
//! add up is added in their order. So one thread and two give the same bits.

use std::sync::Mutex;

use rayon::prelude::*;

/// From here on a second thread pays: waking it costs some 10 µs, in which one core runs through
/// about this many numbers.
pub(crate) const MANY: usize = 100_000;
/// How many pieces work of that size is cut into: more than there are cores, so that none waits long.
pub(crate) const PIECES: usize = 16;

// ANCHOR: piece
/// How many of `items`, which hold `numbers` together, make one piece.
pub(crate) fn piece(items: usize, numbers: usize) -> usize {
    if numbers < MANY { items.max(1) } else { items.div_ceil(PIECES) }
}
// ANCHOR_END: piece

/// Runs `work` on each piece, on all threads if there is more than one of both. A result goes into a
/// place that came with the piece.
pub(crate) fn each<I: Send>(
    pieces: impl ExactSizeIterator<Item = I>,
    work: impl Fn(I) + Sync + Send,
) {
    if pieces.len() <= 1 || rayon::current_num_threads() == 1 {
        return pieces.for_each(work);
    }
    let pieces: Vec<_> = pieces.map(|piece| Mutex::new(Some(piece))).collect();
    at_once(pieces.len(), &|number| {
        let piece = pieces[number].lock().expect("each piece is taken once").take();
        work(piece.expect("each piece is taken once"));
    });
}

/// Calls `work` with each number below `pieces`. Behind a `dyn`, so that rayon's machinery is
/// compiled once and not for every loop of the crate.
fn at_once(pieces: usize, work: &(dyn Fn(usize) + Sync)) {
    (0..pieces).into_par_iter().for_each(work);
}

/// Writes f of each number of `x` to `y`.
pub(crate) fn map<T: Copy + Send + Sync>(
    y: &mut [T],
    x: &[T],
    f: impl Fn(T) -> T + Copy + Sync + Send,
) {
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
pub(crate) fn zip<T: Copy + Send + Sync>(
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_cut_by_its_size_alone() {
        assert_eq!([(1, 99_999), (7, 99_999), (0, 0)].map(|(n, all)| piece(n, all)), [1, 7, 1]);
        assert_eq!(
            [(160, 100_000), (161, 100_000), (1, 200_000)].map(|(n, all)| piece(n, all)),
            [10, 11, 1]
        );
    }
}
