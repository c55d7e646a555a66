//! Convolution. Page: `book/src/tensor.md`.

use crate::common::{assert_close, normal, panic_of};
use evenkeel::{Conv2d, Float, Module, Tensor, gradient_check, rng};
use ndarray::{Array4, array};
use proptest::prelude::*;

fn layer(weight: &Tensor, bias: &Tensor, stride: [usize; 2], padding: [usize; 2]) -> Conv2d {
    let &[out, channels, height, width] = weight.shape() else { unreachable!() };
    let rng = &mut rng(1);
    let mut layer = Conv2d::new(channels, out, [height, width], rng);
    (layer.weight, layer.bias) = (weight.clone(), bias.clone());
    layer.with_stride(stride).with_padding(padding)
}

/// The sum of the definition, one loop for each index.
fn by_definition(
    x: &Tensor,
    w: &Tensor,
    b: &Tensor,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor {
    let (xs, ws) = (x.shape(), w.shape());
    let places = |axis: usize| (xs[2 + axis] + 2 * padding[axis] - ws[2 + axis]) / stride[axis] + 1;
    let pixel = |n: usize, c: usize, i: usize, j: usize| {
        let at = [i as isize - padding[0] as isize, j as isize - padding[1] as isize];
        let inside = (0..xs[2] as isize).contains(&at[0]) && (0..xs[3] as isize).contains(&at[1]);
        if inside { x.value()[[n, c, at[0] as usize, at[1] as usize]] } else { 0.0 }
    };
    Tensor::new(Array4::from_shape_fn((xs[0], ws[0], places(0), places(1)), |(n, o, i, j)| {
        let mut sum = b.value()[[o]];
        for c in 0..ws[1] {
            for u in 0..ws[2] {
                for v in 0..ws[3] {
                    sum +=
                        w.value()[[o, c, u, v]] * pixel(n, c, i * stride[0] + u, j * stride[1] + v);
                }
            }
        }
        sum
    }))
}

#[test]
fn matches_the_worked_example() {
    let x = Tensor::new(array![[[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]]]);
    let w = Tensor::new(array![[[[1.0, 0.0], [0.0, 10.0]]]]);
    let y = layer(&w, &Tensor::new(array![0.5]), [1, 1], [0, 0]).forward(&x);
    assert_eq!(y, Tensor::new(array![[[[51.5, 62.5], [84.5, 95.5]]]])); // 1 + 10·5 + 0.5, ...
}

#[test]
fn gradient_matches_finite_differences() {
    let (x, bias) = (normal(&[2, 3, 5, 4], 1), normal(&[4], 3));
    let weights = [normal(&[4, 3, 3, 2], 2), normal(&[4, 3, 1, 1], 2)];
    for weight in &weights {
        for (stride, padding) in [([1, 1], [0, 0]), ([2, 1], [1, 1]), ([2, 3], [0, 2])] {
            let forward = |[x, w, b]: [&Tensor; 3]| layer(w, b, stride, padding).forward(x);
            gradient_check([&x, weight, &bias], forward).unwrap();
        }
    }
}

#[test]
fn every_parameter_receives_a_gradient() {
    for (bias, expected) in [(true, 2), (false, 1)] {
        let mut layer: Conv2d = Conv2d::new(3, 4, [3, 2], &mut rng(1));
        if !bias {
            layer = layer.without_bias();
        }
        let gradients = layer.forward(&normal(&[2, 3, 5, 4], 1)).square().sum().backward();
        assert_eq!((layer.parameters().len(), layer.parameters_mut().len()), (expected, expected));
        assert_eq!(gradients.len(), expected);
        for parameter in &layer.parameters() {
            assert!(gradients.get(parameter).unwrap().value().iter().all(|d| *d != 0.0));
        }
    }
}

#[test]
fn a_kernel_of_one_pixel_is_a_linear_map_of_the_channels() {
    let (x, w, b) = (normal(&[2, 3, 5, 4], 1), normal(&[7, 3, 1, 1], 2), normal(&[7], 3));
    let got = layer(&w, &b, [1, 1], [0, 0]).forward(&x);
    let linear = evenkeel::Linear { weight: w.reshape(&[7, 3]), bias: b };
    let want = linear.forward(&x.reshape(&[2, 3, 20]).transpose()).transpose();
    assert_close("y", &got, &want.reshape(&[2, 7, 5, 4]), 1e-14);
}

#[test]
fn f32_agrees_with_f64() {
    let (x, w, b) = (normal(&[2, 3, 5, 4], 1), normal(&[4, 3, 3, 2], 2), normal(&[4], 3));
    let narrow = |x: &Tensor| Tensor::<f32>::parameter(x.value().mapv(f32::of));
    let mut layer32 = Conv2d::<f32>::new(3, 4, [3, 2], &mut rng(1));
    (layer32.weight, layer32.bias) = (narrow(&w), narrow(&b));
    let y32 = layer32.with_stride([2, 1]).forward(&narrow(&x));
    let y = layer(&w, &b, [2, 1], [0, 0]).forward(&x);
    assert_close("y", &Tensor::new(y32.value().mapv(Float::wide)), &y, 1e-5);
}

#[test]
fn starts_with_the_variance_of_he() {
    let layer: Conv2d = Conv2d::new(8, 200, [3, 3], &mut rng(1));
    // 14,400 draws: the standard error of the variance is 1.2 % of it.
    assert!((layer.weight.value().var(0.0) / (2.0 / 72.0) - 1.0).abs() < 0.05);
    assert!(layer.bias.value().iter().all(|b| *b == 0.0));
}

#[test]
fn empty_batches_pass_through() {
    let layer: Conv2d = Conv2d::new(3, 4, [2, 2], &mut rng(1));
    let x = Tensor::parameter(normal(&[0, 3, 5, 4], 1).value());
    let y = layer.forward(&x);
    assert_eq!(y.shape(), [0, 4, 4, 3]);
    let gradients = y.sum().backward();
    assert_eq!(gradients.get(&x).unwrap().shape(), [0, 3, 5, 4]);
    assert_eq!(gradients.get(&layer.weight).unwrap(), &(&layer.weight * 0.0));
    // An image without a pixel, all padding, is all zeros.
    let padded = layer.with_padding([1, 1]).forward(&normal(&[2, 3, 0, 0], 1));
    assert_eq!(padded, Tensor::new(Array4::zeros((2, 4, 1, 1))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn follows_the_definition(
        batch in 1..3usize, channels in 1..4usize, out in 1..4usize,
        image in prop::array::uniform2(1..7usize), kernel in prop::array::uniform2(1..4usize),
        stride in prop::array::uniform2(1..4usize), padding in prop::array::uniform2(0..3usize),
        seed in 0..1000u64,
    ) {
        prop_assume!((0..2).all(|axis| image[axis] + 2 * padding[axis] >= kernel[axis]));
        let x = normal(&[batch, channels, image[0], image[1]], seed);
        let w = normal(&[out, channels, kernel[0], kernel[1]], seed + 1);
        let b = normal(&[out], seed + 2);
        let got = layer(&w, &b, stride, padding).forward(&x);
        assert_close("y", &got, &by_definition(&x, &w, &b, stride, padding), 1e-13);
    }
}

#[test]
fn what_does_not_fit_is_refused_at_the_line_of_the_caller() {
    let new = |channels, kernel| Conv2d::<f64>::new(channels, 4, kernel, &mut rng(1));
    let forward = |shape: &[usize]| new(3, [3, 2]).forward(&normal(shape, 1));
    let mut bare = new(3, [3, 2]);
    bare.weight = normal(&[4, 3], 1);
    let mut wrong = new(3, [3, 2]);
    wrong.bias = normal(&[3], 1);
    let x = normal(&[2, 3, 5, 4], 1);
    let cases = [
        (
            panic_of(|| new(0, [3, 3])),
            "Conv2d: expected at least one input channel and a kernel of at least [1, 1], got 0 and [3, 3]",
        ),
        (
            panic_of(|| new(3, [3, 0])),
            "Conv2d: expected at least one input channel and a kernel of at least [1, 1], got 3 and [3, 0]",
        ),
        (
            panic_of(|| new(3, [3, 2]).with_stride([1, 0])),
            "Conv2d: expected a stride of at least [1, 1], got [1, 0]",
        ),
        (
            panic_of(|| forward(&[2, 4, 5, 4])),
            "Conv2d: expected an input of shape [batch, 3, height, width], got [2, 4, 5, 4]",
        ),
        (
            panic_of(|| forward(&[3, 5, 4])),
            "Conv2d: expected an input of shape [batch, 3, height, width], got [3, 5, 4]",
        ),
        (
            panic_of(|| forward(&[2, 3, 2, 4])),
            "Conv2d: expected an image at least as large as the kernel [3, 2], got [2, 4] with its padding",
        ),
        (
            panic_of(|| bare.forward(&x)),
            "Conv2d: expected a weight of shape [out_channels, in_channels, height, width], got [4, 3]",
        ),
        (panic_of(|| wrong.forward(&x)), "Conv2d: expected a bias of shape [4], got [3]"),
    ];
    for ((message, file), expected) in cases {
        assert_eq!(message, expected);
        assert!(file.ends_with("tests/conv.rs"), "{expected}: blamed on {file}");
    }
}
