//! Functions of one number: their values, and their gradients where the type ends. Page: `book/src/tensor.md`.

use evenkeel::{Float, Tensor, gradient_check};
use ndarray::{Array1, array};
use proptest::prelude::*;

use crate::common::normal;

/// Numbers away from 0, for functions with a kink or a pole there.
fn away_from_zero() -> Tensor {
    Tensor::new(normal(&[2, 3, 5], 1).value().mapv(|x| x + 0.5 * x.signum()))
}

type Function<T> = fn(&Tensor<T>) -> Tensor<T>;

/// The values and `dy · f'(x)`, number by number.
fn of<T: Float>(f: impl Fn(&Tensor<T>) -> Tensor<T>, x: &[f64], dy: f64) -> [Vec<f64>; 2] {
    let x = Tensor::parameter(x.iter().map(|&x| T::of(x)).collect::<Array1<T>>());
    let y = f(&x);
    let dy = Tensor::new(Array1::from_elem(x.shape()[0], T::of(dy)));
    let dx = y.backward_from(&dy);
    [&y, dx.get(&x).unwrap()].map(|tensor| tensor.value().iter().map(|x| x.wide()).collect())
}

/// As numbers, but NaN is like NaN, and 0 is not like -0.
#[track_caller]
fn assert_same(what: &str, got: &[f64], want: &[f64]) {
    let same = |(got, want): (&f64, &f64)| {
        (got.is_nan() && want.is_nan()) || (got == want && got.signum() == want.signum())
    };
    let all = got.len() == want.len() && got.iter().zip(want).all(same);
    assert!(all, "{what}: expected {want:?}, got {got:?}");
}

