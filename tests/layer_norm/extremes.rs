//! All five layers where the statistics fit the type and the steps on the way to them do not.

use evenkeel::{BatchNorm, Float, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Tensor};
use ndarray::{Array2, ArrayD, IxDyn, array};

/// y, dx, dγ and dβ of a layer, its γ and β not 1 and 0.
type Pass<T> = fn(&Tensor<T>, &Tensor<T>, f64) -> Vec<Tensor<T>>;

fn gamma<T: Float>(shape: &[usize]) -> Tensor<T> {
    let number = |i: usize| T::of([1.5, -0.75, 0.5, 2.0, -1.0][i % 5]);
    Tensor::parameter(
        ArrayD::from_shape_vec(IxDyn(shape), (0..shape.iter().product()).map(number).collect())
            .unwrap(),
    )
}

fn beta<T: Float>(shape: &[usize]) -> Tensor<T> {
    Tensor::parameter(ArrayD::zeros(IxDyn(shape)))
}

macro_rules! pass {
    ($layer:expr, $shape:expr, $forward:ident, [$($parameter:ident),*]) => {
        |x, dy, eps| {
            let mut layer = $layer.with_eps(eps);
            let shape = $shape(x.shape());
            layer.gamma = gamma(&shape);
            $(if stringify!($parameter) == "beta" { layer.$parameter = beta(&shape); })*
            let y = layer.$forward(x);
            let gradients = y.backward_from(dy);
            let mut all = vec![y.detach(), gradients.get(x).unwrap().clone()];
            $(all.push(gradients.get(&layer.$parameter).unwrap().clone());)*
            all
        }
    };
}

fn passes<T: Float>() -> Vec<(&'static str, Vec<usize>, Pass<T>)> {
    fn last(shape: &[usize]) -> Vec<usize> {
        vec![shape[shape.len() - 1]]
    }
    fn channels(shape: &[usize]) -> Vec<usize> {
        vec![shape[1]]
    }
    vec![
        ("LayerNorm", vec![3, 5], pass!(LayerNorm::new(5), last, forward, [gamma, beta])),
        ("LayerNorm, wide", vec![2, 77], pass!(LayerNorm::new(77), last, forward, [gamma, beta])),
        ("RMSNorm", vec![3, 5], pass!(RMSNorm::new(5), last, forward, [gamma])),
        ("RMSNorm, wide", vec![2, 77], pass!(RMSNorm::new(77), last, forward, [gamma])),
        (
            "BatchNorm of a matrix",
            vec![7, 3],
            pass!(BatchNorm::new(3), channels, forward_train, [gamma, beta]),
        ),
        (
            "BatchNorm",
            vec![2, 3, 5],
            pass!(BatchNorm::new(3), channels, forward_train, [gamma, beta]),
        ),
        (
            "BatchNorm, wide",
            vec![2, 3, 50],
            pass!(BatchNorm::new(3), channels, forward_train, [gamma, beta]),
        ),
        ("GroupNorm", vec![2, 4, 3], pass!(GroupNorm::new(2, 4), channels, forward, [gamma, beta])),
        (
            "InstanceNorm",
            vec![2, 3, 5],
            pass!(InstanceNorm::new(3).with_affine(), channels, forward, [gamma, beta]),
        ),
    ]
}

/// Small multiples of 1/8, so that a factor of a power of two is exact; not symmetric about 0.
fn eighths<T: Float>(shape: &[usize], seed: usize, scale: f64) -> Tensor<T> {
    let number = |i: usize| T::of((((i * 37 + seed * 11) % 29) as f64 - 9.0) / 8.0 * scale);
    let numbers = (0..shape.iter().product()).map(number).collect();
    Tensor::parameter(ArrayD::from_shape_vec(IxDyn(shape), numbers).unwrap())
}

