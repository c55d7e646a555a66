//! [`Adam`]: how long a step takes. Page: `book/src/speed.md`.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evenkeel::{Adam, Float, Tensor};
use evenkeel_benches::{numbers, type_name};

fn bench<T: Float>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(format!("Adam {}", type_name::<T>()));
    for length in [64, 10_000, 1_000_000] {
        group.throughput(Throughput::Elements(length as u64));
        let mut p = Tensor::parameter(numbers::<T>(&[length], 1).value());
        let gradients = (&p * &numbers(&[length], 2)).sum().backward();
        let mut adam = Adam::new(1e-3);
        group.bench_function(BenchmarkId::new("step", length), |bencher| {
            bencher.iter(|| adam.step(&mut p, &gradients));
        });
    }
    group.finish();
}

criterion_group!(benches, bench::<f32>, bench::<f64>);
criterion_main!(benches);