/// Each number within so many times the rounding of its type.
#[track_caller]
fn assert_digits<T: Float>(what: &str, got: &[f64], want: &[f64], roundings: f64) {
    assert_eq!(got.len(), want.len());
    let tolerance = roundings * T::epsilon().wide();
    for (got, want) in got.iter().zip(want) {
        let error = ((got - want) / want).abs();
        assert!(error <= tolerance, "{what}: expected {want:e}, got {got:e}, error {error:.1e}");
    }
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

#[test]
fn gradients_match_finite_differences() {
    let x = away_from_zero();
    let positive = x.abs();
    let functions: [Function<f64>; 9] = [
        |x| x.sigmoid(),
        |x| x.tanh(),
        |x| x.abs(),
        |x| x.square(),
        |x| x.powi(0),
        |x| x.powi(1),
        |x| x.powi(2),
        |x| x.powi(3),
        |x| x.powi(-2),
    ];
    for f in functions {
        gradient_check([&x], |[x]| f(x)).unwrap();
    }
    for exponent in [-1.5, -1.0, 0.0, 0.5, 1.0, 2.0, 2.7] {
        gradient_check([&positive], |[x]| x.powf(exponent)).unwrap();
    }
    for exponent in [-3.0, 2.0, 3.0] {
        gradient_check([&x], |[x]| x.powf(exponent)).unwrap();
    }
}

/// 60 digits, rounded: x, sigmoid, its derivative, the derivative of tanh.
const TAILS: [[f64; 4]; 7] = [
    [0.5, 0.622_459_331_201_854_6, 0.235_003_712_201_594_5, 0.786_447_732_965_927_4],
    [5.0, 0.993_307_149_075_715_2, 0.006_648_056_670_790_155, 0.000_181_583_230_943_806_7],
    [10.0, 0.999_954_602_131_297_6, 0.000_045_395_807_735_951_673, 8.244_614_455_767_397e-9],
    [15.0, 0.999_999_694_097_773_1, 3.059_021_333_494_523e-7, 3.743_049_187_535_369e-13],
    [20.0, 0.999_999_997_938_846_4, 2.061_153_613_941_849e-9, 1.699_341_702_116_635_5e-17],
    [-5.0, 0.006_692_850_924_284_855_4, 0.006_648_056_670_790_155, 0.000_181_583_230_943_806_7],
    [-20.0, 2.061_153_618_190_203_7e-9, 2.061_153_613_941_849e-9, 1.699_341_702_116_635_5e-17],
];

#[test]
fn derivatives_keep_their_digits_in_the_tails() {
    fn check<T: Float>() {
        let [x, y, slope, tanh_slope] = [0, 1, 2, 3].map(|at| TAILS.map(|row| row[at]));
        let [got, got_slope] = of::<T>(Tensor::sigmoid, &x, 1.0);
        assert_digits::<T>("sigmoid", &got, &y, 2.0);
        assert_digits::<T>("the derivative of sigmoid", &got_slope, &slope, 5.0);
        let [_, got] = of::<T>(Tensor::tanh, &x, 1.0);
        assert_digits::<T>("the derivative of tanh", &got, &tanh_slope, 5.0);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn sigmoid_keeps_its_range() {
    fn check<T: Float>() {
        let x = [-INF, -1000.0, -0.0, 0.0, T::min_positive_value().wide(), 1000.0, INF, NAN];
        let [y, slope] = of::<T>(Tensor::sigmoid, &x, 1.0);
        assert_same("sigmoid", &y, &[0.0, 0.0, 0.5, 0.5, 0.5, 1.0, 1.0, NAN]);
        assert_same("its derivative", &slope, &[0.0, 0.0, 0.25, 0.25, 0.25, 0.0, 0.0, NAN]);
        let [y, slope] = of::<T>(Tensor::tanh, &x, 1.0);
        let tiny = T::min_positive_value().wide();
        assert_same("tanh", &y, &[-1.0, -1.0, -0.0, 0.0, tiny, 1.0, 1.0, NAN]);
        assert_same("its derivative", &slope, &[0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 0.0, NAN]);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn a_gradient_that_fits_the_type_is_not_lost_on_the_way() {
    // The derivative alone would be no number of the type, or one without its digits.
    let [_, dx] = of::<f64>(Tensor::square, &[1.6e308, -1.6e308], 0.25);
    assert_same("square", &dx, &[0.8e308, -0.8e308]);
    let [_, dx] = of::<f32>(Tensor::square, &[3e38, -3e38], 0.25);
    assert_same("square, f32", &dx, &[3e38, -3e38].map(|x: f64| 0.5 * f64::from(x as f32)));
    // sigmoid'(-720) = e⁻⁷²⁰ and tanh'(360) = 4e⁻⁷²⁰, which are below the smallest normal number.
    let want = 2.032_230_802_424_293_2e-13; // 1e300 · e⁻⁷²⁰
    let [_, dx] = of::<f64>(Tensor::sigmoid, &[-720.0, 720.0], 1e300);
    assert_digits::<f64>("sigmoid", &dx, &[want, want], 5.0);
    let [_, dx] = of::<f64>(Tensor::tanh, &[-360.0, 360.0], 1e300);
    assert_digits::<f64>("tanh", &dx, &[4.0 * want, 4.0 * want], 5.0);
    // The derivative of sqrt is largest where x is smallest.
    let [_, dx] = of::<f64>(Tensor::sqrt, &[5e-324, f64::MAX], 1.0);
    assert_digits::<f64>(
        "sqrt",
        &dx,
        &[2.249_456_897_271_598_2e161, 3.729_170_365_600_103_4e-155],
        2.0,
    );
    // x·Φ(x) goes on as x.
    let [y, dx] = of::<f64>(Tensor::gelu, &[f64::MAX, INF], 1.0);
    assert_same("gelu", &y, &[f64::MAX, INF]);
    assert_same("the derivative of gelu", &dx, &[1.0, 1.0]);
}

#[test]
fn abs_turns_negative_numbers_round() {
    fn check<T: Float>() {
        let least = (T::min_positive_value() * T::epsilon()).wide(); // a subnormal number
        let x = [-INF, -2.0, -least, -0.0, 0.0, least, 3.0, INF, NAN];
        let [y, dx] = of::<T>(Tensor::abs, &x, 0.5);
        assert_same("abs", &y, &[INF, 2.0, least, 0.0, 0.0, least, 3.0, INF, NAN]);
        assert_same("its gradient", &dx, &[-0.5, -0.5, -0.5, 0.0, 0.0, 0.5, 0.5, 0.5, NAN]);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn whole_powers_at_zero_and_where_the_type_ends() {
    fn check<T: Float>() {
        let power = |n: i32, x: &[f64]| of::<T>(move |x| x.powi(n), x, 0.5);
        let x = [-0.0, 0.0, -INF, INF, NAN];
        for (n, want, slope) in [
            (0, [1.0, 1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, 0.0, 0.0]),
            (1, [-0.0, 0.0, -INF, INF, NAN], [0.5, 0.5, 0.5, 0.5, 0.5]),
            (2, [0.0, 0.0, INF, INF, NAN], [-0.0, 0.0, -INF, INF, NAN]),
            (3, [-0.0, 0.0, -INF, INF, NAN], [0.0, 0.0, INF, INF, NAN]),
            (-1, [-INF, INF, -0.0, 0.0, NAN], [-INF, -INF, -0.0, -0.0, NAN]),
            (-2, [INF, INF, 0.0, 0.0, NAN], [INF, -INF, 0.0, -0.0, NAN]),
        ] {
            let [y, dx] = power(n, &x);
            assert_same(&format!("x^{n}"), &y, &want);
            assert_same(&format!("the gradient of x^{n}"), &dx, &slope);
            let [y, dx] = of::<T>(move |x| x.powf(T::of(f64::from(n))), &x, 0.5);
            assert_same(&format!("powf {n}"), &y, &want);
            assert_same(&format!("the gradient of powf {n}"), &dx, &slope);
        }
        let [y, dx] = power(5, &[-2.5]);
        assert_same("(-2.5)^5", &y, &[-97.65625]);
        assert_same("its gradient", &dx, &[0.5 * 195.3125]);
        let [y, dx] = power(i32::MIN, &[1.0, -1.0, 2.0, 0.5]);
        assert_same("the least exponent", &y, &[1.0, 1.0, 0.0, INF]);
        assert_same("its gradient", &dx, &[-1073741824.0, 1073741824.0, -0.0, -INF]);
        let [y, dx] = power(i32::MAX, &[1.0, -1.0]);
        assert_same("the largest exponent", &y, &[1.0, -1.0]);
        assert_same("its gradient", &dx, &[T::of(1073741823.5).wide(); 2]);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn powers_keep_a_gradient_that_fits() {
    let of_power = |n: f64, x: f64, dy: f64| of::<f64>(move |x| x.powf(n), &[x], dy)[1][0];
    // 3·x² overflows before it meets the small dy, and even x² alone.
    assert_digits::<f64>("3x²", &[of_power(3.0, 1.2e154, 1e-3)], &[4.32e305], 8.0);
    assert_digits::<f64>("3x²", &[of_power(3.0, -1e200, 1e-300)], &[3e100], 8.0);
    // x⁻³ is below the type, and large beside dy.
    assert_digits::<f64>("-2/x³", &[of_power(-2.0, 1e120, 1e300)], &[-2e-60], 8.0);
    // 1/x overflows, and a tiny exponent brings it back.
    assert_digits::<f64>("n/x", &[of_power(1e-20, 1e-310, 1.0)], &[1e290], 1e3);
    assert_digits::<f64>(
        "n·x^(n-1)",
        &[of_power(0.03, 1e-300, 1.0)],
        &[3.000_000_000_000_002e289],
        8.0,
    );
    // n - 1 has no room for the last digit of n.
    let want = -7.300_000_000_000_087e-248;
    assert_digits::<f64>("n·x^(n-1)", &[of_power(-7.3, 1e30, 10.0)], &[want], 8.0);
    // n·dy overflows, and xⁿ⁻¹ is below the type.
    let want = 2.870_326_738_185_796e-89;
    assert_digits::<f64>("1000·x⁹⁹⁹", &[of_power(1000.0, 0.4, 1e306)], &[want], 2e3);
    // A root of a subnormal number.
    assert_digits::<f64>(
        "1/(2√x)",
        &[of_power(0.5, 5e-324, 1.0)],
        &[2.249_456_897_271_598_2e161],
        8.0,
    );
    // In f32 too, from powi.
    let [_, dx] = of::<f32>(|x| x.powi(3), &[2e19, -2e19], 1e-3);
    let x = f64::from(2e19_f32);
    let want = 3.0 * x * x * f64::from(1e-3_f32);
    assert_digits::<f32>("3x²", &dx, &[want, want], 1.0);
    let [_, dx] = of::<f64>(|x| x.powi(-2), &[1e120], 1e300);
    assert_digits::<f64>("-2/x³", &dx, &[-2e-60], 8.0);
}

#[test]
fn powers_of_negative_numbers_need_a_whole_exponent() {
    fn check<T: Float>() {
        let x = [-8.0, -0.0, -INF];
        let [y, dx] = of::<T>(|x| x.powf(T::of(0.5)), &x, 1.0);
        assert_same("powf", &y, &[NAN, 0.0, INF]);
        assert_same("its gradient", &dx, &[NAN, INF, 0.0]);
        let [y, dx] = of::<T>(|x| x.powf(T::of(1.5)), &x, 1.0);
        assert_same("powf", &y, &[NAN, 0.0, INF]);
        assert_same("its gradient", &dx, &[NAN, 0.0, INF]);
        // The sign of an odd power, even where all numbers of the type are whole.
        let large = 2.0 / T::epsilon().wide();
        let [y, dx] = of::<T>(|x| x.powf(T::of(large)), &[-1.0], 1.0);
        assert_same("powf", &y, &[1.0]);
        assert_same("its gradient", &dx, &[-large]);
        assert!(of::<T>(|x| x.powf(T::nan()), &[2.0], 1.0).concat().iter().all(|x| x.is_nan()));
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn a_power_of_two_is_the_square_and_a_power_of_one_half_the_root() {
    let x = normal(&[200], 3);
    let relative = |a: &Tensor, b: &Tensor| (a / b - 1.0).abs().max_axis(0).item();
    assert!(relative(&x.powi(2), &x.square()) <= f64::EPSILON);
    assert!(relative(&x.abs().powf(0.5), &x.abs().sqrt()) <= f64::EPSILON);
    assert!(relative(&x.powi(-1), &(1.0 / &x)) <= f64::EPSILON);
    assert_eq!(Tensor::new(array![-3.0, 7.0]).powi(3), Tensor::new(array![-27.0, 343.0]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn sigmoid_is_half_of_tanh_and_odd_about_one_half(x in -800.0..800f64) {
        let [[y], [slope]] = of::<f64>(Tensor::sigmoid, &[x], 1.0).map(|v| [v[0]]);
        let [[mirrored], [mirrored_slope]] = of::<f64>(Tensor::sigmoid, &[-x], 1.0).map(|v| [v[0]]);
        prop_assert!((y + mirrored - 1.0).abs() <= f64::EPSILON);
        prop_assert_eq!(slope, mirrored_slope);
        let [[tanh], [tanh_slope]] = of::<f64>(Tensor::tanh, &[0.5 * x], 1.0).map(|v| [v[0]]);
        prop_assert!((tanh - (2.0 * y - 1.0)).abs() <= 2.0 * f64::EPSILON);
        prop_assert!((tanh_slope - 4.0 * slope).abs() <= 8.0 * f64::EPSILON * tanh_slope + 1e-320);
        prop_assert!((slope - y * mirrored).abs() <= 8.0 * f64::EPSILON * slope + 1e-320);
    }

    #[test]
    fn powers_multiply(x in 0.01..100f64, a in -20..20i32, b in -20..20i32) {
        let power = |n: i32| of::<f64>(move |x| x.powi(n), &[x], 1.0);
        let [[ya, da], [yb, db], [y, dx]] = [power(a), power(b), power(a + b)].map(|[y, dx]| [y[0], dx[0]]);
        prop_assert!((ya * yb / y - 1.0).abs() < 1e-14);
        // The product rule.
        prop_assert!((da * yb + ya * db - dx).abs() <= 1e-14 * ((da * yb).abs() + (ya * db).abs()));
    }
}
