//! How BatchNorm, GroupNorm and InstanceNorm see their input.
//!
//! It is `[batch, channels, positions]`, where the positions of an image are
//! its pixels. One channel of one example is a *plane*: its positions stand one after the other in
//! memory. The layers differ in which planes have their statistics together:
//!
//! ```text
//! BatchNorm     one channel of all examples
//! GroupNorm     a group of neighbouring channels of one example
//! InstanceNorm  one channel of one example, a group of one
//! ```
//!
//! γ and β always belong to channels.

use std::ops::Range;

use crate::machine::threads;

/// Which planes have their statistics together.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Together {
    /// All planes of one channel.
    Channel,
    /// So many neighbouring channels of one example.
    Neighbours(usize),
}

/// An input as planes. With no position there is no plane.
#[derive(Clone, Copy)]
pub(super) struct Planes {
    pub batch: usize,
    pub channels: usize,
    pub positions: usize,
    pub together: Together,
}

impl Planes {
    /// How many statistics there are.
    pub fn sets(&self) -> usize {
        match self.together {
            Together::Channel => self.channels,
            Together::Neighbours(channels) => self.batch * (self.channels / channels),
        }
    }

    /// How many numbers go into each.
    pub fn values_per_set(&self) -> usize {
        match self.together {
            Together::Channel => self.batch * self.positions,
            Together::Neighbours(channels) => channels * self.positions,
        }
    }

    pub fn channel(&self, plane: usize) -> usize {
        plane % self.channels
    }

    pub fn set(&self, plane: usize) -> usize {
        match self.together {
            Together::Channel => self.channel(plane),
            Together::Neighbours(channels) => plane / channels,
        }
    }

    /// The channels that a set has numbers of.
    pub fn channels_of(&self, set: usize) -> Range<usize> {
        match self.together {
            Together::Channel => set..set + 1,
            Together::Neighbours(channels) => {
                let first = self.channel(set * channels);
                first..first + channels
            }
        }
    }

    /// Where the numbers of a set stand, and the channel of each.
    pub fn places(&self, set: usize) -> impl Iterator<Item = (usize, usize)> + Clone + use<> {
        let Self { batch, channels, positions, together } = *self;
        let (first, step, planes) = match together {
            Together::Channel => (set, channels, batch),
            Together::Neighbours(channels) => (set * channels, 1, channels),
        };
        (0..planes).map(move |plane| first + plane * step).flat_map(move |plane| {
            let first = plane * positions;
            (first..first + positions).map(move |at| (at, plane % channels))
        })
    }

    /// Where the first number of a set stands.
    pub fn first(&self, set: usize) -> usize {
        match self.together {
            Together::Channel => set * self.positions,
            Together::Neighbours(channels) => set * channels * self.positions,
        }
    }

    /// Whether each row of the input holds one number of every set, side by side.
    pub fn are_columns(&self) -> bool {
        self.positions == 1 && self.together == Together::Channel
    }

    /// How many planes make a piece of work, and how many numbers those are.
    pub fn piece(&self) -> (usize, usize) {
        let planes = self.batch * self.channels;
        let piece = threads::piece(planes, planes * self.positions);
        (piece, (piece * self.positions).max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_work_is_cut_between_planes_into_as_many_pieces_as_any() {
        let planes = |batch, channels, positions| Planes {
            batch,
            channels,
            positions,
            together: Together::Channel,
        };
        assert_eq!(planes(11, 9, 1000).piece(), (99, 99 * 1000));
        assert_eq!(planes(10, 10, 1000).piece(), (7, 7 * 1000)); // 100 planes in sixteenths, rounded up
        assert_eq!(planes(2, 3, 0).piece(), (6, 1));
        assert_eq!(planes(0, 3, 4).piece(), (1, 4));
    }
}
