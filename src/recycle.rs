//! The memory of dropped tensors, used again. Page: `book/src/tensor.md`.
//!
//! A training step needs the same large arrays again and again. Memory fresh from the operating
//! system costs more than the arithmetic on it: about 2 µs for each page of 4096 bytes, because the
//! first touch of a page interrupts the program. So a buffer goes back here when its last tensor is
//! dropped, and the next array of about its size gets it, with whatever numbers are left in it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Float;
use crate::float::sealed::Sealed;

/// Smaller buffers are left to the allocator, which keeps them itself.
const SMALLEST_BYTES: usize = 64 << 10;
/// What all kept buffers of one element type may hold together: 256 MiB.
const MOST_BYTES: usize = 256 << 20;

/// Buffers of one element type that nobody uses, the one given back last at the end.
pub struct Pool<T>(Mutex<Vec<Vec<T>>>);

impl<T: Float> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        // No code that can panic runs while the lock is held: the list is always whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `len` numbers, of any value: the caller writes them all.
    pub(crate) fn take(&self, len: usize) -> Vec<T> {
        if len * size_of::<T>() >= SMALLEST_BYTES {
            let mut buffers = self.buffers();
            // A buffer of more than 5/4 of the length would waste too much.
            let fits = |buffer: &Vec<T>| (len..=len + len / 4).contains(&buffer.capacity());
            if let Some(place) = buffers.iter().rposition(fits) {
                let mut buffer = buffers.remove(place);
                drop(buffers);
                buffer.resize(len, T::zero());
                return buffer;
            }
        }
        vec![T::zero(); len]
    }

    /// Takes back what nobody uses any more.
    pub(crate) fn give(&self, buffer: Vec<T>) {
        let bytes = |buffer: &Vec<T>| buffer.capacity() * size_of::<T>();
        if !(SMALLEST_BYTES..=MOST_BYTES).contains(&bytes(&buffer)) {
            return;
        }
        let mut buffers = self.buffers();
        let mut kept: usize = buffers.iter().map(bytes).sum();
        let mut oldest = 0;
        while kept + bytes(&buffer) > MOST_BYTES {
            kept -= bytes(&buffers[oldest]);
            oldest += 1;
        }
        buffers.drain(..oldest);
        buffers.push(buffer);
    }

    fn release(&self) {
        self.buffers().clear();
    }
}

/// Gives the memory of dropped tensors back to the allocator.
///
/// Buffers of 64 KiB or more are kept for the next tensor of their size, at most 256 MiB for each
/// element type. Call this between two phases of a program that need arrays of different sizes.
///
/// ```
/// use evenkeel::{Tensor, release_buffers};
/// use ndarray::Array1;
///
/// let x: Tensor = Tensor::new(Array1::zeros(1_000_000));
/// drop(&x + 1.0); // 8 MB, kept for the next tensor of a million numbers
/// release_buffers(); // and now no longer
/// ```
pub fn release_buffers() {
    f32::pool().release();
    f64::pool().release();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_for_about_its_length() {
        let pool = Pool::<f64>::new();
        let buffer = pool.take(100_000);
        let address = buffer.as_ptr();
        pool.give(buffer);
        let shorter = pool.take(70_000); // of which 5/4 are less than 100,000
        assert_ne!(shorter.as_ptr(), address);
        let again = pool.take(90_000);
        assert_eq!((again.as_ptr(), again.len()), (address, 90_000));
        let another = pool.take(90_000);
        assert_ne!(another.as_ptr(), address);
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let pool = Pool::<f64>::new();
        let quarter = MOST_BYTES / 4 / size_of::<f64>();
        let buffers: Vec<_> = (0..5).map(|_| Vec::with_capacity(quarter)).collect();
        let second = buffers[1].as_ptr();
        buffers.into_iter().for_each(|buffer| pool.give(buffer));
        assert_eq!(pool.buffers().len(), 4);
        assert_eq!(pool.buffers()[0].as_ptr(), second);
        pool.give(Vec::with_capacity(8)); // too small to keep
        pool.give(Vec::with_capacity(4 * quarter + 1)); // too large to keep
        assert_eq!(pool.buffers().len(), 4);
        pool.release();
        assert!(pool.buffers().is_empty());
    }
}
