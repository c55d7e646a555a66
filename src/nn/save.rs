//! [`save`] and [`load`]: tensors in a safetensors file.

mod error;
mod header;
mod whole;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use ndarray::IxDyn;
use safetensors::tensor::TensorInfo;
use safetensors::{Dtype, View};

use crate::engine::autograd::Value;
use crate::engine::{Module, Tensor};
use crate::machine::Float;

pub use error::{LoadError, SaveError};

/// Writes the tensors of a module to a safetensors file, which PyTorch, candle and others read.
///
/// A module is a layer, a network of yours, or a list of tensors and layers from
/// [`named`](crate::named); for the names see [`Module`]. With the names of PyTorch's `state_dict`
/// (`l1.weight`, `norm.running_mean`), a PyTorch model can load the file.
///
/// The file is written atomically: the bytes go to a new file beside it, which is renamed once they
/// are on the disk. The rest is as if the file were written in place: an existing file keeps its
/// mode (and its owner, where the system allows it), a symbolic link stays a link, and a device or
/// a pipe is written into. Only a second hard link keeps the old contents.
///
/// ```
/// use evenkeel::{Linear, Module, Named, load, named, save};
///
/// struct Network { l1: Linear, l2: Linear }
///
/// impl Module for Network {
///     fn tensors_mut(&mut self) -> Named<'_> {
///         named([("l1", &mut self.l1), ("l2", &mut self.l2)])
///     }
/// }
///
/// let new = |seed| {
///     let mut rng = evenkeel::rng(seed);
///     Network { l1: Linear::new(4, 8, &mut rng), l2: Linear::new(8, 3, &mut rng) }
/// };
/// let (mut trained, mut fresh) = (new(1), new(2));
/// assert_ne!(fresh.l1.weight, trained.l1.weight);
///
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("network.safetensors");
/// save(&path, &mut trained)?;
/// load(&path, &mut fresh)?;
/// assert_eq!(fresh.l1.weight, trained.l1.weight);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SaveError`]: if the file or a new one beside it cannot be written, if two tensors have the
/// same name, or if one is called `__metadata__`.
///
/// *PyTorch*: `safetensors.torch.save_file(model.state_dict(), path)`. Page: `book/src/tensor.md`.
pub fn save<T: Float>(path: impl AsRef<Path>, mut module: impl Module<T>) -> Result<(), SaveError> {
    let path = path.as_ref();
    let tensors = module.tensors_mut();
    if let Some(name) = duplicate_name(&tensors) {
        return Err(SaveError::GivenTwice { name });
    }
    if tensors.iter().any(|(name, _)| name == "__metadata__") {
        return Err(SaveError::Reserved);
    }
    let views = tensors.iter().map(|(name, tensor)| (name, TensorView(tensor)));
    safetensors::serialize(views, None)
        .map_err(|error| io::Error::other(error.to_string()))
        .and_then(|bytes| whole::write_whole(path, &bytes))
        .map_err(|source| SaveError::Write { path: path.to_owned(), source })
}

/// Reads a file of [`save`] or of PyTorch into the tensors of a module: all of them or none.
///
/// A parameter keeps its identity, so an optimiser keeps its state. Earlier handles and graphs keep
/// the old numbers.
///
/// The file and the module must have the same names, shapes and element types, because a
/// half-loaded model would silently compute wrong results. One type is converted: PyTorch stores
/// BatchNorm's count (`num_batches_tracked`) as a single `I64`, which is accepted if the element
/// type holds it exactly.
///
/// For an example see [`save`].
///
/// # Errors
/// [`LoadError`], with the file, the tensor, what was expected and what was found: also for a
/// header that names a tensor twice, or contradicts itself or the length of the file.
///
/// # Panics
/// If a tensor is the result of an operation: new numbers would not be what it was computed from.
///
/// *PyTorch*: `model.load_state_dict(safetensors.torch.load_file(path))`. Page:
/// `book/src/tensor.md`.
#[track_caller]
pub fn load<T: Float>(path: impl AsRef<Path>, mut module: impl Module<T>) -> Result<(), LoadError> {
    let path = path.as_ref();
    let tensors = module.tensors_mut();
    for (name, tensor) in tensors.iter() {
        assert!(
            tensor.node.is_none() || tensor.is_parameter(),
            "load: expected constants and parameters, but `{name}` is the result of an operation"
        );
    }
    if let Some(name) = duplicate_name(&tensors) {
        return Err(LoadError::GivenTwice { name });
    }
    let bytes = fs::read(path).map_err(|source| LoadError::Read { path: path.into(), source })?;
    let damaged = |reason| LoadError::NotSafetensors { path: path.to_owned(), reason };
    let (infos, data) = header::parse(&bytes).map_err(damaged)?;

    let expected: BTreeSet<&String> = tensors.iter().map(|(name, _)| name).collect();
    let found: BTreeSet<&String> = infos.keys().collect();
    if expected != found {
        let only_in = |a: &BTreeSet<&String>, b| a.difference(b).map(ToString::to_string).collect();
        let (missing, unexpected) = (only_in(&expected, &found), only_in(&found, &expected));
        return Err(LoadError::Names { path: path.to_owned(), missing, unexpected });
    }
    let mut values = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors.iter() {
        values.push(read(path, name, tensor.shape(), &infos[name], data)?);
    }
    for ((_, tensor), value) in tensors.into_iter().zip(values) {
        tensor.value = value;
    }
    Ok(())
}

