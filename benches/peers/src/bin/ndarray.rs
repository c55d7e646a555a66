//! Plain ndarray, as a textbook writes it: one whole-array operation per term of the formula.

use evenkeel_peers::{Case, Dtype, EPS, GROUPS, Job, LR, Layer, Outputs, Work, job};
use ndarray::{Array, Array1, Array2, Array3, Axis, Dimension, ScalarOperand};
use num_traits::{Float, FromPrimitive, NumAssign};

fn main() {
    evenkeel_peers::main("ndarray", |case, inputs| match case.dtype {
        Dtype::F32 => jobs::<f32>(case, inputs),
        Dtype::F64 => jobs::<f64>(case, inputs),
    });
}

trait Number: Float + FromPrimitive + NumAssign + ScalarOperand + 'static {}
impl Number for f32 {}
impl Number for f64 {}

fn of<T: Number>(value: f64) -> T {
    T::from_f64(value).expect("both types hold every number, rounded")
}

fn row<T: Number>(values: &[f64]) -> Array1<T> {
    values.iter().map(|&value| of(value)).collect()
}

fn numbers<T: Number, D: Dimension>(array: &Array<T, D>) -> Vec<f64> {
    array.iter().map(|value| value.to_f64().expect("a float")).collect()
}

fn jobs<T: Number>(case: &Case, inputs: &[Vec<f64>]) -> Option<Box<dyn Job>> {
    let inputs: Vec<Array1<T>> = inputs.iter().map(|values| row(values)).collect();
    match case.work {
        Work::Digits => return None,
        Work::Adam => return Some(Box::new(Adam::new(&inputs))),
        _ => {}
    }
    let [x, w, gamma, beta, mean, var] = &inputs[..] else { unreachable!("inputs of a layer") };
    let norm = Norm {
        axis: Axis(usize::from(case.layer != Layer::BatchNorm)),
        centre: case.layer != Layer::RMSNorm,
        gamma: gamma.clone(),
        beta: beta.clone(),
        running: (case.work == Work::Eval).then(|| (mean.clone(), var.clone())),
    };
    match case.shape[..] {
        [n, c] => {
            let [x, w] = [x, w].map(|values| values.to_shape((n, c)).expect("n·c").to_owned());
            layer_job(case.work, x, w, norm, Norm::forward, Norm::backward)
        }
        [n, c, ref positions @ ..] => {
            let shape = (n, c, positions.iter().product());
            let [x, w] = [x, w].map(|values| values.to_shape(shape).expect("n·c·p").to_owned());
            if case.layer == Layer::GroupNorm {
                layer_job(case.work, x, w, norm, Norm::forward_groups, Norm::backward_groups)
            } else {
                layer_job(case.work, x, w, norm, Norm::forward_images, Norm::backward_images)
            }
        }
        _ => None,
    }
}

/// Statistics over one axis of a matrix.
struct Norm<T> {
    axis: Axis,
    centre: bool,
    gamma: Array1<T>,
    beta: Array1<T>,
    running: Option<(Array1<T>, Array1<T>)>,
}

/// What the backward pass needs.
struct Kept<T> {
    normalized: Array2<T>,
    sd: Array2<T>,
}

/// Those of x, γ and β.
type Gradients<T, D> = (Array<T, D>, Array1<T>, Array1<T>);

type Forward<T, D> = fn(&Norm<T>, &Array<T, D>) -> (Array<T, D>, Kept<T>);
type Backward<T, D> = fn(&Norm<T>, &Array<T, D>, &Kept<T>) -> Gradients<T, D>;

impl<T: Number> Norm<T> {
    fn mean(&self, x: &Array2<T>) -> Array2<T> {
        x.mean_axis(self.axis).expect("some values").insert_axis(self.axis)
    }

    fn normalize(&self, x: &Array2<T>) -> Kept<T> {
        let (centred, var) = match &self.running {
            Some((mean, var)) => (x - mean, var.clone().insert_axis(self.axis)),
            None if self.centre => {
                (x - &self.mean(x), x.var_axis(self.axis, T::zero()).insert_axis(self.axis))
            }
            None => (x.clone(), self.mean(&(x * x))),
        };
        let sd = (var + of::<T>(EPS)).mapv(T::sqrt);
        Kept { normalized: centred / &sd, sd }
    }

    /// From the gradient of the normalized values to that of x.
    fn normalize_backward(&self, d: &Array2<T>, Kept { normalized, sd }: &Kept<T>) -> Array2<T> {
        let along = normalized * &self.mean(&(d * normalized));
        if self.centre { (d - &self.mean(d) - along) / sd } else { (d - along) / sd }
    }

    fn forward(&self, x: &Array2<T>) -> (Array2<T>, Kept<T>) {
        let kept = self.normalize(x);
        let y = &kept.normalized * &self.gamma;
        (if self.centre { y + &self.beta } else { y }, kept)
    }

    fn backward(&self, dy: &Array2<T>, kept: &Kept<T>) -> Gradients<T, ndarray::Ix2> {
        let dgamma = (dy * &kept.normalized).sum_axis(Axis(0));
        let dbeta = if self.centre { dy.sum_axis(Axis(0)) } else { Array1::zeros(0) };
        (self.normalize_backward(&(dy * &self.gamma), kept), dgamma, dbeta)
    }

