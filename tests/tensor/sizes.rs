//! Shapes with more values than can be counted. Page: `book/src/tensor.md`.

use evenkeel::{BatchNorm, Conv2d, GroupNorm, InstanceNorm, LayerNorm, Linear, RMSNorm};
use evenkeel::{MultiHeadAttention, NormPlacement, Tensor, TransformerBlock, WrongLength, rng};

use crate::common::{assert_panics, panic_of};

const MAX: usize = usize::MAX;

#[test]
fn from_vec_gives_an_error_and_does_not_panic() {
    let too_large = |shape: &str, zeros: &str| {
        format!(
            "shape {shape} is too large: the product of its lengths{zeros} is more than a computer can count to"
        )
    };
    let error = Tensor::<f64>::from_vec(&[MAX, 2], vec![1.0]).unwrap_err();
    assert_eq!(error, WrongLength { shape: vec![MAX, 2], expected: None, got: 1 });
    assert_eq!(error.to_string(), too_large("[18446744073709551615, 2]", "") + ", got 1");
    let error = Tensor::<f32>::from_vec(&[MAX, 2, 0], vec![]).unwrap_err();
    assert_eq!(error, WrongLength { shape: vec![MAX, 2, 0], expected: None, got: 0 });
    let message = too_large("[18446744073709551615, 2, 0]", ", zeros left out");
    assert_eq!(error.to_string(), message + ", got 0");

    for shape in [[0, MAX], [MAX, 0], [1 << 62, 2], [1 << 32, 1 << 32], [MAX, 1], [1 << 63, 1 << 1]]
    {
        assert!(
            Tensor::<f64>::from_vec(&shape, vec![]).unwrap_err().expected.is_none(),
            "{shape:?}"
        );
    }
    let error = Tensor::<f64>::from_vec(&[1 << 62], vec![]).unwrap_err();
    assert_eq!(error.expected, Some(1 << 62));
    let most = isize::MAX.unsigned_abs();
    assert_eq!(Tensor::<f64>::from_vec(&[0, most], vec![]).unwrap().shape(), [0, most]);
    let error = Tensor::from_vec(&[0, 3], vec![1.0]).unwrap_err();
    assert_eq!(error.to_string(), "a tensor of shape [0, 3] holds 0 values, got 1");
    assert_eq!(Tensor::from_vec(&[], vec![1.0]).unwrap().item(), 1.0);
}

/// The panic names the operation and says that the shape is too large, at the line of the caller.
#[track_caller]
fn refused<R>(op: &str, shape: &[usize], code: impl FnOnce() -> R) {
    let (message, file) = panic_of(code);
    let want = format!("{op}: shape {shape:?} is too large: the product of its lengths");
    assert!(message.starts_with(&want), "expected {want}, got {message}");
    assert_eq!(file, file!());
}

#[test]
fn operations_refuse_them() {
    let empty: Tensor = Tensor::zeros([0]);
    assert_panics(
        "reshape: shape [9223372036854775808, 2] is too large: the product of its lengths is more than a computer can count to",
        || empty.reshape(&[1 << 63, 2]),
    );
    refused("reshape", &[1 << 63, 2, 0], || empty.reshape(&[1 << 63, 2, 0]));
    refused("reshape", &[MAX, 0], || empty.reshape(&[MAX, 0]));
    assert_eq!(empty.reshape(&[1 << 62, 0]).shape(), [1 << 62, 0]);
    // 2⁶⁴ + 6 is 6, to a computer that does not look.
    assert_panics("reshape: [6] holds 6 values, [2, 3, 2] would hold 12", || {
        Tensor::<f64>::zeros([6]).reshape(&[2, 3, 2])
    });
    refused("reshape", &[(1 << 63) + 3, 2], || {
        Tensor::<f64>::zeros([6]).reshape(&[(1 << 63) + 3, 2])
    });

    let one: Tensor = Tensor::ones([1, 1]);
    refused("broadcast_to", &[MAX, 2], || one.broadcast_to(&[MAX, 2]));
    refused("broadcast_to", &[1 << 61, 1], || one.broadcast_to(&[1 << 61, 1]));
    refused("broadcast_to", &[MAX, 2, 0], || empty.broadcast_to(&[MAX, 2, 0]));
    // An empty tensor takes no memory, whatever its other lengths.
    let [tall, wide] = [[1 << 40, 1, 0], [1, 1 << 40, 0]].map(|shape| Tensor::<f64>::zeros(shape));
    let both = [1 << 40, 1 << 40, 0];
    refused("add", &both, || &tall + &wide);
    refused("sub", &both, || &tall - &wide);
    refused("mul", &both, || &tall * &wide);
    refused("div", &both, || &tall / &wide);

    let [a, b] = [[1 << 40, 0], [0, 1 << 40]].map(|shape| Tensor::<f32>::zeros(shape));
    refused("matmul", &[1 << 40, 1 << 40], || a.matmul(&b));
    let [a, b] = [[1 << 40, 1, 0], [1, 0, 1 << 40]].map(|shape| Tensor::<f32>::zeros(shape));
    refused("matmul", &[1 << 40, 1, 1 << 40], || a.matmul(&b));
    let [a, b] = [[1 << 40, 1, 0, 1], [1, 1 << 40, 1, 0]].map(|shape| Tensor::<f32>::zeros(shape));
    refused("matmul, leading axes", &[1 << 40, 1 << 40], || a.matmul(&b));
    let a: Tensor = Tensor::zeros([1 << 62, 0]);
    refused("concat", &[1 << 63, 0], || Tensor::concat(&[&a, &a], 0));
    refused("concat", &[MAX, 0], || Tensor::concat(&[&a; 4], 0));
    assert_eq!(Tensor::concat(&[&a, &a], 1).shape(), [1 << 62, 0]);
}

