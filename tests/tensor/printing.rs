//! How tensors are printed. Page: `book/src/tensor.md`.

use evenkeel::{Float, Linear, Tensor, rng};
use ndarray::Array;

/// 0, 1, 2, …
fn counting<T: Float>(length: usize) -> Tensor<T> {
    Tensor::new(Array::from_shape_fn(length, |i| T::of(i as f64)))
}

#[test]
fn debug_prints_a_few_numbers_whole_and_the_ends_of_many() {
    fn check<T: Float>() {
        let whole = format!("{:?}", counting::<T>(64));
        let list: Vec<String> = (0..64).map(|i| format!("{i}.0")).collect();
        assert_eq!(whole, format!("Tensor(constant, shape [64], [{}])", list.join(", ")));
        let short = format!("{:?}", counting::<T>(65).reshape(&[5, 13]));
        let ends = [
            "0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0",
            "49.0, 50.0, 51.0, 52.0, 53.0, 54.0, 55.0, 56.0, 57.0, 58.0, 59.0, 60.0, 61.0, 62.0, 63.0, 64.0",
        ];
        let want =
            format!("Tensor(constant, shape [5, 13], [{}, … 33 more …, {}])", ends[0], ends[1]);
        assert_eq!(short, want);
        let million = counting::<T>(1_000_000).reshape(&[1000, 1000]);
        assert!(format!("{million:?}").len() < 500);
        // All of them, on one line, for those who ask.
        let all = format!("{million:#?}");
        assert!(
            all.contains(", 499999.0, 500000.0, 500001.0, ")
                && !all.contains('…')
                && !all.contains('\n')
        );
        assert!(format!("{million}").len() < 5000, "ndarray leaves out what is in the middle");
        assert_eq!(
            format!("{:?}", Tensor::<T>::zeros([2, 0])),
            "Tensor(constant, shape [2, 0], [])"
        );
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn debug_takes_a_precision() {
    let x = Tensor::from([1.0, 0.125, f64::NAN]).trainable();
    assert_eq!(format!("{x:.2?}"), "Tensor(parameter, shape [3], [1.00, 0.12, NaN])");
    assert_eq!(format!("{:.1?}", &x * 2.0), "Tensor(result, shape [3], [2.0, 0.2, NaN])");
}

#[test]
fn what_holds_large_tensors_prints_short_too() {
    let layer: Linear = Linear::new(1000, 1000, &mut rng(0));
    assert!(format!("{layer:?}").len() < 2000);
    let gradients = layer.weight.square().sum().backward();
    assert!(format!("{gradients:?}").len() < 2000);
}
