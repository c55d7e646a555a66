//! [`Value`]: numbers with a shape, shared between handles.

use std::sync::{Arc, OnceLock};

use ndarray::{Array, ArrayBase, ArrayViewD, ArrayViewMutD, Data, Dimension, IxDyn, OwnedRepr};

use crate::machine::buffer::Buffer;
use crate::machine::{Float, threads};

/// The numbers of a tensor in row-major order, and its shape. A clone shares the numbers.
#[derive(Clone)]
pub(crate) struct Value<T: Float> {
    numbers: Arc<Numbers<T>>,
    shape: IxDyn,
}

enum Numbers<T: Float> {
    Written(Buffer<T>),
    /// The same number at every position, written to memory at the first access. Examples: the
    /// gradient of a sum, the first running mean.
    Same(T, OnceLock<Buffer<T>>),
}

impl<T: Float> Value<T> {
    /// Numbers in row-major order, as many as the shape holds.
    pub(crate) fn new(shape: impl Into<IxDyn>, numbers: impl Into<Buffer<T>>) -> Self {
        let (shape, numbers) = (shape.into(), numbers.into());
        assert_eq!(shape.size(), numbers.len(), "{shape:?} holds another number of values");
        Self { numbers: Arc::new(Numbers::Written(numbers)), shape }
    }

    /// The number `x` at every position.
    pub(crate) fn full(shape: impl Into<IxDyn>, x: T) -> Self {
        Self { numbers: Arc::new(Numbers::Same(x, OnceLock::new())), shape: shape.into() }
    }

    /// The number at every position, if it is stored only once.
    fn same(&self) -> Option<T> {
        match *self.numbers {
            Numbers::Same(x, _) => Some(x),
            Numbers::Written(_) => None,
        }
    }

    /// f of each number.
    pub(crate) fn map(&self, f: impl Fn(T) -> T + Copy + Sync + Send) -> Self {
        if let Some(x) = self.same() {
            return Self::full(self.raw_dim(), f(x));
        }
        let mut y = Buffer::new(self.len());
        threads::map(&mut y, self.as_slice(), f);
        Self::new(self.raw_dim(), y)
    }

    /// f of each pair of numbers; the two values have the same shape.
    pub(crate) fn zip(&self, other: &Self, f: impl Fn(T, T) -> T + Copy + Sync + Send) -> Self {
        match (self.same(), other.same()) {
            (Some(a), _) => return other.map(move |b| f(a, b)),
            (_, Some(b)) => return self.map(move |a| f(a, b)),
            _ => {}
        }
        let mut y = Buffer::new(self.len());
        threads::zip(&mut y, self.as_slice(), other.as_slice(), f);
        Self::new(self.raw_dim(), y)
    }

    /// f of the three numbers at each position; the three values have the same shape.
    pub(crate) fn zip3(
        &self,
        second: &Self,
        third: &Self,
        f: impl Fn(T, T, T) -> T + Copy + Sync + Send,
    ) -> Self {
        let mut y = Buffer::new(self.len());
        let piece = threads::piece(y.len(), y.len());
        let pairs = self.as_slice().chunks(piece).zip(second.as_slice().chunks(piece));
        let pieces = y.chunks_mut(piece).zip(pairs).zip(third.as_slice().chunks(piece));
        threads::each(pieces, |((y, (a, b)), c)| {
            y.iter_mut().zip(a).zip(b).zip(c).for_each(|(((y, &a), &b), &c)| *y = f(a, b, c));
        });
        Self::new(self.raw_dim(), y)
    }

    /// The elementwise product with a value of the same shape. If `self` is 1 everywhere, as the
    /// gradient of a sum is, the product is `other`.
    pub(crate) fn times(&self, other: &Self) -> Self {
        if self.same() == Some(T::one()) {
            return other.clone();
        }
        self.zip(other, |a, b| a * b)
    }

    /// Adds the numbers of another value of the same shape.
    pub(crate) fn add(&mut self, other: &Self) {
        if Arc::get_mut(&mut self.numbers).is_none() {
            *self = self.zip(other, |a, b| a + b);
            return;
        }
        let piece = threads::piece(self.len(), self.len());
        let pieces = self.as_mut_slice().chunks_mut(piece).zip(other.as_slice().chunks(piece));
        threads::each(pieces, |(a, b)| a.iter_mut().zip(b).for_each(|(a, &b)| *a += b));
    }

    /// The same numbers in another shape.
    pub(crate) fn reshaped(&self, shape: &[usize]) -> Self {
        debug_assert_eq!(shape.iter().product::<usize>(), self.len());
        Self { numbers: Arc::clone(&self.numbers), shape: IxDyn(shape) }
    }

