//! What the benchmarks share: the input numbers, and the two benchmarks of a layer.
//!
//! ```console
//! $ cargo bench --package evenkeel-benches                          # all of them
//! $ cargo bench --package evenkeel-benches --bench layer_norm f32   # some
//! $ cargo bench --package evenkeel-benches -- --save-baseline before
//! $ cargo bench --package evenkeel-benches -- --baseline before     # after a change
//! ```
//!
//! A time alone says little. Compare it with a baseline of the same machine taken just before, or
//! with other frameworks by `benches/peers/run`. `RAYON_NUM_THREADS=1` keeps to one thread.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use evenkeel::{Float, Tensor};

/// Numbers of mean 0 and variance 1, evenly spread.
pub fn numbers<T: Float>(shape: &[usize], seed: usize) -> Tensor<T> {
    let number = |i: usize| ((i * 7919 + seed * 104_729) % 10_007) as f64 / 10_007.0;
    let values = (0..shape.iter().product()).map(|i| T::of((number(i) - 0.5) * 12f64.sqrt()));
    Tensor::from_vec(shape, values.collect()).expect("as many values as the shape holds")
}

/// Times y without a graph, and y with the gradients of sum(y·w).
///
/// `layer_for` makes the layer for a shape, with its parameters or without.
pub fn layer<T: Float, F: FnMut(&Tensor<T>) -> Tensor<T>>(
    criterion: &mut Criterion,
    name: &str,
    shapes: &[&[usize]],
    mut layer_for: impl FnMut(&[usize], bool) -> F,
) {
    let mut group = criterion.benchmark_group(format!("{name} {}", type_name::<T>()));
    for &shape in shapes {
        group.throughput(Throughput::Elements(shape.iter().product::<usize>() as u64));
        let label = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let (x, w) = (numbers::<T>(shape, 1), numbers::<T>(shape, 2));
        let mut forward = layer_for(shape, false);
        group.bench_function(BenchmarkId::new("forward", &label), |bencher| {
            bencher.iter(|| forward(black_box(&x)));
        });
        let x = Tensor::parameter(x.value());
        let mut forward = layer_for(shape, true);
        group.bench_function(BenchmarkId::new("train", &label), |bencher| {
            bencher.iter(|| (forward(black_box(&x)) * &w).sum().backward());
        });
    }
    group.finish();
}

/// `f32` or `f64`.
pub fn type_name<T>() -> &'static str {
    std::any::type_name::<T>()
}
