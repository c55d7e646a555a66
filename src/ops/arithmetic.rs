//! `+ - * /` and negation. Page: `book/src/tensor.md`.
//!
//! Two tensors are first broadcast to their common shape; a scalar is used directly.

use std::ops::{Add, Div, Mul, Neg, Sub};

use crate::engine::autograd::record;
use crate::engine::{Tensor, shape};
use crate::machine::Float;

/// The two operands, broadcast to their common shape.
#[track_caller]
fn stretched<T: Float>(op: &str, a: &Tensor<T>, b: &Tensor<T>) -> (Tensor<T>, Tensor<T>) {
    let shape = shape::broadcast(op, a.shape(), b.shape());
    (a.broadcast_to(&shape), b.broadcast_to(&shape))
}

// ANCHOR: arithmetic
#[track_caller]
fn add<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = stretched("add", a, b);
    let y = a.value.zip(&b.value, |a, b| a + b);
    record(y, [&a, &b], |dy, [da, db]| [da.then(|| dy.clone()), db.then(|| dy.clone())])
}

#[track_caller]
fn mul<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = stretched("mul", a, b);
    let y = a.value.zip(&b.value, |a, b| a * b);
    // Each factor is kept only if the other factor needs a gradient.
    let keep = |x: &Tensor<T>, other: &Tensor<T>| other.node.is_some().then(|| x.value.clone());
    let factors = [keep(&b, &a), keep(&a, &b)];
    record(y, [&a, &b], move |dy, _| factors.each_ref().map(|x| Some(dy.times(x.as_ref()?))))
}
// ANCHOR_END: arithmetic

#[track_caller]
fn sub<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = stretched("sub", a, b);
    let y = a.value.zip(&b.value, |a, b| a - b);
    record(y, [&a, &b], |dy, [da, db]| [da.then(|| dy.clone()), db.then(|| dy.map(|d| -d))])
}

#[track_caller]
fn div<T: Float>(a: &Tensor<T>, b: &Tensor<T>) -> Tensor<T> {
    let (a, b) = stretched("div", a, b);
    let y = a.value.zip(&b.value, |a, b| a / b);
    let (yv, bv) = (y.clone(), b.value.clone());
    record(y, [&a, &b], move |dy, [da, db]| {
        [da.then(|| dy.zip(&bv, |d, b| d / b)), db.then(|| dy.zip3(&yv, &bv, by_the_divisor))]
    })
}

/// `dy · d(a/b)/db = -dy·y/b`, where `y = a/b`.
///
/// b², dy·y, dy/b and y/b may overflow or underflow although the result does not. To avoid that, a
/// divisor above 1 first divides the larger of dy and y, and a divisor up to 1 first divides the
/// smaller.
fn by_the_divisor<T: Float>(dy: T, y: T, b: T) -> T {
    let (larger, smaller) = if dy.abs() > y.abs() { (dy, y) } else { (y, dy) };
    if b.abs() > T::one() { -(larger / b * smaller) } else { -(smaller / b * larger) }
}

fn add_scalar<T: Float>(a: &Tensor<T>, scalar: T) -> Tensor<T> {
    record(a.value.map(move |a| a + scalar), [a], |dy, _| [Some(dy.clone())])
}

fn sub_scalar<T: Float>(a: &Tensor<T>, scalar: T) -> Tensor<T> {
    record(a.value.map(move |a| a - scalar), [a], |dy, _| [Some(dy.clone())])
}

fn mul_scalar<T: Float>(a: &Tensor<T>, scalar: T) -> Tensor<T> {
    record(a.value.map(move |a| a * scalar), [a], move |dy, _| [Some(dy.map(|d| d * scalar))])
}

/// A division, because the reciprocal would be rounded and might be infinite.
fn div_scalar<T: Float>(a: &Tensor<T>, scalar: T) -> Tensor<T> {
    record(a.value.map(move |a| a / scalar), [a], move |dy, _| [Some(dy.map(|d| d / scalar))])
}

fn scalar_minus<T: Float>(scalar: T, a: &Tensor<T>) -> Tensor<T> {
    record(a.value.map(move |a| scalar - a), [a], |dy, _| [Some(dy.map(|d| -d))])
}

fn scalar_over<T: Float>(scalar: T, a: &Tensor<T>) -> Tensor<T> {
    let y = a.value.map(move |a| scalar / a);
    let (yv, av) = (y.clone(), a.value.clone());
    record(y, [a], move |dy, _| [Some(dy.zip3(&yv, &av, by_the_divisor))])
}

/// The operator for every mix of owned and borrowed tensors, and for a scalar of the tensor's type
/// on the right.
macro_rules! operator {
    ($trait:ident, $method:ident, $op:path, $with_scalar:path) => {
        operator!(@pair $trait, $method, $op, &Tensor<T>, &Tensor<T>, |a, b| (a, b));
        operator!(@pair $trait, $method, $op, Tensor<T>, &Tensor<T>, |a, b| (&a, b));
        operator!(@pair $trait, $method, $op, &Tensor<T>, Tensor<T>, |a, b| (a, &b));
        operator!(@pair $trait, $method, $op, Tensor<T>, Tensor<T>, |a, b| (&a, &b));

        impl<T: Float> $trait<T> for &Tensor<T> {
            type Output = Tensor<T>;
            fn $method(self, scalar: T) -> Tensor<T> {
                $with_scalar(self, scalar)
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

operator!(Add, add, add, add_scalar);
operator!(Sub, sub, sub, sub_scalar);
operator!(Mul, mul, mul, mul_scalar);
operator!(Div, div, div, div_scalar);

impl<T: Float> Neg for &Tensor<T> {
    type Output = Tensor<T>;
    fn neg(self) -> Tensor<T> {
        record(self.value.map(|a| -a), [self], |dy, _| [Some(dy.map(|d| -d))])
    }
}

impl<T: Float> Neg for Tensor<T> {
    type Output = Tensor<T>;
    fn neg(self) -> Tensor<T> {
        -&self
    }
}

/// The operators with a scalar on the left. Rust allows them only for concrete types: here `f32`
/// and `f64`.
macro_rules! scalar_on_the_left {
    ($($scalar:ty, $tensor:ty);*) => {$(
        impl Add<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn add(self, a: $tensor) -> Tensor<$scalar> {
                add_scalar(&a, self)
            }
        }

        impl Sub<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn sub(self, a: $tensor) -> Tensor<$scalar> {
                scalar_minus(self, &a)
            }
        }

        impl Mul<$tensor> for $scalar {
            type Output = Tensor<$scalar>;
            fn mul(self, a: $tensor) -> Tensor<$scalar> {
                mul_scalar(&a, self)
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
