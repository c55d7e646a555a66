//! [`BatchNorm`] on matrices and on images: how long it takes. Page: `book/src/speed.md`.

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel::{BatchNorm, Float};

const SHAPES: [&[usize]; 3] = [&[256, 128], &[4096, 512], &[32, 64, 28, 28]];

fn bench<T: Float>(criterion: &mut Criterion) {
    evenkeel_benches::layer::<T, _>(criterion, "BatchNorm", &SHAPES, |shape, trained| {
        let layer = BatchNorm::new(shape[1]);
        let mut layer = if trained { layer } else { layer.without_affine() };
        move |x| layer.forward_train(x)
    });
}

criterion_group!(benches, bench::<f32>, bench::<f64>);
criterion_main!(benches);
