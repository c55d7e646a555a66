//! [`Standardizer`] at the ends of what an `f64` holds. Page: `book/src/iris.md`.

use approx::assert_relative_eq;
use evenkeel::datasets::Standardizer;
use ndarray::{Array2, array};
use proptest::prelude::*;

fn column(numbers: &[f64]) -> Array2<f64> {
    Array2::from_shape_vec((numbers.len(), 1), numbers.to_vec()).unwrap()
}

fn standardized(numbers: &[f64]) -> Vec<f64> {
    applied(numbers, numbers)
}

/// What a column fitted to `train` makes of `test`.
fn applied(train: &[f64], test: &[f64]) -> Vec<f64> {
    Standardizer::fit(&column(train)).apply(&column(test)).into_raw_vec_and_offset().0
}

#[test]
fn a_constant_column_is_exactly_zero() {
    for constant in [1e9 + 0.1, 0.1, 0.3, -7.7e-9, 1e200, f64::MAX, f64::MIN_POSITIVE, 5e-324, 0.0]
    {
        for rows in [1, 2, 3, 7, 1000] {
            for constant in [constant, -constant] {
                let zeros = standardized(&vec![constant; rows]);
                assert!(zeros.iter().all(|&z| z == 0.0), "{constant:?} × {rows}: {:?}", zeros[0]);
            }
        }
    }
    assert!(standardized(&[0.0, -0.0]).iter().all(|&z| z == 0.0));
    // Other rows keep their distance from it: the standard deviation is taken as 1.
    assert_eq!(applied(&[1e9 + 0.1; 1000], &[1e9 + 0.1, 1e9 + 2.1, 1e9 - 3.9]), [0.0, 2.0, -4.0]);
    assert_eq!(applied(&[0.1; 7], &[0.1, 0.1 + 0.5, f64::MAX]), [0.0, 0.5, f64::MAX]);
    assert_eq!(applied(&[3.0], &[3.0, 5.0]), [0.0, 2.0]); // a single row is a constant column
}

#[test]
fn numbers_one_apart_in_the_last_place_are_told_apart() {
    let high = 0.1 + 0.2;
    assert!(high != 0.3);
    let (far, near) = (2f64.sqrt(), -(0.5f64.sqrt()));
    assert_close(&standardized(&[high, 0.3, 0.3]), &[far, near, near]);
    assert_close(&standardized(&[0.3, high, 0.3]), &[near, far, near]);
    // Up to the largest numbers: 1e200 and its neighbours, 1e-15 apart.
    let steps: Vec<f64> = (0..9).map(|k| 1.0 + f64::from(k) * 1e-15).collect();
    let large: Vec<f64> = steps.iter().map(|x| x * 2f64.powi(665)).collect(); // 1.5e200
    assert_eq!(standardized(&large), standardized(&steps));
    let ulps: Vec<f64> = (0..9).map(|k| 1e200f64.to_bits() + k * 3).map(f64::from_bits).collect();
    let integers: Vec<f64> = (0..9).map(f64::from).collect();
    assert_eq!(standardized(&ulps), standardized(&integers));
}

#[test]
fn the_ends_of_the_range_are_plus_and_minus_one() {
    for size in [1e200, 1.7e308, f64::MAX, 1e-200, 1e-310, 5e-324, f64::MIN_POSITIVE, 1.0] {
        assert_eq!(standardized(&[size, -size]), [1.0, -1.0], "{size:e}");
        assert_eq!(standardized(&[-size, size, size, -size]), [-1.0, 1.0, 1.0, -1.0], "{size:e}");
        let third = 1.5f64.sqrt();
        assert_close(&standardized(&[-size, 0.0, size]), &[-third, 0.0, third]);
        // A single one of them among zeros.
        let (far, near) = (2f64.sqrt(), -(0.5f64.sqrt()));
        assert_close(&standardized(&[0.0, size, 0.0]), &[near, far, near]);
    }
    assert_eq!(standardized(&[1e-310, 3e-310]), [-1.0, 1.0]);
    assert_eq!(standardized(&[5e-324, 1e-323]), [-1.0, 1.0]);
    // Rows that were not fitted, where the difference of two numbers is no f64.
    assert_close(
        &applied(&[1.7e308, 1.6e308], &[-1.7e308, 0.0, f64::MAX]),
        &[-67.0, -33.0, 2.0 * (f64::MAX / 1e307) - 33.0],
    );
    assert_close(&applied(&[5e-324, -5e-324], &[1e-300, 0.0]), &[1e-300 / 5e-324, 0.0]);
    assert_eq!(applied(&[5e-324, -5e-324], &[1.0, -f64::MAX]), [f64::INFINITY, -f64::INFINITY]);
    assert_close(&applied(&[1e300, -1e300], &[1e-5, 1e300]), &[1e-305, 1.0]);
}

