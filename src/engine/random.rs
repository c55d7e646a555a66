//! Random numbers that are the same on every machine.

use std::fmt;

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator of random numbers that starts from `seed`: the same seed gives the same numbers, on
/// every machine and with every version of this crate.
///
/// ```
/// use evenkeel::{Linear, Tensor, rng};
///
/// let mut rng = rng(0);
/// let layer = Linear::new(4, 3, &mut rng);
/// let x: Tensor = Tensor::randn([2, 4], &mut rng);
/// assert_eq!(layer.forward(&x).shape(), [2, 3]);
/// assert_ne!(x, Tensor::randn([2, 4], &mut rng)); // it goes on
/// ```
///
/// Functions that take a generator accept any generator of [`rand`](crate::rand) 0.9. A compiler
/// error about `DerefMut`, or about an unsatisfied bound `rand::Rng`, means that the generator is
/// from another version of `rand`.
///
/// *PyTorch*: `torch.Generator().manual_seed(seed)`.
pub fn rng(seed: u64) -> SeededRng {
    SeededRng(ChaCha8Rng::seed_from_u64(seed))
}

/// The generator that [`rng()`] returns: ChaCha with 8 rounds, whose numbers do not depend on the
/// machine. Not for secrets.
///
/// A generator of the crate `rand` 0.9, which is [`evenkeel::rand`](crate::rand). With the trait
/// `Rng` in scope, it draws numbers of any type.
///
/// ```
/// use evenkeel::rand::{Rng, seq::SliceRandom};
///
/// let mut rng = evenkeel::rng(7);
/// let mut order: Vec<usize> = (0..10).collect();
/// order.shuffle(&mut rng);
/// assert!(order[rng.random_range(0..10)] < 10);
/// ```
///
/// A clone continues with the same numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct SeededRng(ChaCha8Rng);

impl RngCore for SeededRng {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.0.fill_bytes(bytes);
    }
}

/// Prints the name only: the state means nothing to a reader.
impl fmt::Debug for SeededRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeededRng").finish_non_exhaustive()
    }
}