fn close<T: Float>(what: &str, got: &Tensor<T>, want: &Tensor<f64>, scale: f64, tolerance: f64) {
    let size = want.value().fold(1e-3, |size: f64, want| size.max(want.abs()));
    // Numbers next to zero are so far apart, and a sum has some of them.
    let step = T::min_positive_value().wide() * T::epsilon().wide() / scale / size;
    for (got, want) in got.value().iter().zip(want.value()) {
        // Two steps, for the scale itself may be no number that can be divided by.
        let error = (got.wide() / scale - want).abs() / size;
        assert!(
            error <= tolerance + 8.0 * step,
            "{what}: expected {want} · {scale:e}, got {got:e}, error {error:.1e}"
        );
    }
}

/// A factor on x does not change y. With the same factor on dy, dx is unchanged too, and dγ and dβ get it.
fn any_scale_is_normalized_like_any_other<T: Float>(exponents: &[i32], tolerance: f64) {
    for (pass, wide) in passes::<T>().into_iter().zip(passes::<f64>()) {
        let ((layer, shape, pass), (.., wide)) = (pass, wide);
        for eps in [0.0, 0.25] {
            let [x, dy] = [1, 2].map(|seed| eighths::<f64>(&shape, seed, 1.0));
            let want = wide(&x, &dy, eps);
            for &exponent in exponents {
                let scale = 2f64.powi(exponent / 2) * 2f64.powi(exponent - exponent / 2);
                let unscaled = eps;
                let eps = eps * scale * scale;
                if unscaled > 0.0 && !eps.is_normal() {
                    continue; // no such eps
                }
                let [x, dy] = [1, 2].map(|seed| eighths::<T>(&shape, seed, scale));
                let got = pass(&x, &dy, eps);
                for (k, (got, want)) in got.iter().zip(&want).enumerate() {
                    let name = ["y", "dx", "dγ", "dβ"][k];
                    let scale = if k < 2 { 1.0 } else { scale };
                    close(
                        &format!("{layer}, {name} at 2^{exponent}, eps {eps:e}"),
                        got,
                        want,
                        scale,
                        tolerance,
                    );
                }
            }
        }
    }
}

#[test]
fn an_f32_of_any_size_is_normalized_like_any_other() {
    let exponents: Vec<i32> =
        (-140..=-100).step_by(5).chain([-75, -50, 0, 50, 70]).chain(100..=119).collect();
    any_scale_is_normalized_like_any_other::<f32>(&exponents, 2e-6);
}

#[test]
fn an_f64_of_any_size_is_normalized_like_any_other() {
    let exponents: Vec<i32> = (-1040..=1010).step_by(16).chain([-1033, 1012, 1013]).collect();
    any_scale_is_normalized_like_any_other::<f64>(&exponents, 1e-13);
}