    /// Images `[n, c, positions]`: the matrix has a row for each position.
    fn forward_images(&self, x: &Array3<T>) -> (Array3<T>, Kept<T>) {
        let (y, kept) = self.forward(&to_rows(x));
        (to_images(&y, x.dim()), kept)
    }

    fn backward_images(&self, dy: &Array3<T>, kept: &Kept<T>) -> Gradients<T, ndarray::Ix3> {
        let (dx, dgamma, dbeta) = self.backward(&to_rows(dy), kept);
        (to_images(&dx, dy.dim()), dgamma, dbeta)
    }

    /// Images too, but the matrix has a row for each group.
    fn forward_groups(&self, x: &Array3<T>) -> (Array3<T>, Kept<T>) {
        let kept = self.normalize(&to_groups(x.clone()));
        let normalized = kept.normalized.to_shape(x.dim()).expect("as many values");
        let y = &normalized * &column(&self.gamma) + column(&self.beta);
        (y, kept)
    }

    fn backward_groups(&self, dy: &Array3<T>, kept: &Kept<T>) -> Gradients<T, ndarray::Ix3> {
        let normalized = kept.normalized.to_shape(dy.dim()).expect("as many values");
        let dgamma = (dy * &normalized).sum_axis(Axis(2)).sum_axis(Axis(0));
        let dbeta = dy.sum_axis(Axis(2)).sum_axis(Axis(0));
        let dx = self.normalize_backward(&to_groups(dy * &column(&self.gamma)), kept);
        (dx.into_shape_with_order(dy.dim()).expect("as many values"), dgamma, dbeta)
    }
}

fn to_rows<T: Number>(images: &Array3<T>) -> Array2<T> {
    let (n, c, p) = images.dim();
    let rows = images.view().permuted_axes([0, 2, 1]);
    rows.to_shape((n * p, c)).expect("as many values").to_owned()
}

fn to_images<T: Number>(rows: &Array2<T>, (n, c, p): (usize, usize, usize)) -> Array3<T> {
    let images = rows.to_shape((n, p, c)).expect("as many values");
    images.permuted_axes([0, 2, 1]).as_standard_layout().into_owned()
}

fn to_groups<T: Number>(images: Array3<T>) -> Array2<T> {
    let (n, c, p) = images.dim();
    images.into_shape_with_order((n * GROUPS, c / GROUPS * p)).expect("as many values")
}

fn column<T: Number>(features: &Array1<T>) -> Array2<T> {
    features.clone().insert_axis(Axis(1))
}

fn layer_job<T: Number, D: Dimension + 'static>(
    work: Work,
    x: Array<T, D>,
    w: Array<T, D>,
    norm: Norm<T>,
    forward: Forward<T, D>,
    backward: Backward<T, D>,
) -> Option<Box<dyn Job>> {
    let read = |(y, (dx, dgamma, dbeta)): (Array<T, D>, Gradients<T, D>)| -> Outputs {
        let mut outputs = vec![numbers(&y), numbers(&dx), numbers(&dgamma)];
        if !dbeta.is_empty() {
            outputs.push(numbers(&dbeta));
        }
        outputs
    };
    match work {
        Work::Forward | Work::Eval => job(move || forward(&norm, &x).0, |y| vec![numbers(&y)]),
        Work::Train => job(
            move || {
                let (y, kept) = forward(&norm, &x);
                std::hint::black_box((&y * &w).sum()); // the loss
                (y, backward(&norm, &w, &kept))
            },
            read,
        ),
        Work::Given => job(
            move || {
                let (y, kept) = forward(&norm, &x);
                (y, backward(&norm, &w, &kept))
            },
            read,
        ),
        _ => {
            let (y, kept) = forward(&norm, &x);
            job(move || backward(&norm, &w, &kept), move |gradients| read((y.clone(), gradients)))
        }
    }
}

struct Adam<T> {
    p: Array1<T>,
    gradients: Vec<Array1<T>>,
    m: Array1<T>,
    v: Array1<T>,
    t: usize,
}

impl<T: Number> Adam<T> {
    fn new(inputs: &[Array1<T>]) -> Self {
        let zeros = Array1::zeros(inputs[0].len());
        Self {
            p: inputs[0].clone(),
            gradients: inputs[1..].to_vec(),
            m: zeros.clone(),
            v: zeros,
            t: 0,
        }
    }
}

impl<T: Number> Job for Adam<T> {
    fn run(&mut self, times: u64) {
        let (beta1, beta2) = (0.9, 0.999);
        for _ in 0..times {
            let g = &self.gradients[self.t % 2];
            self.t += 1;
            self.m = &self.m * of::<T>(beta1) + g * of::<T>(1.0 - beta1);
            self.v = &self.v * of::<T>(beta2) + g * g * of::<T>(1.0 - beta2);
            let m_hat = &self.m / of::<T>(1.0 - f64::powf(beta1, self.t as f64));
            let v_hat = &self.v / of::<T>(1.0 - f64::powf(beta2, self.t as f64));
            let step = m_hat * of::<T>(LR) / (v_hat.mapv(T::sqrt) + of::<T>(1e-8));
            self.p = &self.p - &step;
        }
    }

    fn outputs(&mut self) -> Outputs {
        self.run(1);
        vec![numbers(&self.p)]
    }
}
