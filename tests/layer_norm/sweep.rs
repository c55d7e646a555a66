//! All five layers at every length at which another loop may be taken, against the formulas in `f64`.

use std::ops::Range;

use evenkeel::{BatchNorm, Float, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Tensor};
use ndarray::{ArrayD, IxDyn};

const EPS: f64 = 1e-5;

/// Numbers between -1 and 1 around an offset, which `f32` holds exactly.
fn numbers<T: Float>(shape: &[usize], seed: u32, offset: f64) -> Tensor<T> {
    let number = |i: u32| {
        let bits = i.wrapping_add(seed.wrapping_mul(977)).wrapping_mul(0x9E37_79B1) >> 15;
        T::of(f64::from(bits) / f64::from(1 << 16) - 1.0 + offset)
    };
    let len = u32::try_from(shape.iter().product::<usize>()).unwrap();
    Tensor::parameter(ArrayD::from_shape_vec(IxDyn(shape), (0..len).map(number).collect()).unwrap())
}

/// Where the numbers of a set stand: stretches side by side, each with its first feature and the step
/// from one number's feature to the next, which is 0 for planes and 1 for rows.
type Set = Vec<(Range<usize>, usize, usize)>;

/// y, dx, dγ, dβ by the formulas, two passes and all in `f64`.
fn plain([x, dy, gamma, beta]: [&[f64]; 4], sets: &[Set], centred: bool) -> [Vec<f64>; 4] {
    let (mut y, mut dx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let (mut dgamma, mut dbeta) = (vec![0.0; gamma.len()], vec![0.0; gamma.len()]);
    for set in sets {
        let stretch = |(range, first, step): &(Range<usize>, usize, usize)| {
            let (start, first, step) = (range.start, *first, *step);
            range.clone().map(move |at| (at, first + (at - start) * step))
        };
        let places: Vec<(usize, usize)> = set.iter().flat_map(stretch).collect();
        let n = places.len() as f64;
        let mean_of =
            |f: &dyn Fn((usize, usize)) -> f64| places.iter().copied().map(f).sum::<f64>() / n;
        let mean = if centred { mean_of(&|(at, _)| x[at]) } else { 0.0 };
        let var = mean_of(&|(at, _)| (x[at] - mean).powi(2));
        let sd = (var + EPS).sqrt();
        let x_hat = |at: usize| (x[at] - mean) / sd;
        let g = |(at, j): (usize, usize)| gamma[j] * dy[at];
        let mean_g = if centred { mean_of(&g) } else { 0.0 };
        let mean_g_x_hat = mean_of(&|place| g(place) * x_hat(place.0));
        for (at, j) in places {
            y[at] = gamma[j] * x_hat(at) + beta[j];
            dx[at] = (g((at, j)) - mean_g - x_hat(at) * mean_g_x_hat) / sd;
            dgamma[j] += dy[at] * x_hat(at);
            dbeta[j] += dy[at];
        }
    }
    [y, dx, dgamma, dbeta]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Layer {
    Rows,
    Rms,
    Batch,
    Group(usize),
    Instance,
}

/// Where the sets of a layer stand in an input `[batch, channels, positions]` (of rows: `[rows, 1, features]`).
fn sets(layer: Layer, [batch, channels, positions]: [usize; 3]) -> Vec<Set> {
    let plane = |b: usize, c: usize| {
        let first = (b * channels + c) * positions;
        (first..first + positions, c, 0)
    };
    match layer {
        Layer::Rows | Layer::Rms => {
            (0..batch).map(|row| vec![(row * positions..(row + 1) * positions, 0, 1)]).collect()
        }
        Layer::Batch => (0..channels).map(|c| (0..batch).map(|b| plane(b, c)).collect()).collect(),
        Layer::Group(groups) => {
            let size = channels / groups;
            let group = |b, g| (g * size..(g + 1) * size).map(|c| plane(b, c)).collect();
            (0..batch).flat_map(|b| (0..groups).map(move |g| group(b, g))).collect()
        }
        Layer::Instance => {
            (0..batch).flat_map(|b| (0..channels).map(move |c| vec![plane(b, c)])).collect()
        }
    }
}

/// The largest error of y, dx, dγ and dβ, each relative to the largest number of its kind.
fn worst<T: Float>(layer: Layer, dims: [usize; 3], offset: f64) -> f64 {
    let [batch, channels, positions] = dims;
    let rows = matches!(layer, Layer::Rows | Layer::Rms);
    let shape = if rows {
        vec![batch, positions]
    } else if positions == 1 && layer == Layer::Batch {
        vec![batch, channels]
    } else {
        vec![batch, channels, positions]
    };
    let features = if rows { positions } else { channels };
    let (x, dy) = (numbers::<T>(&shape, 1, offset), numbers::<T>(&shape, 2, 0.25));
    let (gamma, beta) = (numbers::<T>(&[features], 3, 0.5), numbers::<T>(&[features], 4, 0.0));
    macro_rules! pass {
        ($layer:expr, $forward:ident) => {{
            let mut layer = $layer;
            (layer.gamma, layer.beta) = (gamma.clone(), beta.clone());
            let y = layer.$forward(&x);
            let gradients = y.backward_from(&dy);
            let of = |of: &Tensor<T>| gradients.get(of).unwrap().clone();
            vec![y, of(&x), of(&gamma), of(&beta)]
        }};
    }
    let got = match layer {
        Layer::Rows => pass!(LayerNorm::new(features), forward),
        Layer::Rms => {
            let mut layer = RMSNorm::new(features).with_eps(EPS);
            layer.gamma = gamma.clone();
            let y = layer.forward(&x);
            let gradients = y.backward_from(&dy);
            let of = |of: &Tensor<T>| gradients.get(of).unwrap().clone();
            vec![y, of(&x), of(&gamma)]
        }
        Layer::Batch => pass!(BatchNorm::new(channels), forward_train),
        Layer::Group(groups) => pass!(GroupNorm::new(groups, channels), forward),
        Layer::Instance => pass!(InstanceNorm::new(channels).with_affine(), forward),
    };
    let wide = |of: &Tensor<T>| of.value().iter().map(|x| x.wide()).collect::<Vec<_>>();
    let [x, dy, gamma, mut beta] = [&x, &dy, &gamma, &beta].map(wide);
    if layer == Layer::Rms {
        beta.fill(0.0);
    }
    let want = plain([&x, &dy, &gamma, &beta], &sets(layer, dims), layer != Layer::Rms);
    let mut worst = 0.0;
    for (got, want) in got.iter().zip(&want) {
        let size = want.iter().fold(1.0, |size: f64, want| size.max(want.abs()));
        for (got, want) in got.value().iter().zip(want) {
            let error = (got.wide() - want).abs() / size;
            worst = if error.is_nan() { f64::INFINITY } else { error.max(worst) };
        }
    }
    worst
}

fn check(layer: Layer, dims: [usize; 3]) {
    for offset in [0.0, 3.0] {
        let (error, error32) =
            (worst::<f64>(layer, dims, offset), worst::<f32>(layer, dims, offset));
        assert!(error < 1e-12, "{layer:?} at {dims:?}, f64: {error:e}");
        assert!(error32 < 5e-6, "{layer:?} at {dims:?}, f32: {error32:e}");
    }
}

#[test]
fn rows_of_every_length() {
    let lengths = (1..=420).chain(1020..1030).chain([2047, 2048, 2049, 4095, 4096, 4097, 4200]);
    for n in lengths {
        check(Layer::Rms, [3, 1, n]);
        check(Layer::Rows, [3, 1, n]);
    }
}

#[test]
fn channels_and_positions_of_every_number() {
    for n in 1..=140 {
        check(Layer::Batch, [5, n, 1]);
        check(Layer::Batch, [2, 3, n]);
        check(Layer::Group(2), [2, 4, n]);
        check(Layer::Group(n), [2, n * 2, 3]);
        if n > 1 {
            check(Layer::Instance, [2, 3, n]);
        }
    }
}

/// Above 100,000 numbers work is cut into pieces, above 4 MiB rows go one at a time, and sums over rows
/// move into `f64` after 16 of them.
#[test]
fn sizes_above_every_threshold() {
    for (layer, dims) in [
        (Layer::Rows, [700, 1, 301]),
        (Layer::Rows, [263, 1, 4099]),
        (Layer::Rms, [700, 1, 301]),
        (Layer::Rms, [263, 1, 4099]),
        (Layer::Rows, [100_003, 1, 3]),
        (Layer::Batch, [1501, 83, 1]),
        (Layer::Batch, [100_003, 2, 1]),
        (Layer::Batch, [7, 6, 3001]),
        (Layer::Batch, [50, 41, 61]),
        (Layer::Group(3), [5, 6, 4001]),
        (Layer::Group(41), [50, 41, 61]),
        (Layer::Instance, [5, 6, 4001]),
        (Layer::Instance, [1, 1, 120_001]),
    ] {
        check(layer, dims);
    }
}

/// The same number over very many rows: what it adds up to must not drift.
#[test]
fn the_gradients_of_gamma_and_beta_do_not_drift() {
    let rows = 90_000;
    let x = Tensor::parameter(ArrayD::from_shape_fn(IxDyn(&[rows, 2]), |at| at[1] as f32));
    let dy = Tensor::new(ArrayD::from_elem(IxDyn(&[rows, 2]), 0.1_f32));
    let sum = rows as f64 * 0.1_f32.wide();
    let x_hat = 0.5 / (0.25 + EPS).sqrt();
    let layer = LayerNorm::new(2);
    let gradients = layer.forward(&x).backward_from(&dy);
    let near =
        |got: f32, want: f64| assert!((got.wide() / want - 1.0).abs() < 1e-6, "{got} for {want}");
    for (column, sign) in [-1.0, 1.0].into_iter().enumerate() {
        near(gradients.get(&layer.gamma).unwrap().value()[[column]], sign * sum * x_hat);
        near(gradients.get(&layer.beta).unwrap().value()[[column]], sum);
    }
    let layer = RMSNorm::new(2);
    let gradients = layer.forward(&x).backward_from(&dy);
    near(gradients.get(&layer.gamma).unwrap().value()[[1]], sum / (0.5_f64 + 1e-6).sqrt());
    let mut layer = BatchNorm::new(2);
    let gradients = layer.forward_train(&x).backward_from(&dy);
    near(gradients.get(&layer.beta).unwrap().value()[[1]], sum);
}

/// Tiny and huge rows of several lengths: squares in the element type lose digits before they vanish.
#[test]
fn rows_of_any_size_keep_their_digits() {
    for exponent in -27..=30 {
        for n in [2, 5, 16, 33, 700] {
            let factor = 10f64.powi(exponent);
            let x = numbers::<f32>(&[1, n], 5, 0.1) * f32::of(factor);
            let wide: Vec<f64> = x.value().iter().map(|x| x.wide()).collect();
            let mean = wide.iter().sum::<f64>() / n as f64;
            let sd = (wide.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            let layers = [
                LayerNorm::new(n).with_eps(0.0).forward(&x),
                BatchNorm::new(1).with_eps(0.0).forward_train(&x.transpose()),
                GroupNorm::new(1, 1).with_eps(0.0).forward(&x.reshape(&[1, 1, n])),
                InstanceNorm::new(1).with_eps(0.0).forward(&x.reshape(&[1, 1, n])),
            ];
            for y in layers {
                for (y, x) in y.value().iter().zip(&wide) {
                    assert!((y.wide() - (x - mean) / sd).abs() < 2e-6, "1e{exponent}, {n}: {y}");
                }
            }
            let rms = (wide.iter().map(|x| x * x).sum::<f64>() / n as f64).sqrt();
            for (y, x) in RMSNorm::new(n).with_eps(0.0).forward(&x).value().iter().zip(&wide) {
                assert!((y.wide() - x / rms).abs() < 1e-6, "1e{exponent}, {n}: {y}");
            }
        }
    }
}
