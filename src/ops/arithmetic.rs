//! `+ - * /` and negation. Page: `book/src/tensor.md`.
//!
//! Two tensors are first broadcast to their common shape; a scalar goes right in.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::autograd::record;
use crate::{Float, Tensor, shape};

/// Both operands in their common shape.
#[track_caller]
fn together<T: Float>(op: &str, a: &Tensor<T>, b: &Tensor<T>) -> (Tensor<T>, Tensor<T>) {
    let shape = shape::broadcast(op, a.shape(), b.shape());
    (a.broadcast_to(&shape), b.broadcast_to(&shape))
}

// ANCHOR: arithmetic
#[track_caller]
fn add<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = together("add", a, b);
    let y = a.value.zip(&b.value, |a, b| a + b);
    record(y, [&a, &b], |dy, [da, db]| [da.then(|| dy.clone()), db.then(|| dy.clone())])
}

#[track_caller]
fn mul<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = together("mul", a, b);
    let y = a.value.zip(&b.value, |a, b| a * b);
    // Each factor is kept only if the other one wants a gradient.
    let keep = |x: &Tensor<T>, other: &Tensor<T>| other.node.is_some().then(|| x.value.clone());
    let factors = [keep(&b, &a), keep(&a, &b)];
    record(y, [&a, &b], move |dy, _| factors.each_ref().map(|x| Some(dy.times(x.as_ref()?))))
}
// ANCHOR_END: arithmetic

#[track_caller]
fn sub<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = together("sub", a, b);
    let y = a.value.zip(&b.value, |a, b| a - b);
    record(y, [&a, &b], |dy, [da, db]| [da.then(|| dy.clone()), db.then(|| dy.map(move |d| -d))])
}

#[track_caller]
fn div<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = together("div", a, b);
    let y = a.value.zip(&b.value, |a, b| a / b);
    let (av, bv) = (a.value.clone(), b.value.clone());
    record(y, [&a, &b], move |dy, [da, db]| {
        [
            da.then(|| dy.zip(&bv, move |d, b| d / b)),
            // d(a/b)/db = -a/b²
            db.then(|| dy.zip(&av.zip(&bv, |a, b| -a / (b * b)), |d, slope| d * slope)),
        ]
    })
}

/// `scale · a + offset`, elementwise: every operation with one scalar but division by a tensor.
fn affine<T: Float>(a: &Tensor<T>, scale: T, offset: T) -> Tensor<T> {
    let y = a.value.map(move |a| scale * a + offset);
    record(y, [a], move |dy, _| [Some(dy.map(move |d| scale * d))])
}

/// `scalar / a`, elementwise.
fn scalar_over<T: Float>(scalar: T, a: &Tensor<T>) -> Tensor<T> {
    let y = a.value.map(move |a| scalar / a);
    let av = a.value.clone();
    record(y, [a], move |dy, _| [Some(dy.zip(&av, move |d, a| -d * scalar / (a * a)))])
}

/// The operator for every mix of owned and borrowed tensors, and for a scalar of the tensor's type
/// on the right.
macro_rules! operator {
    ($trait:ident, $method:ident, $op:path, |$a:ident, $scalar:ident| $with_scalar:expr) => {
        operator!(@pair $trait, $method, $op, &Tensor<T>, &Tensor<T>, |a, b| (a, b));
        operator!(@pair $trait, $method, $op, Tensor<T>, &Tensor<T>, |a, b| (&a, b));
        operator!(@pair $trait, $method, $op, &Tensor<T>, Tensor<T>, |a, b| (a, &b));
        operator!(@pair $trait, $method, $op, Tensor<T>, Tensor<T>, |a, b| (&a, &b));

        impl<T: Float> $trait<T> for &Tensor<T> {
            type Output = Tensor<T>;
            fn $method(self, $scalar: T) -> Tensor<T> {
                let $a = self;
                $with_scalar
            }
        }

        impl<T: Float> $trait<T> for Tensor<T> {
            type Output = Tensor<T>;
            fn $method(self, scalar: T) -> Tensor<T> {
                (&self).$method(scalar)
            }
        }
    };
    (@pair $trait:ident, $method:ident, $op:path, $a:ty, $b:ty, |$x:ident, $y:ident| ($ax:expr, $by:expr)) => {
        impl<T: Float> $trait<$b> for $a {
            type Output = Tensor<T>;
            #[track_caller]
            fn $method(self, other: $b) -> Tensor<T> {
                let ($x, $y) = (self, other);
                $op($ax, $by)
            }
        }
    };
}

operator!(Add, add, add, |a, scalar| affine(a, T::one(), scalar));
operator!(Sub, sub, sub, |a, scalar| affine(a, T::one(), -scalar));
operator!(Mul, mul, mul, |a, scalar| affine(a, scalar, T::zero()));
operator!(Div, div, div, |a, scalar| affine(a, scalar.recip(), T::zero()));

impl<T: Float> Neg for &Tensor<T> {
    type Output = Tensor<T>;
    fn neg(self) -> Tensor<T> {
        affine(self, -T::one(), T::zero())
    }
}

impl<T: Float> Neg for Tensor<T> {
    type Output = Tensor<T>;
    fn neg(self) -> Tensor<T> {
        -&self
    }
}

/// A scalar on the left. Rust allows these only for concrete types, so they are written for `f32`
/// and `f64`.
macro_rules! scalar_on_the_left {
    ($($scalar:ty, $tensor:ty);*) => {$(
        impl Add<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn add(self, a: $tensor) -> Tensor<$scalar> {
                affine(&a, 1.0, self)
            }
        }

        impl Sub<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn sub(self, a: $tensor) -> Tensor<$scalar> {
                affine(&a, -1.0, self)
            }
        }

        impl Mul<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn mul(self, a: $tensor) -> Tensor<$scalar> {
                affine(&a, self, 0.0)
            }
        }

        impl Div<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn div(self, a: $tensor) -> Tensor<$scalar> {
                scalar_over(self, &a)
            }
        }
    )*};
}

scalar_on_the_left!(f64, Tensor<f64>; f64, &Tensor<f64>; f32, Tensor<f32>; f32, &Tensor<f32>);
