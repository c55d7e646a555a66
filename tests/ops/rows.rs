//! What looks at whole rows: softmax, log-softmax, argmax. Page: `book/src/tensor.md`.

use approx::assert_relative_eq;
use evenkeel::{Float, Tensor};
use ndarray::{ArrayView1, Axis, array, s};

use crate::common::normal;

#[test]
fn gradients_along_an_inner_axis_match_the_worked_example() {
    // Rows along axis 1: (ln 1, ln 3) with softmax (1/4, 3/4), and (0, 0) with (1/2, 1/2).
    let x = Tensor::parameter(array![[[0.0, 0.0], [3f64.ln(), 0.0]]]);
    let dy = Tensor::new(array![[[1.0, 2.0], [0.0, 4.0]]]);
    for axis in [1, -2] {
        // y · (dy - Σ dy·y): the sums are 1/4 and 3.
        let y = x.softmax(axis);
        let want = Tensor::new(array![[[0.25, 0.5], [0.75, 0.5]]]);
        assert_relative_eq!(y, want, epsilon = 1e-15);
        let want = Tensor::new(array![[[0.1875, -0.5], [-0.1875, 0.5]]]);
        let dx = y.backward_from(&dy);
        assert_relative_eq!(dx.get(&x).unwrap(), &want, epsilon = 1e-15);
        // dy - y · Σ dy: the sums are 1 and 6.
        let y = x.log_softmax(axis);
        let [quarter, half] = [4f64, 2.0].map(|p| -p.ln());
        let want = Tensor::new(array![[[quarter, half], [3f64.ln() + quarter, half]]]);
        assert_relative_eq!(y, want, epsilon = 1e-15);
        let want = Tensor::new(array![[[0.75, -1.0], [-0.75, 1.0]]]);
        let dx = y.backward_from(&dy);
        assert_relative_eq!(dx.get(&x).unwrap(), &want, epsilon = 1e-15);
    }
}

#[test]
fn rows_of_one_number_are_certain_and_have_no_gradient() {
    let x = Tensor::parameter(array![[[3.0], [-1e300]], [[0.0], [f64::NAN]]]);
    let dy = normal(&[2, 2, 1], 1);
    let rows = [(x.softmax(-1), 1.0), (x.log_softmax(-1), 0.0)];
    for (y, certain) in rows {
        let dx = y.backward_from(&dy);
        let dx = dx.get(&x).unwrap().value();
        for at in [[0, 0, 0], [0, 1, 0], [1, 0, 0]] {
            assert_eq!((y.value()[at], dx[at]), (certain, 0.0));
        }
        assert!(y.value()[[1, 1, 0]].is_nan() && dx[[1, 1, 0]].is_nan());
    }
}

