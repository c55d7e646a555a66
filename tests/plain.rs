//! The layers against the formulas as a textbook writes them, `evenkeel::plain`: outputs and all gradients,
//! `f64` and `f32`, at the tolerances of `tests/golden/README.md`. The shapes are drawn, with axes that differ.

use evenkeel::{BatchNorm, Float, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Tensor, plain, rng};
use ndarray::{Array1, Array2, Array3, ArrayD, Dimension};
use proptest::prelude::*;

use crate::close::close;

/// What is 1e-9 for `f64` is 1e-5 for `f32`.
trait Tolerance: Float {
    const TOLERANCE: f64;
}
impl Tolerance for f64 {
    const TOLERANCE: f64 = 1e-9;
}
impl Tolerance for f32 {
    const TOLERANCE: f64 = 1e-5;
}

/// One drawn case: `batch` examples of `groups · per_group` channels with `positions` each.
#[derive(Clone, Debug)]
struct Case {
    batch: usize,
    groups: usize,
    per_group: usize,
    positions: usize,
    offset: f64,
    eps: f64,
    seed: u64,
}

/// Axes that all differ, with at least three numbers wherever a mean is taken: the gradient of two is 0 but
/// for eps.
fn cases() -> impl Strategy<Value = Case> {
    let axes = (3usize..7, 1usize..4, 1usize..4, 3usize..20);
    let numbers =
        (prop_oneof![Just(0.0), -30.0..30.0], prop_oneof![Just(1e-5), 0.0..1.0], any::<u64>());
    (axes, numbers)
        .prop_map(|((batch, groups, per_group, positions), (offset, eps, seed))| Case {
            batch,
            groups,
            per_group,
            positions,
            offset,
            eps,
            seed,
        })
        .prop_filter("axes that differ", |case| {
            let (batch, channels) = (case.batch, case.groups * case.per_group);
            batch != channels && channels != case.positions && case.positions != batch
        })
}

impl Case {
    fn channels(&self) -> usize {
        self.groups * self.per_group
    }

    /// x, dy, γ and β, with numbers that `T` holds exactly.
    fn numbers<T: Float>(&self) -> (Array3<f64>, Array3<f64>, Array1<f64>, Array1<f64>) {
        let mut rng = rng(self.seed);
        let exact = |x: f64| T::of(x).wide();
        let shape = [self.batch, self.channels(), self.positions];
        let mut images = |scale: f64, offset: f64| -> Array3<f64> {
            let numbers = Tensor::randn(shape, &mut rng) * scale + offset;
            numbers.value().mapv(exact).into_dimensionality().unwrap()
        };
        let (x, dy) = (images(2.0, self.offset), images(1.0, 0.3));
        let mut features = || -> Array1<f64> {
            let numbers = Tensor::randn([self.channels()], &mut rng) + 0.5;
            numbers.value().mapv(exact).into_dimensionality().unwrap()
        };
        let (gamma, beta) = (features(), features());
        (x, dy, gamma, beta)
    }
}

fn tensor<T: Float, D: Dimension>(numbers: &ndarray::Array<f64, D>) -> Tensor<T> {
    Tensor::parameter(numbers.mapv(T::of))
}

/// The layer's y, dx, dγ and, where it has one, dβ beside the formula's.
fn compare<T: Tolerance>(
    y: &Tensor<T>,
    dy: &Tensor<T>,
    inputs: &[&Tensor<T>],
    want: &[ArrayD<f64>],
) -> Result<(), TestCaseError> {
    let gradients = y.backward_from(dy);
    let got = std::iter::once(y).chain(inputs.iter().map(|input| &gradients[*input]));
    assert_eq!(want.len(), 1 + inputs.len());
    for ((name, got), want) in ["y", "dx", "dgamma", "dbeta"].into_iter().zip(got).zip(want) {
        close(name, &got.value().mapv(T::wide), want, T::TOLERANCE).map_err(TestCaseError::fail)?;
    }
    Ok(())
}

/// `[B, C, P]` to `[B·P, C]`, as BatchNorm of a textbook sees an image.
fn as_rows(x: &Array3<f64>) -> Array2<f64> {
    let (batch, channels, positions) = x.dim();
    let rows = x.view().permuted_axes([0, 2, 1]);
    rows.to_shape((batch * positions, channels)).unwrap().to_owned()
}

