//! Sums over rows, one for each column: dγ and dβ.

use crate::machine::Float;
use crate::machine::buffer::Buffer;

/// Rows that are added up in the element type before they go into an `f64`.
const ROWS: usize = 16;

/// Two sums for each column, over the rows of one piece of work.
pub(super) struct ColumnSums<'a, T> {
    rows: usize,
    of_rows: [Vec<T>; 2],
    of_all: [&'a mut [f64]; 2],
}

impl<'a, T: Float> ColumnSums<'a, T> {
    /// Sums of so many columns, which go into a part of what [`parts`] gave.
    pub(super) fn new(part: &'a mut [f64], columns: [usize; 2]) -> Self {
        let (a, b) = part.split_at_mut(columns[0]);
        let of_rows = columns.map(|columns| vec![T::zero(); columns]);
        Self { rows: 0, of_rows, of_all: [a, &mut b[..columns[1]]] }
    }

    /// What the next row is to be added to.
    #[inline(always)]
    pub(super) fn next_row(&mut self) -> [&mut [T]; 2] {
        if self.rows == ROWS {
            self.flush();
        }
        self.rows += 1;
        let [a, b] = &mut self.of_rows;
        [a, b]
    }

    /// Adds to the sums over all rows of one column, which may have its first only.
    pub(super) fn add(&mut self, column: usize, numbers: [f64; 2]) {
        for (all, number) in self.of_all.iter_mut().zip(numbers) {
            if let Some(sum) = all.get_mut(column) {
                *sum += number;
            }
        }
    }

    /// Moves the sums over some rows into the sums over all of them. To be called after the last row.
    #[inline(always)]
    pub(super) fn flush(&mut self) {
        self.rows = 0;
        for (some, all) in self.of_rows.iter_mut().zip(&mut self.of_all) {
            for (some, all) in some.iter_mut().zip(all.iter_mut()) {
                *all += some.wide();
                *some = T::zero();
            }
        }
    }
}

/// Room for the sums of so many pieces, and how long the part of each is.
pub(super) fn parts(pieces: usize, columns: [usize; 2]) -> (Buffer<f64>, usize) {
    let part = (columns[0] + columns[1]).max(1);
    (Buffer::full(pieces * part, 0.0), part)
}

/// Adds up what the pieces found, in their order.
pub(super) fn together(parts: &[f64], columns: [usize; 2]) -> [Vec<f64>; 2] {
    let mut sums = vec![0.0; (columns[0] + columns[1]).max(1)];
    for part in parts.chunks_exact(sums.len()) {
        sums.iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
    }
    let second = sums[columns[0]..][..columns[1]].to_vec();
    sums.truncate(columns[0]);
    [sums, second]
}
