//! A BatchNorm with all it remembers goes through a file. Page: `book/src/tensor.md`.

use std::fs;

use evenkeel::{BatchNorm, Module, Named, Tensor, load, named, save};
use ndarray::{Array1, array};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::file_in;
use crate::common::{narrow, normal};

/// What PyTorch's `state_dict` calls them.
fn as_there(layer: &mut BatchNorm<f32>) -> Named<'_, f32> {
    let BatchNorm { gamma, beta, running_mean, running_var, num_batches_tracked, .. } = layer;
    named([
        ("weight", gamma),
        ("bias", beta),
        ("running_mean", running_mean),
        ("running_var", running_var),
        ("num_batches_tracked", num_batches_tracked),
    ])
}

fn images(seed: u64) -> Tensor<f32> {
    narrow(&(normal(&[4, 3, 2, 2], seed) * 2.0 + 5.0))
}

/// A layer in which nothing is as it was at first.
fn trained() -> BatchNorm<f32> {
    let mut layer = BatchNorm::new(3).with_momentum(None);
    layer.gamma = Tensor::parameter(array![0.5, -1.0, 2.0]);
    layer.beta = Tensor::parameter(array![1.0, 2.0, -3.0]);
    for seed in 1..=3 {
        let _ = layer.forward_train(&images(seed));
    }
    layer
}

#[test]
fn a_batch_norm_goes_on_where_it_was_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut layer = trained();
    save(file_in(&folder), as_there(&mut layer)).unwrap();
    let mut back = BatchNorm::new(3).with_momentum(None);
    load(file_in(&folder), as_there(&mut back)).unwrap();

    assert_eq!(back.num_batches_tracked.item(), 3.0);
    assert_eq!(back.forward(&images(4)), layer.forward(&images(4)));
    assert_eq!(back.parameters().len(), 2);
    // The fourth batch has a weight of 1/4 in the average, so the count counts, too.
    for layer in [&mut layer, &mut back] {
        let _ = layer.forward_train(&images(4));
    }
    assert_eq!(*as_there(&mut back), *as_there(&mut layer));
}

#[test]
fn a_batch_norm_as_pytorch_writes_it_is_loaded() {
    // Four times F32, and the count of batches as I64.
    let folder = tempfile::tempdir().unwrap();
    let layer = trained();
    let bytes = |tensor: &Tensor<f32>| -> Vec<u8> {
        tensor.value().iter().flat_map(|x| x.to_le_bytes()).collect()
    };
    let tensors = [
        ("weight", &layer.gamma),
        ("bias", &layer.beta),
        ("running_mean", &layer.running_mean),
        ("running_var", &layer.running_var),
    ]
    .map(|(name, tensor)| (name, Dtype::F32, vec![3], bytes(tensor)));
    let count = ("num_batches_tracked", Dtype::I64, vec![], 3i64.to_le_bytes().to_vec());
    let tensors: Vec<_> = tensors.into_iter().chain([count]).collect();
    let views = tensors.iter().map(|(name, kind, shape, bytes)| {
        (*name, TensorView::new(*kind, shape.clone(), bytes).unwrap())
    });
    fs::write(file_in(&folder), safetensors::serialize(views, None).unwrap()).unwrap();

    let mut back = BatchNorm::new(3);
    load(file_in(&folder), as_there(&mut back)).unwrap();
    assert_eq!(back.num_batches_tracked.item(), 3.0);
    assert_eq!(back.forward(&images(4)), layer.forward(&images(4)));
}

#[test]
fn the_count_of_batches_is_left_alone_where_the_file_lacks_it_and_nobody_asks() {
    let folder = tempfile::tempdir().unwrap();
    let (mut layer, mut other) = (trained(), BatchNorm::new(3));
    let without = |layer| as_there(layer).into_iter().take(4).collect::<Named<_>>();
    save(file_in(&folder), without(&mut layer)).unwrap();
    let _ = other.forward_train(&images(5));
    let message = load(file_in(&folder), as_there(&mut other)).unwrap_err().to_string();
    assert!(message.ends_with(r#"missing ["num_batches_tracked"], not asked for []"#), "{message}");
    load(file_in(&folder), without(&mut other)).unwrap();
    assert_eq!(other.num_batches_tracked.item(), 1.0);
    assert_eq!(other.running_var, layer.running_var);
    assert_ne!(other.running_var, Tensor::new(Array1::ones(3)));
}
