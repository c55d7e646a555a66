//! [`GroupNorm`] on images: how long it takes. Page: `book/src/speed.md`.

use criterion::{Criterion, criterion_group, criterion_main};
use evenkeel::{Float, GroupNorm};

fn bench<T: Float>(criterion: &mut Criterion) {
    let shapes: [&[usize]; 1] = [&[32, 64, 28, 28]];
    evenkeel_benches::layer::<T, _>(criterion, "GroupNorm", &shapes, |shape, trained| {
        let layer = GroupNorm::new(32, shape[1]);
        let layer = if trained { layer } else { layer.without_affine() };
        move |x| layer.forward(x)
    });
}

criterion_group!(benches, bench::<f32>, bench::<f64>);
criterion_main!(benches);