    pub(crate) fn shape(&self) -> &[usize] {
        self.shape.slice()
    }

    pub(crate) fn raw_dim(&self) -> IxDyn {
        self.shape.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.shape.size()
    }

    pub(crate) fn as_slice(&self) -> &[T] {
        match &*self.numbers {
            Numbers::Written(numbers) => numbers,
            Numbers::Same(x, written) => {
                // The buffer is filled before `set`, not inside `get_or_init`: a thread that fills
                // it may start another task, and that task may wait for this same cell. If two
                // threads fill a buffer at once, the second buffer is dropped.
                if written.get().is_none() {
                    let _ = written.set(Buffer::full(self.len(), *x));
                }
                written.get().expect("just set")
            }
        }
    }

    /// The numbers, to be changed. If other handles share them, this handle gets its own copy
    /// first.
    pub(crate) fn as_mut_slice(&mut self) -> &mut [T] {
        if Arc::get_mut(&mut self.numbers).is_none() || self.same().is_some() {
            *self = Self::copy_of(&self.view());
        }
        match Arc::get_mut(&mut self.numbers) {
            Some(Numbers::Written(numbers)) => numbers,
            _ => unreachable!("a copy is written down, and nobody else holds it"),
        }
    }

    pub(crate) fn view(&self) -> ArrayViewD<'_, T> {
        ArrayViewD::from_shape(self.raw_dim(), self.as_slice()).expect("checked when made")
    }

    pub(crate) fn view_mut(&mut self) -> ArrayViewMutD<'_, T> {
        let shape = self.raw_dim();
        ArrayViewMutD::from_shape(shape, self.as_mut_slice()).expect("checked when made")
    }
}

/// Keeps the memory of an array in standard layout; copies any other array.
impl<T: Float, D: Dimension> From<Array<T, D>> for Value<T> {
    fn from(array: ArrayBase<OwnedRepr<T>, D>) -> Self {
        if !array.is_standard_layout() {
            return Self::copy_of(&array);
        }
        let (shape, len) = (IxDyn(array.shape()), array.len());
        let (memory, start) = array.into_raw_vec_and_offset();
        Self::new(shape, Buffer::part(memory, start.unwrap_or_default(), len))
    }
}

impl<T: Float> Value<T> {
    /// A copy of any array or view, of any memory layout.
    pub(crate) fn copy_of<S: Data<Elem = T>, D: Dimension>(array: &ArrayBase<S, D>) -> Self {
        let mut numbers = Buffer::new(array.len());
        let mut copy = ndarray::ArrayViewMut::from_shape(array.raw_dim(), &mut numbers)
            .expect("as many numbers");
        copy.assign(array);
        Self::new(IxDyn(array.shape()), numbers)
    }
}

/// Equal shape and equal numbers.
impl<T: Float> PartialEq for Value<T> {
    fn eq(&self, other: &Self) -> bool {
        self.shape == other.shape && self.as_slice() == other.as_slice()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_everywhere_is_as_if_it_were_written_down() {
        let shape = IxDyn(&[2, 3]);
        let (same, written) =
            (Value::full(shape.clone(), 2.0), Value::new(shape.clone(), vec![2.0; 6]));
        let other = Value::new(shape.clone(), vec![1.0, -2.0, 3.0, 0.0, f64::INFINITY, 0.5]);
        assert!(same == written && same.map(f64::sqrt) == written.map(f64::sqrt));
        for (a, b) in [(&same, &written), (&written, &same), (&same, &same)] {
            assert!(a.zip(&other, |a, b| a - b) == written.zip(&other, |a, b| a - b));
            assert!(other.zip(b, |a, b| a - b) == other.zip(&written, |a, b| a - b));
            assert!(a.zip(b, |a, b| a / b) == Value::full(shape.clone(), 1.0));
            assert!(a.times(&other) == written.zip(&other, |a, b| a * b));
        }
        assert!(Value::full(shape.clone(), 1.0).times(&other) == other);

        let (mut sum, kept) = (same.clone(), same.clone());
        sum.add(&other);
        assert!(sum == written.zip(&other, |a, b| a + b));
        let mut changed = same.reshaped(&[6]);
        changed.as_mut_slice()[1] = 7.0;
        assert_eq!(changed.as_slice(), [2.0, 7.0, 2.0, 2.0, 2.0, 2.0]);
        assert_eq!(changed.map(|x| x + 1.0).as_slice()[1], 8.0); // no longer the same everywhere
        assert!(kept == written, "a handle keeps its numbers");
    }
}
