//! Training holds its memory flat. Page: `book/src/tensor.md`.
//!
//! The allocator counts the bytes of the whole process, so there is one test in this file.

use evenkeel::{Adam, LayerNorm, Linear, Sgd, Tensor, cross_entropy};
use ndarray::Array;
use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static BYTES: PeakAlloc = PeakAlloc;

#[test]
fn a_training_loop_of_10_000_steps_holds_its_memory_flat() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let x = Tensor::new(Array::from_shape_fn((5, 4), |(i, j)| ((3 * i + j) % 7) as f64));
    let targets = [0, 1, 2, 1, 0];
    let mut l1: Linear = Linear::new(4, 8, &mut rng);
    let mut norm = LayerNorm::new(8);
    let mut l2 = Linear::new(8, 3, &mut rng);
    let mut adam = Adam::new(0.01).with_amsgrad(true);
    let mut sgd = Sgd::new(0.01).with_momentum(0.9);

    let mut train = |steps: usize| {
        for _ in 0..steps {
            // A parameter of this step only: what an optimiser remembers of it must go with it.
            let mut passing = Tensor::parameter(Array::zeros((5, 3)));
            let logits = l2.forward(&norm.forward(&l1.forward(&x)).relu()) + &passing;
            let gradients = cross_entropy(&logits, &targets).backward();
            let parameters = l1.parameters_mut().into_iter().chain(norm.parameters_mut());
            adam.step(parameters.chain([&mut passing]), &gradients);
            sgd.step(l2.parameters_mut().into_iter().chain([&mut passing]), &gradients);
        }
    };
    train(1_000);
    let (alive, _) = (BYTES.current_usage(), BYTES.reset_peak_usage());
    let start = BYTES.peak_usage();
    train(10);
    let peak_of_ten = BYTES.peak_usage() - start;
    train(8_990);
    let grown = BYTES.current_usage().saturating_sub(alive);
    let peak = BYTES.peak_usage() - start;
    // One float that stayed behind in each of the last 9,000 steps would be 72,000 bytes.
    assert!(grown < 4_096, "{grown} bytes more are alive after 10,000 steps than after 1,000");
    assert!(peak < peak_of_ten + 4_096, "a step needed {peak_of_ten} bytes, and later {peak}");
}