#[test]
fn the_difference_of_two_finite_numbers_may_be_infinite() {
    fn of<T: Float>() {
        // The largest number less the smallest does not fit; what is 0 next to the other is 0.
        let (max, inf) = (T::max_value(), T::infinity());
        let (zero, one, two) = (T::zero(), T::one(), T::of(2.0));
        let x = Tensor::parameter(array![[max, -max, max], [-max, -max, -inf]]);
        let dy = Tensor::new(array![[one, two, one + two], [two, one, one]]);
        let half = T::of(0.5);
        let y = x.softmax(-1);
        assert_eq!(y, Tensor::new(array![[half, zero, half], [half, half, zero]]));
        let quarter = T::of(0.25); // (2 - 1.5) / 2
        let want = array![[-half, zero, half], [quarter, -quarter, zero]]; // sums: 2 and 1.5
        assert_eq!(y.backward_from(&dy).get(&x).unwrap(), &Tensor::new(want));

        let y = x.log_softmax(-1);
        assert_eq!(y.value()[[0, 1]], -inf); // -2·max has no other name
        assert_eq!(y.value()[[1, 2]], -inf);
        for at in [[0, 0], [0, 2], [1, 0], [1, 1]] {
            assert_eq!(y.value()[at], T::of(-(2f64.ln())));
        }
        // dy - y·Σ dy: the sums are 6 and 4, the probabilities 1/2 and 0.
        let dx = y.backward_from(&dy);
        let want = [[-2.0, 2.0, 0.0], [0.0, -1.0, 1.0]];
        for (got, want) in dx.get(&x).unwrap().value().iter().zip(want.as_flattened()) {
            assert!((got.wide() - want).abs() < 1e-6, "{got} {want}");
        }
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn gradients_of_rows_with_infinities_or_nan_stay_in_these_rows() {
    fn of<T: Float>() {
        let [nan, inf, zero] = [T::nan(), T::infinity(), T::zero()];
        // Rows along axis 1, one in each column.
        let x = Tensor::parameter(array![[
            [zero, -inf, inf, nan, zero],
            [-inf, -inf, zero, zero, zero]
        ]]);
        let dy = Tensor::new(normal(&[1, 2, 5], 1).value().mapv(T::of));
        for y in [x.softmax(1), x.log_softmax(1).exp()] {
            let dx = y.backward_from(&dy);
            let dx = dx.get(&x).unwrap().value();
            let all = |row: ArrayView1<T>, holds: fn(T) -> bool| row.iter().all(|&x| holds(x));
            for broken in 1..4 {
                assert!(all(y.value().slice(s![0, .., broken]), T::is_nan));
                assert!(all(dx.slice(s![0, .., broken]), T::is_nan));
            }
            assert_eq!(y.value().slice(s![0, .., 0]).to_vec(), [T::one(), zero]);
            assert!(all(dx.slice(s![0, .., 0]), |d| d == T::zero()));
            assert!(all(dx.slice(s![0, .., 4]), T::is_finite));
        }
        // Of log-softmax alone: dy - p·Σ dy with p = (1, 0).
        let dx = x.log_softmax(1).backward_from(&dy);
        let (dx, dy) = (dx.get(&x).unwrap().value(), dy.value());
        let want = -dy[[0, 1, 0]].wide();
        assert_relative_eq!(dx[[0, 0, 0]].wide(), want, epsilon = 1e-6);
        assert_eq!(dx[[0, 1, 0]], dy[[0, 1, 0]]);
        assert!(dx.index_axis(Axis(2), 4).iter().all(|d| d.is_finite()));
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn argmax_takes_the_first_of_the_largest_in_each_row_of_any_rank() {
    fn of<T: Float>() {
        let t = T::of;
        assert_eq!(Tensor::new(array![t(1.0), t(3.0), t(2.0)]).argmax(), [1]);
        assert_eq!(Tensor::new(array![t(-1.0), t(-3.0)]).argmax(), [0]); // nothing starts from 0
        let rows =
            array![[[t(1.0), t(2.0)], [t(4.0), t(3.0)]], [[t(5.0), t(5.0)], [t(0.0), t(9.0)]]];
        assert_eq!(Tensor::new(rows).argmax(), [1, 0, 0, 1]);
        // One number is the largest of its row, whatever it is.
        let ones = array![[[t(7.0)], [-T::infinity()]], [[t(-2.0)], [T::infinity()]]];
        assert_eq!(Tensor::new(ones).argmax(), [0, 0, 0, 0]);
        assert_eq!(Tensor::new(array![t(7.0)]).argmax(), [0]);
        // Ties: of the first two, of the last two, of all; 0 and -0 are equal.
        let ties = array![
            [t(2.0), t(2.0), t(1.0)],
            [t(1.0), t(2.0), t(2.0)],
            [t(2.0), t(1.0), t(2.0)],
            [t(1.0), t(1.0), t(1.0)],
            [t(-0.0), t(0.0), t(-1.0)],
            [-T::infinity(), -T::infinity(), -T::infinity()],
        ];
        assert_eq!(Tensor::new(ties).argmax(), [0, 1, 0, 0, 0, 0]);
    }
    of::<f64>();
    of::<f32>();
}
