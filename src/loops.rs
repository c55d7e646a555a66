//! Tests of what all the fast loops promise: the same bits whatever the width of the vectors and the
//! number of threads, and that ordinary numbers go through them. Page: `book/src/speed.md`.

use std::collections::BTreeMap;

use fearless_simd::Level;
use ndarray::{Array, Array2, IxDyn};
use rayon::ThreadPoolBuilder;

use crate::engine::Tensor;
use crate::machine::counted::during;
use crate::machine::threads::MANY;
use crate::machine::{Float, vectors};
use crate::norm::{BatchNorm, GroupNorm, InstanceNorm, LayerNorm, RMSNorm};
use crate::optim::Adam;

/// All that this machine can run, narrowest first.
fn levels() -> Vec<Level> {
    let widest = Level::new();
    let mut levels = vec![Level::baseline()];
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    levels.extend(widest.as_avx2().map(Level::Avx2));
    levels.push(widest);
    levels
}

/// Outputs and gradients of every layer with a kernel, and of a step of Adam, as bits.
fn bits<T: Float>() -> Vec<u64> {
    let numbers = |shape: &[usize], seed: usize| {
        let number = |i: usize| T::of(((i * 7919 + seed * 104_729) % 1009) as f64 / 100.0 - 3.0);
        let values = (0..shape.iter().product()).map(number).collect();
        Tensor::parameter(Array::from_shape_vec(shape, values).unwrap())
    };
    let (mut matrix, images) = (numbers(&[37, 83], 1), numbers(&[3, 4, 5, 7], 2));
    let mut results = Vec::new();
    let mut note = |y: Tensor<T>, dy: &Tensor<T>, x: &Tensor<T>| {
        results.push(y.backward_from(dy).get(x).unwrap().clone());
        results.push(y);
    };
    let (dy, dy_images) = (numbers(matrix.shape(), 3), numbers(images.shape(), 4));
    note(LayerNorm::new(83).forward(&matrix), &dy, &matrix);
    note(RMSNorm::new(83).forward(&matrix), &dy, &matrix);
    for features in [1, 3, 8, 13] {
        let (narrow, dy) = (numbers(&[9, features], 5), numbers(&[9, features], 6));
        note(LayerNorm::new(features).forward(&narrow), &dy, &narrow);
        note(RMSNorm::new(features).forward(&narrow), &dy, &narrow);
    }
    note(BatchNorm::new(83).forward_train(&matrix), &dy, &matrix);
    note(BatchNorm::new(4).forward_train(&images), &dy_images, &images);
    note(GroupNorm::new(2, 4).forward(&images), &dy_images, &images);
    note(InstanceNorm::new(4).forward(&images), &dy_images, &images);
    let gradients = (&matrix * &dy).sum().backward();
    Adam::new(0.1).step([&mut matrix], &gradients);
    results.push(matrix);
    results.iter().flat_map(Tensor::as_slice).map(|x| x.wide().to_bits()).collect()
}

#[test]
fn every_width_gives_the_same_bits() {
    let of_level = |level| vectors::with(level, || (bits::<f32>(), bits::<f64>()));
    let all: Vec<_> = levels().into_iter().map(of_level).collect();
    assert!(all.windows(2).all(|pair| pair[0] == pair[1]));
}

/// Outputs and gradients at sizes for which more than one thread is at work.
fn results() -> Vec<Tensor<f32>> {
    let numbers = |shape: &[usize], seed: usize| {
        let number = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 100.0 - 3.0;
        let values = (0..shape.iter().product()).map(number).collect();
        Tensor::parameter(Array::from_shape_vec(shape, values).unwrap())
    };
    let (mut matrix, images) = (numbers(&[301, 401], 1), numbers(&[5, 6, 59, 61], 2));
    assert!(matrix.value().len() > MANY && images.value().len() > MANY);
    let (dy, dy_images) = (numbers(matrix.shape(), 3), numbers(images.shape(), 4));
    let mut results = Vec::new();
    let mut note = |y: Tensor<f32>, dy: &Tensor<f32>, x: &Tensor<f32>, gamma: &Tensor<f32>| {
        let gradients = y.backward_from(dy);
        results.extend([x, gamma].map(|leaf| gradients.get(leaf).unwrap().clone()));
        results.push(y);
    };
    let layer = LayerNorm::new(401);
    note(layer.forward(&matrix), &dy, &matrix, &layer.gamma);
    let layer = RMSNorm::new(401);
    note(layer.forward(&matrix), &dy, &matrix, &layer.gamma);
    let mut layer = BatchNorm::new(401);
    note(layer.forward_train(&matrix), &dy, &matrix, &layer.gamma);
    let mut layer = BatchNorm::new(6);
    note(layer.forward_train(&images), &dy_images, &images, &layer.gamma);
    let layer = GroupNorm::new(3, 6);
    note(layer.forward(&images), &dy_images, &images, &layer.gamma);
    let gradients = (&matrix * &dy).relu().sum().backward();
    Adam::new(0.1).step([&mut matrix], &gradients);
    results.push(matrix);
    results
}

#[test]
fn one_thread_and_several_give_the_same_bits() {
    let with = |threads: usize| {
        let pool = ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(results)
    };
    let one = with(1);
    assert_eq!(one, with(2));
    assert_eq!(one, with(5));
}

fn ordinary(shape: &[usize]) -> Tensor<f32> {
    let number = |i: usize| ((i * 7919) % 1009) as f32 / 100.0 - 3.0;
    let values = (0..shape.iter().product()).map(number).collect();
    Tensor::parameter(Array::from_shape_vec(IxDyn(shape), values).unwrap())
}

/// Far from 0, where only an origin in their midst lets one pass be trusted.
#[test]
fn ordinary_numbers_take_the_fast_loops() {
    for features in (2..=70).chain([300, 1025, 2100]) {
        let x = ordinary(&[7, features]) + 1000.0;
        let taken = during(|| {
            drop(LayerNorm::new(features).forward(&x).backward_from(&x));
            drop(RMSNorm::new(features).forward(&x).backward_from(&x));
            drop(BatchNorm::new(features).forward_train(&x).backward_from(&x));
        });
        assert!(taken.is_empty(), "{features} features: {taken:?}");
    }
    for positions in (2..=70).chain([300, 1025, 2100]) {
        let x = ordinary(&[5, 4, positions]) + 1000.0;
        let taken = during(|| {
            drop(BatchNorm::new(4).forward_train(&x).backward_from(&x));
            drop(GroupNorm::new(2, 4).forward(&x).backward_from(&x));
            drop(InstanceNorm::new(4).forward_train(&x).backward_from(&x));
        });
        assert!(taken.is_empty(), "{positions} positions: {taken:?}");
    }
}

#[test]
fn only_the_rows_that_need_care_get_it() {
    let mut x = Array2::from_shape_fn((4, 40), |(i, j)| ((i * 5 + j * 7) % 11) as f32);
    x.row_mut(1).fill(2.0); // equal
    x.row_mut(3).fill(3e38);
    x.row_mut(3)[1] = -3e38; // distances overflow
    let x = Tensor::parameter(x);
    let layer = LayerNorm::new(40);
    let taken = during(|| drop(layer.forward(&x)));
    assert_eq!(taken, BTreeMap::from([("careful", 2), ("far", 2)]));
    let y = layer.forward(&x);
    // Equal numbers without a spread of their own have a backward pass like others.
    let taken = during(|| drop(y.backward_from(&x)));
    assert_eq!(taken, BTreeMap::from([("far", 1)]));
}
