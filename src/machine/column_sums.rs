//! Column sums of a matrix, added row by row.

use crate::machine::Float;

/// Number of rows added in the element type before their sum is added to an `f64`.
const ROWS: usize = 16;

/// Two sums for each column, over the rows of one piece of work.
pub(crate) struct ColumnSums<T> {
    rows: usize,
    of_some: [Vec<T>; 2],
    of_all: [Vec<f64>; 2],
}

impl<T: Float> ColumnSums<T> {
    /// Sums for each of `pieces` pieces of work, over `columns[0]` and `columns[1]` columns.
    pub fn new(pieces: usize, columns: [usize; 2]) -> Vec<Self> {
        let new = |_| Self {
            rows: 0,
            of_some: columns.map(|columns| vec![T::zero(); columns]),
            of_all: columns.map(|columns| vec![0.0; columns]),
        };
        (0..pieces).map(new).collect()
    }

    /// The partial sums to which the caller adds the next row.
    #[inline(always)]
    pub fn next_row(&mut self) -> [&mut [T]; 2] {
        if self.rows == ROWS {
            self.flush();
        }
        self.rows += 1;
        let [a, b] = &mut self.of_some;
        [a, b]
    }

    /// Adds `numbers` to the two sums of one column. A sum that lacks the column is skipped.
    pub fn add(&mut self, column: usize, numbers: [f64; 2]) {
        for (all, number) in self.of_all.iter_mut().zip(numbers) {
            if let Some(sum) = all.get_mut(column) {
                *sum += number;
            }
        }
    }

    #[inline(always)]
    fn flush(&mut self) {
        self.rows = 0;
        for (some, all) in self.of_some.iter_mut().zip(&mut self.of_all) {
            for (some, all) in some.iter_mut().zip(all) {
                *all += some.wide();
                *some = T::zero();
            }
        }
    }

    /// The sums over all pieces, added in the order of the pieces.
    pub fn total(pieces: Vec<Self>, columns: [usize; 2]) -> [Vec<f64>; 2] {
        let pieces = pieces.into_iter().map(|mut piece| {
            piece.flush();
            piece.of_all
        });
        let total = pieces.reduce(|mut total, sums| {
            for (total, sums) in total.iter_mut().zip(&sums) {
                total.iter_mut().zip(sums).for_each(|(total, sum)| *total += sum);
            }
            total
        });
        total.unwrap_or_else(|| columns.map(|columns| vec![0.0; columns]))
    }
}