/// The largest numbers of both signs, one of them alone, and the smallest.
#[test]
fn rows_of_the_largest_and_the_smallest_numbers() {
    fn check<T: Float>() {
        let largest = T::max_value();
        for (row, want) in [
            ([largest, -largest], [1.0, -1.0]),
            ([T::of(3e38), T::of(-3e38)], [1.0, -1.0]),
            ([T::of(1e-39), T::of(-1e-39)], [1.0, -1.0]),
            ([T::zero(), T::min_positive_value() * T::epsilon()], [-1.0, 1.0]),
        ] {
            let x = Tensor::<T>::new(array![row]);
            let y = LayerNorm::new(2).with_eps(0.0).forward(&x);
            close("LayerNorm", &y, &Tensor::new(array![want]), 1.0, 1e-6);
            let y = BatchNorm::new(1).with_eps(0.0).forward_train(&x.transpose());
            close("BatchNorm", &y.transpose(), &Tensor::new(array![want]), 1.0, 1e-6);
            let y = GroupNorm::new(1, 2).with_eps(0.0).forward(&x);
            close("GroupNorm", &y, &Tensor::new(array![want]), 1.0, 1e-6);
            let y = InstanceNorm::new(1).with_eps(0.0).forward(&x.reshape(&[1, 1, 2]));
            close("InstanceNorm", &y.reshape(&[1, 2]), &Tensor::new(array![want]), 1.0, 1e-6);
        }
        // One against many: x̂ of the one is √(n - 1), whatever its distance from the mean.
        for n in [4, 20, 1000] {
            let mut row = Array2::from_elem((1, n), -largest);
            row[[0, n / 2]] = largest;
            let y = LayerNorm::new(n).with_eps(0.0).forward(&Tensor::new(row));
            let want = ((n - 1) as f64).sqrt();
            assert!((y.value()[[0, n / 2]].wide() / want - 1.0).abs() < 1e-6, "{n}");
            assert!((y.value()[[0, 0]].wide() * want + 1.0).abs() < 1e-6, "{n}");
        }
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn equal_numbers_are_beta_for_any_eps_above_zero() {
    fn check<T: Float>(eps: f64) {
        for number in [0.0, 0.1, -7.25, 1e-30, 1e30] {
            let beta = array![T::of(0.5), T::of(-3.0), T::of(1e-20)];
            let x = Tensor::parameter(Array2::from_elem((4, 3), T::of(number)));
            let mut layer = LayerNorm::new(3).with_eps(eps);
            layer.beta = Tensor::parameter(beta.clone());
            let y = layer.forward(&x);
            for row in y.value().rows() {
                assert_eq!(
                    row,
                    beta.view().into_dyn().view().into_dimensionality().unwrap(),
                    "{number}, {eps}"
                );
            }
            // An upstream of which the mean is 0 and x̂ is 0: dx is dy/√eps, infinite where that is.
            let gradients = y.backward_from(&Tensor::new(Array2::zeros((4, 3))));
            assert!(gradients.get(&x).unwrap().value().iter().all(|dx| *dx == T::zero()));

            let mut layer = BatchNorm::new(3).with_eps(eps);
            layer.beta = Tensor::parameter(beta.clone());
            assert_eq!(layer.forward_train(&x), y);
            let mut layer = GroupNorm::new(3, 3).with_eps(eps);
            layer.beta = Tensor::parameter(beta.clone());
            assert_eq!(layer.forward(&x), y);
        }
        let zeros = Tensor::new(Array2::from_elem((2, 40), T::zero()));
        assert_eq!(RMSNorm::new(40).with_eps(eps).forward(&zeros), zeros);
    }
    for eps in [1e-5, 1e-80, 1e-300, f64::MIN_POSITIVE, 5e-324] {
        check::<f32>(eps);
        check::<f64>(eps);
    }
}

/// An `eps` beside which the variance is nothing, and one that no `f32` can hold.
#[test]
fn a_huge_eps_keeps_its_digits() {
    for eps in [1e10, 1e60, 1e75, 1e80] {
        let x = Tensor::new(array![[1e18_f32, -1e18, 3e18, 0.0]]);
        let want = (Tensor::new(array![[1e18_f32.wide(), -1e18_f32.wide(), 3e18_f32.wide(), 0.0]])
            - 0.75e18)
            / f64::sqrt(2.1875e36 + eps);
        let y = LayerNorm::new(4).with_eps(eps).forward(&x);
        for (y, want) in y.value().iter().zip(want.value()) {
            assert!((y.wide() / want - 1.0).abs() < 1e-5, "{eps:e}: {y:?} for {want:e}");
        }
    }
}

/// γ/σ may be no normal number where γ·x̂ is.
#[test]
fn a_small_gamma_meets_a_large_spread() {
    let x = Tensor::new(array![[1e18_f32], [-1e18]]);
    let mut layer = BatchNorm::new(1).with_eps(0.0);
    layer.gamma = Tensor::parameter(array![1e-25_f32]);
    let y = layer.forward_train(&x);
    assert!(
        (y.value()[[0, 0]] / 1e-25 - 1.0).abs() < 1e-6
            && (y.value()[[1, 0]] / -1e-25 - 1.0).abs() < 1e-6,
        "{y:?}"
    );
    let mut layer = GroupNorm::new(1, 1).with_eps(0.0);
    layer.gamma = Tensor::parameter(array![1e-25_f32]);
    let y = layer.forward(&x.reshape(&[1, 1, 2]));
    assert!((y.value()[[0, 0, 0]] / 1e-25 - 1.0).abs() < 1e-6, "{y:?}");
}

/// At inference: a remembered variance whose root is no `f32` times `eps`, and a distance that overflows.
#[test]
fn what_was_remembered_may_be_extreme_too() {
    let mut layer = BatchNorm::<f32>::new(1).with_eps(0.0);
    layer.running_mean = Tensor::new(array![-3e38_f32]);
    layer.running_var = Tensor::new(array![1e38_f32]);
    let x = Tensor::parameter(array![[3e38_f32], [-3e38]]);
    let y = layer.forward(&x);
    assert!((y.value()[[0, 0]] / 6e19 - 1.0).abs() < 1e-6 && y.value()[[1, 0]] == 0.0, "{y:?}");
    layer.running_mean = Tensor::new(array![0.0_f32]);
    layer.running_var = Tensor::new(array![1e-45_f32]);
    let layer = layer.with_eps(1e-90);
    let y = layer.forward(&Tensor::new(array![[1e-30_f32]]));
    let want = 1e-30_f32.wide() / (1e-45_f32.wide() + 1e-90).sqrt();
    assert!((y.item().wide() / want - 1.0).abs() < 1e-6, "{y:?} for {want:e}");
    layer_with_no_variance(1e-80);
}

fn layer_with_no_variance(eps: f64) {
    let mut layer = BatchNorm::<f32>::new(1).with_eps(eps);
    layer.running_var = Tensor::new(array![0.0_f32]);
    let x = Tensor::parameter(array![[1e-30_f32], [0.0]]);
    let y = layer.forward(&x);
    assert!((y.value()[[0, 0]] / 1e10 - 1.0).abs() < 1e-6 && y.value()[[1, 0]] == 0.0, "{y:?}");
    let gradients = y.backward_from(&Tensor::new(array![[1e-20_f32], [0.0]]));
    let dx = gradients.get(&x).unwrap();
    assert!((dx.value()[[0, 0]] / 1e20 - 1.0).abs() < 1e-6 && dx.value()[[1, 0]] == 0.0, "{dx:?}");
}

/// Upstream gradients near the largest number: sums of them overflow, dx and what they sum up to do not.
#[test]
fn the_largest_upstream_gradients_keep_their_sums() {
    the_largest_upstream_gradients(40, 3);
    the_largest_upstream_gradients(4, 80);
}

fn the_largest_upstream_gradients(rows: usize, n: usize) {
    let big = 2f32.powi(126);
    let x = Tensor::parameter(Array2::from_shape_fn((rows, n), |(i, j)| {
        ((i * 7 + j * 5) % 11) as f32 * 1e3
    }));
    let dy = Tensor::new(Array2::from_shape_fn(
        (rows, n),
        |(i, _)| if i < rows / 2 { big } else { -big },
    ));
    let x64 = Tensor::parameter(x.value().mapv(Float::wide));
    let dy64 = Tensor::new(dy.value().mapv(Float::wide));
    macro_rules! compare {
        ($new:expr, $new64:expr, $forward:ident) => {{
            #[allow(unused_mut)] // BatchNorm alone changes in its pass
            let (mut layer, mut layer64) = ($new, $new64);
            let (got, want) = (
                layer.$forward(&x).backward_from(&dy),
                layer64.$forward(&x64).backward_from(&dy64),
            );
            let pairs = [(&x, &x64), (&layer.gamma, &layer64.gamma), (&layer.beta, &layer64.beta)];
            for (what, (of, of64)) in ["dx", "dγ", "dβ"].into_iter().zip(pairs) {
                let (got, want) = (got.get(of).unwrap(), want.get(of64).unwrap());
                close(what, got, &(want / big.wide()), big.wide(), 1e-5);
            }
        }};
    }
    compare!(LayerNorm::new(n), LayerNorm::new(n), forward);
    compare!(BatchNorm::new(n), BatchNorm::new(n), forward_train);
    compare!(GroupNorm::new(1, n), GroupNorm::new(1, n), forward);
}

/// What stands in front sets the origin of a row: an outlier there must not cost the others digits.
#[test]
fn an_outlier_in_front_costs_no_digits() {
    let small = |i: usize| ((i * 7919) % 1009) as f32 / 1009.0 - 0.5;
    let n = 65_537;
    for front in [1, 16] {
        let row = Array2::from_shape_fn((1, n), |(_, i)| if i < front { 1e8 } else { small(i) });
        let wide = row.mapv(Float::wide);
        let mean = wide.mean().unwrap();
        let sd = (wide.mapv(|x| (x - mean).powi(2)).mean().unwrap() + 1e-5).sqrt();
        let want = wide.mapv(|x| (x - mean) / sd);
        let y = LayerNorm::new(n).forward(&Tensor::new(row.clone()));
        let columns = BatchNorm::new(1).forward_train(&Tensor::new(row.t()));
        let images = GroupNorm::new(1, 1).forward(&Tensor::new(row.clone()).reshape(&[1, 1, n]));
        for y in [y, columns.transpose(), images.reshape(&[1, n])] {
            for (y, want) in y.value().iter().zip(&want) {
                assert!((y.wide() - want).abs() <= 3e-7 * want.abs().max(1e-3), "{y} for {want}");
            }
        }
    }
    // The case that was seen: y[1] was -0.0039117.
    let mut row = Array2::<f32>::zeros((1, n));
    row[[0, 0]] = 1e8;
    let y = LayerNorm::new(n).forward(&Tensor::new(row));
    assert!((y.value()[[0, 1]] / -0.003_906_2 - 1.0).abs() < 1e-4, "{y:?}");
}

/// Above half of the last place of the largest number, an origin makes distances overflow.
#[test]
fn a_distance_from_a_remembered_mean_may_overflow() {
    for (sign, places) in [(1.0_f32, vec![4, 1]), (-1.0, vec![2, 1, 2])] {
        let mut layer = BatchNorm::<f32>::new(1);
        layer.running_mean = Tensor::new(array![sign * 2f32.powi(105)]);
        layer.running_var = Tensor::new(array![1e38_f32]);
        let x = Tensor::parameter(ArrayD::from_elem(IxDyn(&places), -sign * f32::MAX));
        let y = layer.forward(&x);
        let want =
            f64::from(-sign) * (f64::from(f32::MAX) + 2f64.powi(105)) / f64::from(1e38_f32).sqrt();
        assert!(y.value().iter().all(|y| (f64::from(*y) / want - 1.0).abs() < 1e-6), "{y:?}");
        let dx = y.sum().backward()[&x].value()[IxDyn(&vec![0; places.len()])];
        assert!((dx / 1e-19 - 1.0).abs() < 1e-6, "{dx}");
    }
}

/// One channel of a group fits the fast loops and the other does not.
#[test]
fn one_channel_that_does_not_fit_takes_its_group_along() {
    for gamma in [array![1.0, 1e30_f32], array![1e30_f32, 1.0], array![1e-30_f32, 1.0]] {
        let mut layer = GroupNorm::<f32>::new(1, 2).with_eps(0.0);
        layer.gamma = Tensor::parameter(gamma.view());
        let size = if gamma[0] < 1.0 { 1e18 } else { 1e-20 };
        let x = Tensor::parameter(array![[[size, -size], [size, -size]]]);
        let y = layer.forward(&x);
        for (channel, &gamma) in gamma.iter().enumerate() {
            for (place, want) in [(0, gamma), (1, -gamma)] {
                let y = y.value()[[0, channel, place]];
                assert!((y / want - 1.0).abs() < 1e-6, "{y} for {want}");
            }
        }
    }
}

/// Σ dy is 0 while Σ dy·x̂ overflows, and the other way round, in one channel of two.
#[test]
fn one_infinite_sum_spoils_no_gradient_that_fits() {
    let big = 2f32.powi(126);
    let x = Array2::from_shape_fn((64, 2), |(i, _)| if i % 2 == 0 { 1.0_f32 } else { -1.0 });
    for alternate in [true, false] {
        for first in [0, 1] {
            let dy = Array2::from_shape_fn((64, 2), |(i, c)| match (c == first, alternate) {
                (false, _) => (i % 5) as f32,
                (true, true) => big * x[[i, c]],
                (true, false) => big,
            });
            let of = |dims: &[usize], numbers: &Array2<f32>| {
                Tensor::parameter(numbers.view()).transpose().reshape(dims).detach()
            };
            let wide = |tensor: &Tensor<f32>| Tensor::parameter(tensor.value().mapv(f64::from));
            // As columns, as planes, and as the two channels of one group.
            let columns = (Tensor::parameter(x.view()), Tensor::new(dy.view()));
            let planes = (Tensor::parameter(of(&[1, 2, 64], &x).value()), of(&[1, 2, 64], &dy));
            for (x, dy) in [columns, planes] {
                let x64 = wide(&x);
                let got = BatchNorm::new(2).forward_train(&x).backward_from(&dy);
                let want = BatchNorm::new(2).forward_train(&x64).backward_from(&wide(&dy).detach());
                let (got, want) = (&got[&x], &want[&x64] / f64::from(big));
                close("dx of BatchNorm", got, &want, f64::from(big), 1e-6);
                if x.shape().len() == 2 {
                    continue; // groups of two numbers, which are equal here
                }
                let got = GroupNorm::new(1, 2).forward(&x).backward_from(&dy);
                let want = GroupNorm::new(1, 2).forward(&x64).backward_from(&wide(&dy).detach());
                let (got, want) = (&got[&x], &want[&x64] / f64::from(big));
                close("dx of GroupNorm", got, &want, f64::from(big), 1e-6);
            }
        }
    }
}

/// Sums that overflow on the way and are 0 in the end, but for roundings of their largest.
#[test]
fn gradients_of_gamma_and_beta_that_cancel_are_zero() {
    fn check<T: Float>() {
        let rows = 128;
        let x = Tensor::<T>::new(Array2::from_shape_fn((rows, 3), |(_, j)| T::of(j as f64)));
        let dy = Tensor::new(Array2::from_elem((rows, 3), T::max_value() / T::of(4.0)));
        let sign =
            Array2::from_shape_fn((rows, 3), |(i, _)| T::of(if i < rows / 2 { 1.0 } else { -1.0 }));
        let layer = LayerNorm::new(3);
        let gradients = layer.forward(&x).backward_from(&(dy * Tensor::new(sign)));
        for parameter in [&layer.gamma, &layer.beta] {
            let small = |d: &T| d.abs() <= T::max_value() * T::of(1e-13);
            assert!(gradients[parameter].value().iter().all(small), "{gradients:?}");
        }
    }
    check::<f32>();
    check::<f64>();
}

/// A row on the careful path whose mean is no `f32`: what its rounding leaves is in the backward pass too.
#[test]
fn a_rounded_mean_does_not_show_in_the_gradients() {
    let n = 4096;
    let number = |i: usize| 1e6 + if i < 16 { 8.0 } else { [0.0, 0.0625, 0.0625, 0.0625][i % 4] };
    let x = Tensor::parameter(Array2::from_shape_fn((1, n), |(_, i)| number(i) as f32));
    let dy = Tensor::new(Array2::from_shape_fn((1, n), |(_, i)| ((i * 7) % 11) as f32 - 5.0));
    let (x64, dy64) = (Tensor::parameter(x.value().mapv(f64::from)), dy.value().mapv(f64::from));
    let (layer, layer64) = (LayerNorm::new(n), LayerNorm::new(n));
    let got = layer.forward(&x).backward_from(&dy);
    let want = layer64.forward(&x64).backward_from(&Tensor::new(dy64));
    close("dx", &got[&x], &want[&x64], 1.0, 1e-5);
    close("dγ", &got[&layer.gamma], &want[&layer64.gamma], 1.0, 1e-5);
}
