//! Large loops on all threads. Page: `book/src/speed.md`.
//!
//! Work is cut into pieces by its size alone, not by the number of threads. The sums of the pieces
//! are added in the order of the pieces. So one thread and two threads give the same bits.

use std::sync::Mutex;

use rayon::prelude::*;

/// From this many numbers on a second thread pays: waking it costs about 10 µs, in which one core
/// processes about this many.
pub(crate) const MANY: usize = 100_000;
/// Number of pieces for work of that size: more than there are cores, so that no core waits long.
pub(crate) const PIECES: usize = 16;

// ANCHOR: piece
/// How many of `items` make one piece. The items hold `numbers` numbers in total.
pub(crate) fn piece(items: usize, numbers: usize) -> usize {
    if numbers < MANY { items.max(1) } else { items.div_ceil(PIECES) }
}
// ANCHOR_END: piece

/// Runs `work` on each piece, on all threads if there are several pieces and threads. `work` writes
/// its result to a place that the piece contains.
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

/// Calls `work` with each number below `pieces`. `dyn`, so that rayon's code is compiled once and
/// not for every loop of the crate.
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
        // Slices of one length, known to the compiler, need no bounds checks in the loop. A local
        // copy of `f` is loaded only once.
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