#[test]
fn an_offset_does_not_count() {
    let numbers = [3.0, -1.0, 4.0, 1.0, -5.0, 9.0, 2.0, -6.0];
    let expected = standardized(&numbers);
    for offset in [1e3, -1e9, 4e15, -(2f64.powi(52))] {
        assert_eq!(standardized(&numbers.map(|x| x + offset)), expected, "{offset}");
    }
    let (mean, sd) = (7.0 / 8.0, (173.0f64 / 8.0 - 49.0 / 64.0).sqrt());
    assert_close(&expected, &numbers.map(|x| (x - mean) / sd));
    assert_eq!(standardized(&[1.0, 2.0, 3.0, 4.0, 5.0])[2], 0.0);
    assert_eq!(standardized(&[7.0, 9.0, 9.0, 7.0]), [-1.0, 1.0, 1.0, -1.0]);
}

#[test]
fn each_column_is_by_itself() {
    let features = array![[1e200, 5.0, 5e-324, 0.3], [-1e200, 5.0, -5e-324, 0.4]];
    let expected = array![[1.0, 0.0, 1.0, -1.0], [-1.0, 0.0, -1.0, 1.0]];
    let standardizer = Standardizer::fit(&features);
    assert_relative_eq!(standardizer.apply(&features), expected, epsilon = 1e-15);
    // The layout in memory does not matter, nor does a table without columns.
    let turned = features.t().as_standard_layout().into_owned().reversed_axes();
    assert_relative_eq!(Standardizer::fit(&turned).apply(&turned), expected, epsilon = 1e-15);
    let none = Array2::zeros((3, 0));
    assert_eq!(Standardizer::fit(&none).apply(&none), none);
    assert_eq!(standardizer.apply(&Array2::zeros((0, 4))).dim(), (0, 4));
}

#[test]
fn a_number_that_is_none_spoils_its_column_and_no_other() {
    for odd in [f64::NAN, f64::INFINITY, -f64::INFINITY] {
        for features in [array![[odd, 1.0], [2.0, 3.0]], array![[2.0, 1.0], [odd, 3.0]]] {
            let z = Standardizer::fit(&features).apply(&features);
            assert!(z.column(0).iter().all(|z| z.is_nan()), "{odd}: {z}");
            assert_eq!(z.column(1), array![-1.0, 1.0]);
        }
        assert!(standardized(&[odd, odd, odd]).iter().all(|z| z.is_nan()));
    }
}

#[track_caller]
fn assert_close(got: &[f64], want: &[f64]) {
    assert_eq!(got.len(), want.len());
    for (got_, want_) in got.iter().zip(want) {
        assert!((got_ - want_).abs() <= 1e-13 * want_.abs().max(1e-16), "{got:?}, not {want:?}");
    }
}

proptest! {
    #[test]
    fn mean_and_standard_deviation_are_zero_and_one(
        numbers in prop::collection::vec(-1.0f64..1.0, 2..40),
        exponent in -900i32..1020,
        offset in prop_oneof![Just(0.0), -1e3f64..1e3],
    ) {
        let numbers: Vec<f64> = numbers.iter().map(|x| x + offset).collect();
        prop_assume!(numbers.iter().any(|x| (x - numbers[0]).abs() > 1e-9));
        let z = standardized(&numbers);
        let n = z.len() as f64;
        prop_assert!((z.iter().sum::<f64>() / n).abs() < 1e-14);
        prop_assert!((z.iter().map(|z| z * z).sum::<f64>() / n - 1.0).abs() < 1e-13);
        // A power of two as the unit changes no bit.
        if offset == 0.0 {
            let scale = 2f64.powi(exponent);
            let scaled: Vec<f64> = numbers.iter().map(|x| x * scale).collect();
            prop_assert_eq!(standardized(&scaled), z);
        }
    }
}