/// The first name that is used twice.
fn duplicate_name<T: Float>(tensors: &[(String, &mut Tensor<T>)]) -> Option<String> {
    let mut seen = BTreeSet::new();
    tensors.iter().map(|(name, _)| name).find(|name| !seen.insert(*name)).cloned()
}

/// The numbers of one tensor.
fn read<T: Float>(
    path: &Path,
    name: &str,
    shape: &[usize],
    info: &TensorInfo,
    data: &[u8],
) -> Result<Value<T>, LoadError> {
    let (path, name) = (|| path.to_owned(), || name.to_owned());
    if info.shape != shape {
        let (expected, got) = (shape.to_vec(), info.shape.clone());
        return Err(LoadError::Shape { path: path(), name: name(), expected, got });
    }
    let bytes = &data[info.data_offsets.0..info.data_offsets.1]; // in range: `parse` checks
    numbers(info.dtype, bytes)
        .filter(|numbers| numbers.len() == shape.iter().product::<usize>())
        .map(|numbers| Value::new(IxDyn(shape), numbers))
        .ok_or_else(|| {
            let (expected, got) = (element_type::<T>().to_string(), info.dtype.to_string());
            LoadError::ElementType { path: path(), name: name(), expected, got }
        })
}

/// The numbers in `bytes`, if they are of `T`'s type, or one integer that `T` holds exactly.
fn numbers<T: Float>(kind: Dtype, bytes: &[u8]) -> Option<Vec<T>> {
    let (fours, eights) = (bytes.as_chunks::<4>().0, bytes.as_chunks::<8>().0);
    match (kind, element_type::<T>()) {
        (Dtype::F32, Dtype::F32) => {
            Some(fours.iter().map(|&b| T::of(f32::from_le_bytes(b).into())).collect())
        }
        (Dtype::F64, Dtype::F64) => {
            Some(eights.iter().map(|&b| T::of(f64::from_le_bytes(b))).collect())
        }
        (Dtype::I64, _) if eights.len() == 1 => {
            let count = i64::from_le_bytes(eights[0]) as f64;
            // Below 2²⁴ or 2⁵³ every integer is exact.
            (count.abs() < 2.0 / T::epsilon().wide()).then(|| vec![T::of(count)])
        }
        _ => None,
    }
}

/// The safetensors type of `T`: `F32` or `F64`.
fn element_type<T: Float>() -> Dtype {
    if size_of::<T>() == 4 { Dtype::F32 } else { Dtype::F64 }
}

/// A tensor in the form that the safetensors crate reads.
struct TensorView<'a, T: Float>(&'a Tensor<T>);

impl<T: Float> View for TensorView<'_, T> {
    fn dtype(&self) -> Dtype {
        element_type::<T>()
    }

    fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    // An f32 survives the way through f64 unchanged.
    #[expect(clippy::cast_possible_truncation)]
    fn data(&self) -> Cow<'_, [u8]> {
        let numbers = self.0.as_slice().iter().map(|x| x.wide());
        if element_type::<T>() == Dtype::F32 {
            numbers.flat_map(|x| (x as f32).to_le_bytes()).collect()
        } else {
            numbers.flat_map(f64::to_le_bytes).collect()
        }
    }

    fn data_len(&self) -> usize {
        size_of_val(self.0.as_slice())
    }
}
