//! Large loops on all threads. Page: `book/src/speed.md`.
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

#[cfg(test)]
mod tests {
    use ndarray::Array;
    use rayon::ThreadPoolBuilder;

    use super::*;
    use crate::{Adam, BatchNorm, GroupNorm, LayerNorm, RMSNorm, Tensor};

    /// Outputs and gradients at sizes for which more than one thread is at work.
    fn results() -> Vec<Tensor<f32>> {
        let numbers = |shape: &[usize], seed: usize| {
            let number = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 100.0 - 3.0;
            let values = (0..shape.iter().product()).map(number).collect();
            Tensor::parameter(Array::from_shape_vec(shape, values).unwrap())
        };
        let (mut matrix, images) = (numbers(&[301, 401], 1), numbers(&[5, 6, 59, 61], 2));
        assert!(matrix.value().len() > MANY && images.value().len() > MANY);
        let (dy, dy_images) = (numbers(matrix.shape(), 3), numbers(images.shape(), 4));
        let mut results = Vec::new();
        let mut note = |y: Tensor<f32>, dy: &Tensor<f32>, x: &Tensor<f32>, gamma: &Tensor<f32>| {
            let gradients = y.backward_from(dy);
            results.extend([x, gamma].map(|leaf| gradients.get(leaf).unwrap().clone()));
            results.push(y);
        };
        let layer = LayerNorm::new(401);
        note(layer.forward(&matrix), &dy, &matrix, &layer.gamma);
        let layer = RMSNorm::new(401);
        note(layer.forward(&matrix), &dy, &matrix, &layer.gamma);
        let mut layer = BatchNorm::new(401);
        note(layer.forward_train(&matrix), &dy, &matrix, &layer.gamma);
        let mut layer = BatchNorm::new(6);
        note(layer.forward_train(&images), &dy_images, &images, &layer.gamma);
        let layer = GroupNorm::new(3, 6);
        note(layer.forward(&images), &dy_images, &images, &layer.gamma);
        let gradients = (&matrix * &dy).relu().sum().backward();
        Adam::new(0.1).step([&mut matrix], &gradients);
        results.push(matrix);
        results
    }

    #[test]
    fn work_is_cut_by_its_size_alone() {
        assert_eq!([(1, 99_999), (7, 99_999), (0, 0)].map(|(n, all)| piece(n, all)), [1, 7, 1]);
        assert_eq!(
            [(160, 100_000), (161, 100_000), (1, 200_000)].map(|(n, all)| piece(n, all)),
            [10, 11, 1]
        );
    }

    #[test]
    fn one_thread_and_several_give_the_same_bits() {
        let with = |threads: usize| {
            let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(results)
        };
        let one = with(1);
        assert_eq!(one, with(2));
        assert_eq!(one, with(5));
    }
}
