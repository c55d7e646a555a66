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
    use crate::{BatchNorm, GroupNorm, LayerNorm, RMSNorm, Tensor};

    fn ordinary(shape: &[usize]) -> Tensor<f32> {
        let number = |i: usize| ((i * 7919) % 1009) as f32 / 100.0 - 3.0;
        let values = (0..shape.iter().product()).map(number).collect();
        Tensor::parameter(Array::from_shape_vec(IxDyn(shape), values).unwrap())
    }

    #[test]
    fn ordinary_numbers_take_the_fast_loops() {
        for shape in [[7, 3], [7, 33], [5, 300]] {
            let x = ordinary(&shape) + 1000.0;
            let taken = during(|| {
                let n = shape[1];
                let layers = [LayerNorm::new(n).forward(&x), RMSNorm::new(n).forward(&x)];
                layers.iter().for_each(|y| drop(y.backward_from(&x)));
            });
            assert!(taken.is_empty(), "{shape:?}: {taken:?}");
            let taken =
                during(|| drop(BatchNorm::new(shape[1]).forward_train(&x).backward_from(&x)));
            assert_eq!(taken, BTreeMap::from([("columns", 4)]), "{shape:?}");
        }
        let x = ordinary(&[5, 4, 37]);
        let taken = during(|| {
            drop(BatchNorm::new(4).forward_train(&x).backward_from(&x));
            drop(GroupNorm::new(2, 4).forward(&x).backward_from(&x));
        });
        assert!(taken.is_empty(), "{taken:?}");
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
