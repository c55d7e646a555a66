//! How much memory training takes, and that it takes no more the longer it goes on. Page: `book/src/speed.md`.
//!
//! The allocator counts the bytes of the whole process, so one test runs at a time.

use std::sync::{Mutex, PoisonError};

use evenkeel::{Adam, LayerNorm, Linear, Sgd, Tensor, cross_entropy, release_buffers, rng};
use ndarray::Array;
use peak_alloc::PeakAlloc;

#[global_allocator]
static BYTES: PeakAlloc = PeakAlloc;

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[test]
fn a_step_needs_twice_its_input_and_little_more() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (rows, features) = (2048, 4096);
    let numbers = |scale: f32| {
        Array::from_shape_fn((rows, features), |(i, j)| scale * ((i * 7 + j * 13) % 101) as f32)
    };
    let input = rows * features * size_of::<f32>();
    let (x, w) = (Tensor::parameter(numbers(0.1)), Tensor::new(numbers(-0.01)));
    let layer: LayerNorm<f32> = LayerNorm::new(features);

    // The output and its product with w. x̂ is computed again where it is needed, and the gradient of x
    // gets the memory of the output: nobody needs that, since w wants no gradient.
    BYTES.reset_peak_usage();
    let before = BYTES.current_usage();
    let gradients = (layer.forward(&x) * &w).sum().backward();
    let most = BYTES.peak_usage() - before;
    println!("a step needed {:.2} times its input", most as f64 / input as f64);
    assert!(gradients.get(&x).is_some());
    assert!(2 * most <= 5 * input, "a step needed {most} bytes, its input has {input}");

    // What is kept for the next step goes when it is asked to.
    drop(gradients);
    let kept = BYTES.current_usage() - before;
    assert!(kept > input, "expected memory to be kept for the next step, got {kept} bytes");
    release_buffers();
    let left = BYTES.current_usage().saturating_sub(before);
    assert!(left < input / 100, "{left} bytes were left after release_buffers");
}

#[test]
fn a_training_loop_of_10_000_steps_holds_its_memory_flat() {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut rng = rng(1);
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
            adam.step((&mut l1, &mut norm, &mut passing), &gradients);
            sgd.step((&mut l2, &mut passing), &gradients);
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