fn from_rows(rows: &Array2<f64>, x: &Array3<f64>) -> ArrayD<f64> {
    let (batch, channels, positions) = x.dim();
    let rows = rows.to_shape((batch, positions, channels)).unwrap();
    rows.permuted_axes([0, 2, 1]).as_standard_layout().to_owned().into_dyn()
}

/// x and dy as `[C, B·P]`: long rows, and γ and β as long as they are.
fn long_rows<T: Float>(case: &Case) -> ([Array2<f64>; 2], [Array1<f64>; 2]) {
    let (x, dy, ..) = case.numbers::<T>();
    let rows = [x, dy].map(|x| as_rows(&x).reversed_axes().as_standard_layout().to_owned());
    let feature =
        |j: usize, i: usize| T::of((1 + i) as f64 * ((7 * j + 3 * i) % 11) as f64 / 10.0 - 0.4);
    let features = |i: usize| Array1::from_shape_fn(rows[0].ncols(), |j| feature(j, i).wide());
    let (gamma, beta) = (features(0), features(1));
    (rows, [gamma, beta])
}

fn layer_norm<T: Tolerance>(case: &Case) -> Result<(), TestCaseError> {
    let ([x, dy], [gamma, beta]) = long_rows::<T>(case);
    let mut layer = LayerNorm::<T>::new(gamma.len()).with_eps(case.eps);
    (layer.gamma, layer.beta) = (tensor(&gamma), tensor(&beta));
    let of_x = tensor(&x);
    let y = plain::layer_norm(&x, &gamma, &beta, case.eps);
    let (dx, dgamma, dbeta) = plain::layer_norm_backward(&dy, &x, &gamma, case.eps);
    let want = [y.into_dyn(), dx.into_dyn(), dgamma.into_dyn(), dbeta.into_dyn()];
    compare(&layer.forward(&of_x), &tensor(&dy), &[&of_x, &layer.gamma, &layer.beta], &want)
}

fn rms_norm<T: Tolerance>(case: &Case) -> Result<(), TestCaseError> {
    let ([x, dy], [gamma, _]) = long_rows::<T>(case);
    let mut layer = RMSNorm::<T>::new(gamma.len()).with_eps(case.eps);
    layer.gamma = tensor(&gamma);
    let of_x = tensor(&x);
    let y = plain::rms_norm(&x, &gamma, case.eps);
    let (dx, dgamma) = plain::rms_norm_backward(&dy, &x, &gamma, case.eps);
    let want = [y.into_dyn(), dx.into_dyn(), dgamma.into_dyn()];
    compare(&layer.forward(&of_x), &tensor(&dy), &[&of_x, &layer.gamma], &want)
}

fn batch_norm<T: Tolerance>(case: &Case) -> Result<(), TestCaseError> {
    let (x, dy, gamma, beta) = case.numbers::<T>();
    let (rows, dy_rows) = (as_rows(&x), as_rows(&dy));
    let momentum = 0.3;
    let mut running = plain::Running::new(case.channels());
    let mut layer = BatchNorm::<T>::new(case.channels()).with_eps(case.eps).with_momentum(momentum);
    (layer.gamma, layer.beta) = (tensor(&gamma), tensor(&beta));

    let of_x = tensor(&x);
    let y = plain::batch_norm_train(&rows, &gamma, &beta, case.eps, &mut running, momentum);
    let (dx, dgamma, dbeta) = plain::batch_norm_train_backward(&dy_rows, &rows, &gamma, case.eps);
    let want = [from_rows(&y, &x), from_rows(&dx, &x), dgamma.into_dyn(), dbeta.into_dyn()];
    let y = layer.forward_train(&of_x);
    compare(&y, &tensor(&dy), &[&of_x, &layer.gamma, &layer.beta], &want)?;
    for (name, got, want) in [
        ("running_mean", &layer.running_mean, &running.mean),
        ("running_var", &layer.running_var, &running.var),
    ] {
        close(name, &got.value().mapv(T::wide), &want.clone().into_dyn(), T::TOLERANCE)
            .map_err(TestCaseError::fail)?;
    }

    // Inference, with what the layer itself remembers.
    let exact = |tensor: &Tensor<T>| Array1::from_iter(tensor.value().iter().map(|x| x.wide()));
    let running =
        plain::Running { mean: exact(&layer.running_mean), var: exact(&layer.running_var) };
    let y = plain::batch_norm(&rows, &gamma, &beta, case.eps, &running);
    let (dx, dgamma, dbeta) =
        plain::batch_norm_backward(&dy_rows, &rows, &gamma, case.eps, &running);
    let want = [from_rows(&y, &x), from_rows(&dx, &x), dgamma.into_dyn(), dbeta.into_dyn()];
    compare(&layer.forward(&of_x), &tensor(&dy), &[&of_x, &layer.gamma, &layer.beta], &want)
}