#[test]
fn constructors_refuse_them() {
    for shape in [[MAX, 2], [MAX, 0], [1 << 32, 1 << 32], [1 << 60, 1]] {
        let slice = shape.as_slice();
        refused("zeros", slice, || Tensor::<f64>::zeros(shape));
        refused("ones", slice, || Tensor::<f64>::ones(slice));
        refused("full", slice, || Tensor::full((shape[0], shape[1]), 1.0));
        refused("randn", slice, || Tensor::<f64>::randn(shape, &mut rng(0)));
    }
    refused("zeros", &[1 << 61], || Tensor::<f32>::zeros(1 << 61));
    assert_eq!(Tensor::<f64>::zeros([1 << 40, 0]).shape(), [1 << 40, 0]);
}

#[test]
fn layers_refuse_them() {
    let mut rng = rng(0);
    refused("LayerNorm", &[MAX, 2], || LayerNorm::<f64>::new([MAX, 2]));
    refused("LayerNorm", &[MAX, 2, 0], || LayerNorm::<f32>::new([MAX, 2, 0]));
    refused("RMSNorm", &[MAX], || RMSNorm::<f64>::new(MAX));
    refused("BatchNorm", &[MAX], || BatchNorm::<f64>::new(MAX));
    refused("GroupNorm", &[MAX], || GroupNorm::<f64>::new(5, MAX));
    refused("InstanceNorm", &[MAX], || InstanceNorm::<f64>::new(MAX));
    refused("Linear", &[2, MAX], || Linear::<f64>::new(MAX, 2, &mut rng));
    refused("Linear", &[MAX, 1], || Linear::<f64>::new(1, MAX, &mut rng));
    refused("Conv2d", &[1, MAX, 2, 1], || Conv2d::<f64>::new(MAX, 1, [2, 1], &mut rng));
    refused("Conv2d", &[2, 1, 1 << 32, 1 << 32], || {
        Conv2d::<f64>::new(1, 2, [1 << 32, 1 << 32], &mut rng)
    });
    refused("MultiHeadAttention", &[3, MAX, MAX], || {
        MultiHeadAttention::<f64>::new(MAX, 5, &mut rng)
    });
    refused("MultiHeadAttention", &[3, 1 << 62, 1 << 62], || {
        MultiHeadAttention::<f64>::new(1 << 62, 2, &mut rng)
    });
    refused("Linear", &[1 << 62, 4], || {
        TransformerBlock::<f64>::new(4, 2, 1 << 62, NormPlacement::Pre, &mut rng)
    });
    let image: Tensor = Tensor::ones([1, 1, 2, 2]);
    let layer = Conv2d::new(1, 1, [1, 1], &mut rng);
    for padding in [[MAX, 0], [0, 1 << 63], [1 << 62, 1 << 62], [1 << 40, 1 << 40]] {
        let (message, file) = panic_of(|| layer.clone().with_padding(padding).forward(&image));
        assert!(message.starts_with("Conv2d, all that the kernel covers: "), "{message}");
        assert!(message.contains("too large") && file == file!(), "{message} in {file}");
    }
}
