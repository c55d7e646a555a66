//! Which loops a unit test has gone through. Page: `book/src/speed.md`.
//!
//! All of them give the same numbers, only not at the same speed.

use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! { static TAKEN: RefCell<BTreeMap<&'static str, usize>> = RefCell::default(); }

/// Notes that this thread went through the loop of that name.
pub(crate) fn note(name: &'static str) {
    TAKEN.with_borrow_mut(|taken| *taken.entry(name).or_default() += 1);
}

/// How often `work` went through each loop, on one thread.
pub(crate) fn during(work: impl FnOnce()) -> BTreeMap<&'static str, usize> {
    TAKEN.take();
    work();
    TAKEN.take()
}

mod tests {
    use ndarray::{Array, Array2, IxDyn};

    use super::*;
    use crate::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Tensor};

    fn ordinary(shape: &[usize]) -> Tensor<f32> {
        let number = |i: usize| ((i * 7919) % 1009) as f32 / 100.0 - 3.0;
        let values = (0..shape.iter().product()).map(number).collect();
        Tensor::parameter(Array::from_shape_vec(IxDyn(shape), values).unwrap())
    }

    /// Far from 0, where only an origin in their midst lets one pass be trusted.
    #[test]
    fn ordinary_numbers_take_the_fast_loops() {
        for features in (2..=70).chain([300, 1025, 2100]) {
            let x = ordinary(&[7, features]) + 1000.0;
            let taken = during(|| {
                drop(LayerNorm::new(features).forward(&x).backward_from(&x));
                drop(RMSNorm::new(features).forward(&x).backward_from(&x));
            });
            assert!(taken.is_empty(), "{features} features: {taken:?}");
            let taken = during(|| {
                drop(BatchNorm::new(features).forward_train(&x).backward_from(&x));
            });
            assert_eq!(taken, BTreeMap::from([("columns", 4)]), "{features} columns");
        }
        for positions in (2..=70).chain([300, 1025, 2100]) {
            let x = ordinary(&[5, 4, positions]) + 1000.0;
            let taken = during(|| {
                drop(BatchNorm::new(4).forward_train(&x).backward_from(&x));
                drop(GroupNorm::new(2, 4).forward(&x).backward_from(&x));
                drop(InstanceNorm::new(4).forward_train(&x).backward_from(&x));
            });
            assert!(taken.is_empty(), "{positions} positions: {taken:?}");
        }
    }

    #[test]
    fn only_the_rows_that_need_care_get_it() {
        let mut x = Array2::from_shape_fn((4, 40), |(i, j)| ((i * 5 + j * 7) % 11) as f32);
        x.row_mut(1).fill(2.0); // equal
        x.row_mut(3).fill(3e38);
        x.row_mut(3)[1] = -3e38; // distances overflow
        let x = Tensor::parameter(x);
        let layer = LayerNorm::new(40);
        let taken = during(|| drop(layer.forward(&x)));
        assert_eq!(taken, BTreeMap::from([("careful", 2), ("far", 2)]));
        let y = layer.forward(&x);
        // Equal numbers without a spread of their own have a backward pass like others.
        let taken = during(|| drop(y.backward_from(&x)));
        assert_eq!(taken, BTreeMap::from([("far", 1)]));
    }
}
