//! [`LayerNorm`]: how long it takes. Page: `book/src/speed.md`.

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel::{Float, LayerNorm};

const SHAPES: [&[usize]; 5] = [&[64, 8], &[32, 64], &[512, 512], &[4096, 768], &[2048, 4096]];

fn bench<T: Float>(criterion: &mut Criterion) {
    evenkeel_benches::layer::<T, _>(criterion, "LayerNorm", &SHAPES, |shape, trained| {
        let layer = LayerNorm::new(shape[1]);
        let layer = if trained { layer } else { layer.without_affine() };
        move |x| layer.forward(x)
    });
}

criterion_group!(benches, bench::<f32>, bench::<f64>);
criterion_main!(benches);
