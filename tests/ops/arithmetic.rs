//! `+ - * /` where steps on the way would leave the type, and the sign of zero.

use evenkeel::{Float, Tensor};
use ndarray::array;

/// dy·d(a/b)/db for one number each, both as tensors and with a scalar above the line.
fn db<T: Float>(dy: f64, a: f64, b: f64) -> f64 {
    let of = |x: f64| array![T::of(x)];
    let b = Tensor::parameter(of(b));
    let quotient = Tensor::new(of(a)) / &b;
    quotient.backward_from(&Tensor::new(of(dy))).get(&b).unwrap().item().wide()
}

#[test]
fn the_gradient_of_a_quotient_does_not_square_the_divisor() {
    let close = |got: f64, want: f64, digits: f64| {
        assert!((got / want - 1.0).abs() < digits, "expected {want:e}, got {got:e}");
    };
    // dy, a, b, and -dy·a/b² by hand. In each case b² or another product on the way is 0 or infinite.
    for (dy, a, b, want) in [
        (1.0, 1e300, 1e200, -1e-100),
        (1.0, 1e-300, 1e-200, -1e100),
        (1e-200, 1e300, 1e50, -1.0), // a/b² is 1e200, dy·a fits
        (1e200, 1e-300, 1e-10, -1e-80),
        (1e200, 1e200, 1e180, -1e40), // dy·a does not
        (1e-200, 1e-200, 1e-190, -1e-20),
        (1e-30, 1.0, 1e-160, -1e290), // a/b² is 1e320
        (1e300, 1.0, 1e160, -1e-20),
        (1e-300, 1e300, 1e-5, -1e10),
        (-1.0, 1e300, 1e200, 1e-100),
        (-1e300, 1e150, 1e250, 1e-50), // the larger factor is negative
        (-1e-300, 1e-150, 1e-250, 1e50),
        (1e300, 1e150, -1e250, -1e-50), // the divisor is
        (1e-200, 1e-200, -1e-190, -1e-20),
        (1.0, -1e-300, 1e-200, 1e100),
        (-1e-200, 1e300, -1e50, 1.0),
        (-1e200, -1e200, -1e180, -1e40),
        (1e200, 1e-300, -1e-10, -1e-80),
        (-1e-300, 1e300, -1e-5, 1e10),
    ] {
        close(db::<f64>(dy, a, b), want, 1e-14);
    }
    for (dy, a, b, want) in [
        (1.0, 1e20, 1e20, -1e-20),
        (1.0, 1e-30, 1e-25, -1e20),
        (1e-30, 1.0, 1e-30, -1e30),
        (1e30, 1e30, 1e28, -1e4),
        (1e-20, 1e-25, 1e-24, -1e3),
    ] {
        close(db::<f32>(dy, a, b), want, 1e-6);
    }
    assert_eq!(db::<f32>(0.0, 1e-30, 1e-30), 0.0);
    assert_eq!(db::<f64>(0.0, 1e-300, 1e-300), 0.0);
    // What has no answer has none: 0/0, and a quotient that is infinite.
    assert!(db::<f64>(1.0, 0.0, 0.0).is_nan());
    assert_eq!(db::<f64>(1.0, 1.0, 0.0), f64::NEG_INFINITY);
    assert_eq!(db::<f64>(1.0, 1.0, f64::INFINITY), 0.0);
}

#[test]
fn the_gradient_of_a_scalar_over_a_tensor_is_that_of_the_quotient() {
    for (scalar, b, want) in [(1e300_f64, 1e200, -1e-100), (1e-300, 1e-200, -1e100)] {
        let b = Tensor::parameter(array![b]);
        let gradients = (scalar / &b).sum().backward();
        assert!((gradients.get(&b).unwrap().item() / want - 1.0).abs() < 1e-14);
    }
    let b = Tensor::parameter(array![1e-25_f32]);
    let gradients = (1e-30_f32 / &b).sum().backward();
    assert!((gradients.get(&b).unwrap().item() / -1e20 - 1.0).abs() < 1e-6);
}

