//! The widest vectors of the machine. Page: `book/src/speed.md`.

use fearless_simd::Level;

/// What `dispatch!` compiles a kernel for and then picks: the best that this machine has.
#[cfg(not(test))]
pub(crate) fn level() -> Level {
    Level::new()
}

#[cfg(test)]
pub(crate) use tests::level;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use ndarray::Array;

    use super::*;
    use crate::{Adam, BatchNorm, Float, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Tensor};

    thread_local! { static ASKED_FOR: Cell<Option<Level>> = const { Cell::new(None) } }

    pub(crate) fn level() -> Level {
        ASKED_FOR.get().unwrap_or_else(Level::new)
    }

    /// All that this machine can run, narrowest first.
    fn levels() -> Vec<Level> {
        let widest = Level::new();
        let mut levels = vec![Level::baseline()];
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        levels.extend(widest.as_avx2().map(Level::Avx2));
        levels.push(widest);
        levels
    }

    /// Outputs and gradients of every layer with a kernel, and of a step of Adam, as bits.
    fn bits<T: Float>() -> Vec<u64> {
        let numbers = |shape: &[usize], seed: usize| {
            let number =
                |i: usize| T::of(((i * 7919 + seed * 104_729) % 1009) as f64 / 100.0 - 3.0);
            let values = (0..shape.iter().product()).map(number).collect();
            Tensor::parameter(Array::from_shape_vec(shape, values).unwrap())
        };
        let (mut matrix, images) = (numbers(&[37, 83], 1), numbers(&[3, 4, 5, 7], 2));
        let mut results = Vec::new();
        let mut note = |y: Tensor<T>, dy: &Tensor<T>, x: &Tensor<T>| {
            results.push(y.backward_from(dy).get(x).unwrap().clone());
            results.push(y);
        };
        let (dy, dy_images) = (numbers(matrix.shape(), 3), numbers(images.shape(), 4));
        note(LayerNorm::new(83).forward(&matrix), &dy, &matrix);
        note(RMSNorm::new(83).forward(&matrix), &dy, &matrix);
        for features in [1, 3, 8, 13] {
            let (narrow, dy) = (numbers(&[9, features], 5), numbers(&[9, features], 6));
            note(LayerNorm::new(features).forward(&narrow), &dy, &narrow);
            note(RMSNorm::new(features).forward(&narrow), &dy, &narrow);
        }
        note(BatchNorm::new(83).forward_train(&matrix), &dy, &matrix);
        note(BatchNorm::new(4).forward_train(&images), &dy_images, &images);
        note(GroupNorm::new(2, 4).forward(&images), &dy_images, &images);
        note(InstanceNorm::new(4).forward(&images), &dy_images, &images);
        let gradients = (&matrix * &dy).sum().backward();
        Adam::new(0.1).step([&mut matrix], &gradients);
        results.push(matrix);
        results.iter().flat_map(Tensor::as_slice).map(|x| x.wide().to_bits()).collect()
    }

    #[test]
    fn every_width_gives_the_same_bits() {
        let of_level = |level| {
            ASKED_FOR.set(Some(level));
            let both = (bits::<f32>(), bits::<f64>());
            ASKED_FOR.set(None);
            both
        };
        let all: Vec<_> = levels().into_iter().map(of_level).collect();
        assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
