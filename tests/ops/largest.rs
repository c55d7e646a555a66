//! The largest number along an axis. Page: `book/src/tensor.md`.

use evenkeel::{Float, Tensor, gradient_check};
use ndarray::{Axis, array};
use proptest::prelude::*;

use crate::common::{assert_panics, normal};

#[test]
fn gradients_match_finite_differences() {
    let x = normal(&[2, 3, 5], 1);
    for axis in -3..3 {
        gradient_check([&x], |[x]| x.max_axis(axis)).unwrap();
        gradient_check([&x], |[x]| x - x.max_axis(axis)).unwrap();
    }
    gradient_check([&normal(&[7], 2)], |[x]| x.max_axis(0)).unwrap();
}

/// Equal numbers, or both NaN.
fn same<T: Float>(got: &Tensor<T>, want: &[f64]) -> bool {
    let same = |(got, want): (T, &f64)| got == T::of(*want) || (got.is_nan() && want.is_nan());
    got.value().len() == want.len() && got.to_vec().into_iter().zip(want).all(same)
}

#[test]
fn the_first_of_several_largest_receives_the_gradient() {
    fn check<T: Float>() {
        let (inf, nan) = (f64::INFINITY, f64::NAN);
        // A lane, its largest number, and where that stands.
        for (lane, largest, place) in [
            ([1.0, 3.0, 3.0, 2.0], 3.0, 1),
            ([2.0, 2.0, 2.0, 2.0], 2.0, 0),
            ([-0.0, 0.0, -0.0, -1.0], 0.0, 0),
            ([0.0, -0.0, 0.0, -1.0], 0.0, 0),
            ([-inf, -inf, -inf, -inf], -inf, 0),
            ([-inf, inf, 3.0, inf], inf, 1),
            ([-inf, -2.0, -1e30, -inf], -2.0, 1),
            ([inf, nan, 1.0, nan], nan, 1),
            ([nan, inf, nan, 1.0], nan, 0),
            ([0.0, 1.0, 2.0, nan], nan, 3),
            (
                [0.0, 1e-320, 0.0, -1e-320],
                T::of(1e-320).wide(),
                usize::from(T::of(1e-320) > T::zero()),
            ),
        ] {
            let lane = lane.map(T::of);
            for shape in [[1, 4], [4, 1]] {
                let x = Tensor::parameter(ndarray::arr1(&lane)).reshape(&shape).detach();
                let x = Tensor::parameter(x.value());
                let axis = if shape[0] == 1 { 1 } else { -2 };
                let y = x.max_axis(axis);
                assert_eq!(y.shape(), [1, 1]);
                assert!(same(&y, &[largest]), "of {lane:?}: {y:?}");
                assert_eq!(y.to_vec()[0].is_sign_negative(), lane[place].is_sign_negative());
                let mut want = [0.0; 4];
                want[place] = 7.0;
                let dx = y.backward_from(&Tensor::new(array![[T::of(7.0)]]));
                let dx = dx.get(&x).unwrap();
                assert!(dx.shape() == shape && same(dx, &want), "of {lane:?}: {dx:?}");
                if !largest.is_nan() && shape[0] == 1 {
                    assert_eq!(x.argmax(), [place]);
                }
            }
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn nan_stays_in_its_lane() {
    let x = Tensor::new(array![[1.0, f64::NAN], [3.0, 4.0], [2.0, 5.0]]);
    assert!(same(&x.max_axis(0), &[3.0, f64::NAN]));
    assert!(same(&x.max_axis(1), &[f64::NAN, 4.0, 5.0]));
}

#[test]
fn empty_lanes_are_refused_and_no_lanes_are_none() {
    let x = Tensor::parameter(normal(&[0, 3], 1).value());
    let y = x.max_axis(1);
    assert_eq!(y.shape(), [0, 1]);
    assert_eq!(y.sum().backward().get(&x).unwrap().shape(), [0, 3]);
    assert_panics("max_axis: expected at least one number along axis 0, got shape [0, 3]", || {
        x.max_axis(0)
    });
    assert_panics("max_axis: expected at least one number along axis 1, got shape [2, 0]", || {
        normal(&[2, 0], 1).max_axis(-1)
    });
    assert_panics("argmax: expected rows of at least one number, got shape [2, 0]", || {
        normal(&[2, 0], 1).argmax()
    });
    assert!(normal(&[0, 3], 1).argmax().is_empty());
    assert_panics("max_axis: axis 2 is out of range for shape [0, 3]: expected -2 to 1", || {
        x.max_axis(2)
    });
    assert_panics("max_axis: axis 0 is out of range for shape []: expected -0 to -1", || {
        normal(&[], 1).max_axis(0)
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_ndarray_folds(shape in prop::collection::vec(1..5usize, 1..5), axis in 0..4usize, seed in 0..1000u64) {
        let axis = axis % shape.len();
        // Few different numbers, so that several are often largest.
        let x = Tensor::parameter(normal(&shape, seed).value().mapv(f64::round));
        let y = x.max_axis(axis as isize);
        let want = x.value().fold_axis(Axis(axis), f64::NEG_INFINITY, |a, b| a.max(*b));
        prop_assert_eq!(y.value(), want.insert_axis(Axis(axis)));
        // One number of each lane, and one that is largest, gets its whole gradient.
        let dy = normal(y.shape(), seed + 1);
        let dx = y.backward_from(&dy);
        let dx = dx.get(&x).unwrap();
        prop_assert_eq!(dx.sum_axis(axis as isize), dy);
        for ((dx, x), y) in dx.to_vec().iter().zip(x.to_vec()).zip(y.broadcast_to(x.shape()).to_vec()) {
            prop_assert!(*dx == 0.0 || x == y);
        }
    }
}
