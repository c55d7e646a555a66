//! How BatchNorm, GroupNorm and InstanceNorm see their input.
//!
//! It is `[batch, channels, positions]`, where the positions of an image are its pixels. One channel of one
//! example is a *plane*: its positions stand one after the other in memory. What shares one mean and one
//! variance is a *set*. The layers differ in which planes make a set:
//!
//! ```text
//! BatchNorm     one channel of all examples
//! GroupNorm     a group of neighbouring channels of one example
//! InstanceNorm  one channel of one example, a group of one
//! ```
//!
//! γ and β always belong to channels.

use crate::engine::{Tensor, shape};
use crate::machine::{Float, threads};

/// An input as planes. With no position there is no plane.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub batch: usize,
    pub channels: usize,
    pub positions: usize,
    /// How many neighbouring channels make a set; `None` if one channel of all examples does.
    pub group: Option<usize>,
}

impl Planes {
    /// Of an input with so many channels on axis 1 and at least so many axes of positions. The layer's own
    /// tensors have one number per channel.
    #[track_caller]
    pub fn of<T: Float>(
        layer: &str,
        x: &Tensor<T>,
        [channels, axes]: [usize; 2],
        group: Option<usize>,
        own: &[(&str, &Tensor<T>)],
    ) -> Self {
        let (batch, positions) = shape::channels(layer, channels, axes, x.shape());
        for (name, tensor) in own {
            shape::exactly(layer, name, &[channels], tensor.shape());
        }
        Self { batch, channels, positions, group }
    }

    /// The same sets with as few planes as can be: the channels of a group stand one after the other.
    pub fn merged(self) -> Self {
        let Some(group) = self.group else { return self };
        let (channels, positions) = (self.channels / group, self.positions * group);
        Self { channels, positions, group: Some(1), ..self }
    }

    pub fn sets(&self) -> usize {
        self.group.map_or(self.channels, |group| self.batch * (self.channels / group))
    }

    pub fn values_per_set(&self) -> usize {
        self.group.unwrap_or(self.batch) * self.positions
    }

    pub fn channel(&self, plane: usize) -> usize {
        plane % self.channels
    }

    pub fn set(&self, plane: usize) -> usize {
        self.group.map_or(self.channel(plane), |group| plane / group)
    }

    /// Set and channel of the planes that have coefficients of their own: where a set spans all examples, those
    /// of the first one.
    pub fn slots(&self) -> Vec<(usize, usize)> {
        let examples = if self.group.is_none() { 1 } else { self.batch };
        let planes = 0..examples * self.channels;
        planes.map(|plane| (self.set(plane), self.channel(plane))).collect()
    }

    /// Where the numbers of a set stand, and the channel of each.
    pub fn places(&self, set: usize) -> impl Iterator<Item = (usize, usize)> + Clone + use<> {
        let Self { channels, positions, .. } = *self;
        let (first, step, count) =
            self.group.map_or((set, channels, self.batch), |group| (set * group, 1, group));
        (0..count).map(move |plane| first + plane * step).flat_map(move |plane| {
            let first = plane * positions;
            (first..first + positions).map(move |at| (at, plane % channels))
        })
    }

    /// Whether one row of the input holds one number of every set, side by side.
    pub fn are_columns(&self) -> bool {
        self.positions == 1 && self.group.is_none()
    }

    /// The numbers that a loop runs along: a plane, or a whole row if there are only columns.
    pub fn line(&self) -> usize {
        if self.are_columns() { self.channels } else { self.positions }
    }

    /// How many lines make a piece of work, and how many numbers those are.
    pub fn piece(&self) -> (usize, usize) {
        let (numbers, line) = (self.batch * self.channels * self.positions, self.line());
        let piece = threads::piece(numbers / line.max(1), numbers);
        (piece, (piece * line).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_work_is_cut_between_lines_into_as_many_pieces_as_any() {
        let planes =
            |batch, channels, positions| Planes { batch, channels, positions, group: None };
        assert_eq!(planes(11, 9, 1000).piece(), (99, 99 * 1000));
        assert_eq!(planes(10, 10, 1000).piece(), (7, 7 * 1000)); // 100 planes in sixteenths, rounded up
        assert_eq!(planes(2, 3, 0).piece(), (1, 1));
        assert_eq!(planes(0, 3, 4).piece(), (1, 4));
        // Of a matrix, between rows.
        assert_eq!(planes(99, 1000, 1).piece(), (99, 99 * 1000));
        assert_eq!(planes(100, 1000, 1).piece(), (7, 7 * 1000));
    }
}