/// BatchNorm of a matrix has loops of its own.
fn batch_norm_of_a_matrix<T: Tolerance>(case: &Case) -> Result<(), TestCaseError> {
    let (x, dy, gamma, beta) = case.numbers::<T>();
    let (x, dy) = (as_rows(&x), as_rows(&dy));
    let mut layer = BatchNorm::<T>::new(case.channels()).with_eps(case.eps);
    (layer.gamma, layer.beta) = (tensor(&gamma), tensor(&beta));
    let of_x = tensor(&x);
    let mut running = plain::Running::new(case.channels());
    let y = plain::batch_norm_train(&x, &gamma, &beta, case.eps, &mut running, 0.1);
    let (dx, dgamma, dbeta) = plain::batch_norm_train_backward(&dy, &x, &gamma, case.eps);
    let want = [y.into_dyn(), dx.into_dyn(), dgamma.into_dyn(), dbeta.into_dyn()];
    let y = layer.forward_train(&of_x);
    compare(&y, &tensor(&dy), &[&of_x, &layer.gamma, &layer.beta], &want)
}

fn group_norm<T: Tolerance>(case: &Case) -> Result<(), TestCaseError> {
    let (x, dy, gamma, beta) = case.numbers::<T>();
    let mut layer = GroupNorm::<T>::new(case.groups, case.channels()).with_eps(case.eps);
    (layer.gamma, layer.beta) = (tensor(&gamma), tensor(&beta));
    let of_x = tensor(&x);
    let y = plain::group_norm(case.groups, &x, &gamma, &beta, case.eps);
    let (dx, dgamma, dbeta) = plain::group_norm_backward(case.groups, &dy, &x, &gamma, case.eps);
    let want = [y.into_dyn(), dx.into_dyn(), dgamma.into_dyn(), dbeta.into_dyn()];
    compare(&layer.forward(&of_x), &tensor(&dy), &[&of_x, &layer.gamma, &layer.beta], &want)
}

/// As many groups as channels.
fn instance_norm<T: Tolerance>(case: &Case) -> Result<(), TestCaseError> {
    let (x, dy, gamma, beta) = case.numbers::<T>();
    let mut layer = InstanceNorm::<T>::new(case.channels()).with_eps(case.eps);
    (layer.gamma, layer.beta) = (tensor(&gamma), tensor(&beta));
    let of_x = tensor(&x);
    let y = plain::group_norm(case.channels(), &x, &gamma, &beta, case.eps);
    let (dx, dgamma, dbeta) =
        plain::group_norm_backward(case.channels(), &dy, &x, &gamma, case.eps);
    let want = [y.into_dyn(), dx.into_dyn(), dgamma.into_dyn(), dbeta.into_dyn()];
    compare(&layer.forward(&of_x), &tensor(&dy), &[&of_x, &layer.gamma, &layer.beta], &want)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn layer_norm_fused_matches_plain(case in cases()) {
        layer_norm::<f64>(&case)?;
        layer_norm::<f32>(&case)?;
    }

    #[test]
    fn rms_norm_fused_matches_plain(case in cases()) {
        rms_norm::<f64>(&case)?;
        rms_norm::<f32>(&case)?;
    }

    #[test]
    fn batch_norm_fused_matches_plain(case in cases()) {
        batch_norm::<f64>(&case)?;
        batch_norm::<f32>(&case)?;
        batch_norm_of_a_matrix::<f64>(&case)?;
        batch_norm_of_a_matrix::<f32>(&case)?;
    }

    #[test]
    fn group_norm_fused_matches_plain(case in cases()) {
        group_norm::<f64>(&case)?;
        group_norm::<f32>(&case)?;
    }

    #[test]
    fn instance_norm_fused_matches_plain(case in cases()) {
        instance_norm::<f64>(&case)?;
        instance_norm::<f32>(&case)?;
    }
}