/// A product with 1/x is another number than a quotient, and 1/x may be infinite.
#[test]
fn a_division_by_a_scalar_is_a_division() {
    assert_eq!((Tensor::new(array![49.0]) / 49.0).item(), 1.0);
    assert_eq!((Tensor::new(array![49.0_f32]) / 49.0).item(), 1.0);
    assert_eq!(Tensor::new(ndarray::Array1::<f64>::ones(49)).mean().item(), 1.0);
    assert_eq!((Tensor::new(array![1e-310]) / 1e-310).item(), 1.0);
    assert_eq!((Tensor::new(array![0.0]) / 1e-310).item(), 0.0);
    assert_eq!((Tensor::new(array![1e-40_f32]) / 1e-40).item(), 1.0);
    for k in 1..1000 {
        let k = f64::from(k);
        assert_eq!((Tensor::new(array![k]) / k).item(), 1.0, "{k}");
        let x = Tensor::parameter(array![k * k]);
        let gradients = (&x / k).backward_from(&Tensor::new(array![k]));
        assert_eq!(gradients.get(&x).unwrap().item(), 1.0, "{k}");
    }
    // In a mean, and in its gradient.
    for n in 1..200 {
        let ones = Tensor::parameter(ndarray::Array2::<f64>::ones((2, n)));
        assert_eq!(ones.mean_axis(1), Tensor::new(array![[1.0], [1.0]]), "{n}");
        let dx = ones.mean_axis(-1).sum().backward();
        assert_eq!(dx.get(&ones).unwrap().value()[[0, 0]], 1.0 / n as f64);
    }
}

#[test]
fn zero_keeps_its_sign() {
    fn bits<T: Float>(zero: T, negative: bool) {
        assert!(zero == T::zero() && zero.is_sign_negative() == negative, "{zero:?}");
    }
    fn check<T: Float>() {
        let of = |x: f64| T::of(x);
        let (plus, minus) = (Tensor::new(array![of(0.0)]), Tensor::new(array![of(-0.0)]));
        let one = Tensor::new(array![of(1.0)]);
        bits((-&plus).item(), true);
        bits((-&minus).item(), false);
        for y in [&minus * of(1.0), &minus / of(1.0), &minus * &one, &minus / &one] {
            bits(y.item(), true);
        }
        bits((&plus * of(-1.0)).item(), true);
        bits((&minus + of(0.0)).item(), false);
        bits((&minus + of(-0.0)).item(), true);
        bits((&minus - of(0.0)).item(), true);
        bits((&plus - of(0.0)).item(), false);
        bits((&minus + &minus).item(), true);
        assert_eq!((&one / -&plus).item(), T::neg_infinity());
        // Sums: of zeros that are all negative, and of nothing.
        for y in [minus.sum(), minus.sum_axis(0), minus.mean(), minus.mean_axis(0)] {
            bits(y.item(), true);
        }
        let both = Tensor::new(array![[of(-0.0), of(0.0)], [of(-0.0), of(-0.0)]]);
        bits(both.sum().item(), false);
        let columns = both.sum_axis(0);
        bits(columns.value()[[0, 0]], true);
        bits(columns.value()[[0, 1]], false);
        let nothing = Tensor::<T>::new(ndarray::Array2::from_elem((0, 1), T::zero()));
        bits(nothing.sum().item(), false);
        bits(nothing.sum_axis(0).item(), false);
        // Gradients.
        let x = Tensor::parameter(array![of(3.0)]);
        let dy = Tensor::new(array![of(-0.0)]);
        let dx = |y: Tensor<T>| y.backward_from(&dy).get(&x).unwrap().item();
        bits(dx(&x * of(2.0)), true);
        bits(dx(&x / of(2.0)), true);
        bits(dx(&x + of(2.0)), true);
        bits(dx(-&x), false);
        bits(dx(&x * &one), true);
    }
    check::<f32>();
    check::<f64>();
    assert_eq!((1.0_f64 / -Tensor::new(array![0.0])).item(), f64::NEG_INFINITY);
    assert!((0.0_f64 - Tensor::new(array![0.0])).item().is_sign_positive());
    assert!((-0.0_f64 - Tensor::new(array![0.0])).item().is_sign_negative());
    assert!((-0.0_f64 + Tensor::new(array![-0.0])).item().is_sign_negative());
    assert!((1.0_f64 * Tensor::new(array![-0.0])).item().is_sign_negative());
}
