//! Sums over rows, one for each column: dγ and dβ. Page: `book/src/layer_norm.md`.

use std::mem;

use crate::Float;

/// Rows that are added up in the element type before they go into an `f64`.
const ROWS: usize = 16;

/// Two sums for each column.
pub(super) struct ColumnSums<T> {
    rows: usize,
    of_rows: [Vec<T>; 2],
    of_all: [Vec<f64>; 2],
}

impl<T: Float> ColumnSums<T> {
    /// For so many columns; none where there is nothing to sum up.
    pub(super) fn new(columns: [usize; 2]) -> Self {
        Self {
            rows: 0,
            of_rows: columns.map(|columns| vec![T::zero(); columns]),
            of_all: columns.map(|columns| vec![0.0; columns]),
        }
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

    /// Moves the sums over some rows into the sums over all of them.
    #[inline(always)]
    fn flush(&mut self) {
        self.rows = 0;
        for (some, all) in self.of_rows.iter_mut().zip(&mut self.of_all) {
            for (some, all) in some.iter_mut().zip(all) {
                *all += some.wide();
                *some = T::zero();
            }
        }
    }

    /// The sums over all rows so far.
    #[inline(always)]
    pub(super) fn in_f64(&mut self) -> [Vec<f64>; 2] {
        self.flush();
        mem::take(&mut self.of_all)
    }
}

/// Adds up what the pieces found, in their order.
pub(super) fn together(pieces: &[[Vec<f64>; 2]], columns: [usize; 2]) -> [Vec<f64>; 2] {
    let mut sums = columns.map(|columns| vec![0.0; columns]);
    for piece in pieces {
        for (sums, piece) in sums.iter_mut().zip(piece) {
            sums.iter_mut().zip(piece).for_each(|(sum, piece)| *sum += piece);
        }
    }
    sums
}
