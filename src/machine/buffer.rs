//! Reuses the memory of dropped tensors. Page: `book/src/speed.md`.
//!
//! Every training step needs large arrays of the same sizes. Fresh memory from the operating system
//! costs more than the arithmetic: about 2 µs for each page of 4096 bytes, because the first access
//! to a page interrupts the program. So when the last tensor that holds a [`Buffer`] is dropped,
//! the memory goes into a pool. The next array of about that size reuses the memory, with its old
//! numbers.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::threads;

/// Alignment of large arrays in bytes, a page of memory: passes over 512 × 512 numbers take between
/// 5 and 10 % less time than with arrays aligned to a cache line.
const PAGE: usize = 4096;
/// Alignment of small arrays in bytes, a cache line, so that no vector crosses two lines.
const CACHE_LINE: usize = 64;
/// The smallest buffer that the pool keeps, 64 KiB. The allocator keeps smaller ones itself.
const SMALLEST_BYTES: usize = 64 << 10;
/// The most that the pool of one element type keeps, 256 MiB.
const MOST_BYTES: usize = 256 << 20;

/// A number type with a pool of dropped buffers.
pub trait Pooled: Copy + Default + Send + Sync + 'static {
    /// The pool of this type.
    fn pool() -> &'static Pool<Self>;
}

impl Pooled for f32 {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f32> = Pool::new();
        &POOL
    }
}

impl Pooled for f64 {
    fn pool() -> &'static Pool<Self> {
        static POOL: Pool<f64> = Pool::new();
        &POOL
    }
}

/// The numbers of one array.
pub(crate) struct Buffer<T: Pooled> {
    /// The numbers, with unused memory before and after them.
    memory: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Pooled> Buffer<T> {
    /// `len` numbers of unspecified value: the caller must write all of them.
    pub(crate) fn new(len: usize) -> Self {
        let aligned = if len * size_of::<T>() < SMALLEST_BYTES { CACHE_LINE } else { PAGE };
        let memory = T::pool().take(len + aligned / size_of::<T>() - 1);
        // `align_offset` may return usize::MAX; `min` keeps the numbers within the memory.
        let start = memory.as_ptr().align_offset(aligned).min(memory.len() - len);
        Self::part(memory, start, len)
    }

    /// The `len` numbers of `memory` from `start` on.
    pub(crate) fn part(memory: Vec<T>, start: usize, len: usize) -> Self {
        assert!(start + len <= memory.len(), "{start} + {len} numbers of {}", memory.len());
        Self { memory, start, len }
    }

    /// `len` copies of `x`.
    pub(crate) fn full(len: usize, x: T) -> Self {
        let mut buffer = Self::new(len);
        let piece = threads::piece(len, len);
        threads::each(buffer.chunks_mut(piece), |part| part.fill(x));
        buffer
    }
}

/// Keeps the vector's memory, without a copy and without alignment.
impl<T: Pooled> From<Vec<T>> for Buffer<T> {
    fn from(memory: Vec<T>) -> Self {
        let len = memory.len();
        Self::part(memory, 0, len)
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.memory[self.start..][..self.len]
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..][..self.len]
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        T::pool().give(mem::take(&mut self.memory));
    }
}

/// Unused memory of one element type, the most recently returned at the end.
pub struct Pool<T>(Mutex<Vec<Vec<T>>>);

impl<T: Pooled> Pool<T> {
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Vec<T>>> {
        // No code that can panic runs while the lock is held, so the list is always consistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // ANCHOR: take
    /// `len` numbers of unspecified value.
    fn take(&self, len: usize) -> Vec<T> {
        if len * size_of::<T>() >= SMALLEST_BYTES {
            let mut kept = self.kept();
            // A buffer of more than 5/4 of the length would waste too much memory.
            let fits = |memory: &Vec<T>| (len..=len + len / 4).contains(&memory.capacity());
            if let Some(place) = kept.iter().rposition(fits) {
                let mut memory = kept.remove(place);
                drop(kept);
                memory.resize(len, T::default());
                return memory;
            }
        }
        vec![T::default(); len]
    }
    // ANCHOR_END: take

    /// Takes unused memory into the pool. The oldest memory is freed if the pool is full.
    fn give(&self, memory: Vec<T>) {
        let bytes = |memory: &Vec<T>| memory.capacity() * size_of::<T>();
        if !(SMALLEST_BYTES..=MOST_BYTES).contains(&bytes(&memory)) {
            return;
        }
        let mut kept = self.kept();
        let mut total: usize = kept.iter().map(bytes).sum();
        let mut oldest = 0;
        while total + bytes(&memory) > MOST_BYTES {
            total -= bytes(&kept[oldest]);
            oldest += 1;
        }
        kept.drain(..oldest);
        kept.push(memory);
    }

    fn release(&self) {
        self.kept().clear();
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
    fn numbers_are_as_many_as_asked_for_and_start_where_vectors_do() {
        for (len, aligned) in [
            (0, CACHE_LINE),
            (1, CACHE_LINE),
            (15, CACHE_LINE),
            (1_000, CACHE_LINE),
            (100_000, PAGE),
        ] {
            let first = Buffer::<f32>::new(len);
            assert_eq!((first.as_ptr().addr() % aligned, first.len()), (0, len));
            drop(first);
            let second = Buffer::<f32>::full(len, 3.0); // perhaps in the same memory
            assert_eq!((second.as_ptr().addr() % aligned, second.len()), (0, len));
            assert!(second.iter().all(|&x| x == 3.0));
        }
        assert_eq!(*Buffer::from(vec![1.0, 2.0]), [1.0, 2.0]);
    }

    #[test]
    fn memory_is_used_again_for_about_its_length() {
        let pool = Pool::<f64>::new();
        let buffer = pool.take(100_000);
        let address = buffer.as_ptr();
        pool.give(buffer);
        let shorter = pool.take(70_000); // 5/4 of 70,000 is less than 100,000
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
        assert_eq!(pool.kept().len(), 4);
        assert_eq!(pool.kept()[0].as_ptr(), second);
        let third = pool.kept()[1].as_ptr();
        pool.give(Vec::with_capacity(2 * quarter)); // replaces two
        assert_eq!(pool.kept().len(), 3);
        assert!(pool.kept()[0].as_ptr() != second && pool.kept()[0].as_ptr() != third);
        pool.give(Vec::with_capacity(8)); // too small to keep
        pool.give(Vec::with_capacity(4 * quarter + 1)); // too large to keep
        assert_eq!(pool.kept().len(), 3);
        pool.release();
        assert!(pool.kept().is_empty());
    }
}
