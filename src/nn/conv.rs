//! [`Conv2d`]: one small linear map, applied at every place of an image.

use std::ops::Range;

use ndarray::IxDyn;
use rand::Rng;

use crate::engine::autograd::{Value, record};
use crate::engine::{Module, Named, Tensor, init, named, shape};
use crate::machine::Float;
use crate::machine::buffer::Buffer;

/// Slides a kernel over images and takes the weighted sum of the pixels under it.
///
/// ```text
/// y[n, o, i, j] = b[o] + Σ W[o, c, u, v] · x[n, c, i·stride + u - padding, j·stride + v - padding]
/// ```
///
/// where the sum runs over the channels `c` and the places `u`, `v` of the kernel, and `x` is 0
/// outside of the image.
///
/// # Shapes
/// input `[batch, in_channels, height, width]`, output `[batch, out_channels, height', width']` with
/// `height' = (height + 2·padding - kernel) / stride + 1`, rounded down; `W`
/// `[out_channels, in_channels, kernel height, kernel width]`, `b` `[out_channels]`.
///
/// # Defaults
/// stride 1, padding 0; `W` from N(0, 2/n) with n the number of weights of one output channel (He
/// et al. 2015, equation 10); `b` zeros.
///
/// ```
/// use evenkeel::{Conv2d, Tensor};
/// use ndarray::array;
///
/// let mut rng = evenkeel::rng(1);
/// let mut edges = Conv2d::new(1, 1, [1, 2], &mut rng);
/// edges.weight = Tensor::parameter(array![[[[-1.0, 1.0]]]]); // each pixel minus its left neighbour
/// let image = Tensor::new(array![[[[0.0, 0.0, 5.0], [7.0, 7.0, 7.0]]]]);
/// assert_eq!(edges.forward(&image), Tensor::new(array![[[[0.0, 5.0], [0.0, 0.0]]]]));
///
/// let same_size = Conv2d::new(1, 8, [3, 3], &mut rng).with_padding([1, 1]);
/// assert_eq!(same_size.forward(&image).shape(), [1, 8, 2, 3]);
/// ```
///
/// *Differs from PyTorch in*: sizes are always `[height, width]`; no dilation, no groups; a batch
/// is always expected; the initial values. The layout of `W` is the same. As everywhere in deep
/// learning, the kernel is not flipped.
///
/// Paper: LeCun, Bottou, Bengio, Haffner, *Gradient-Based Learning Applied to Document Recognition*,
/// 1998, section II. Page: `book/src/tensor.md`.
///
/// A clone shares its parameters; [`Module::copy`](crate::Module::copy) makes a layer with its own.
#[derive(Clone, Debug)]
#[must_use]
pub struct Conv2d<T: Float = f64> {
    stride: [usize; 2],
    padding: [usize; 2],
    /// `W`, of shape `[out_channels, in_channels, kernel height, kernel width]`.
    pub weight: Tensor<T>,
    /// `b`, of shape `[out_channels]`.
    pub bias: Tensor<T>,
}

impl<T: Float> Conv2d<T> {
    /// A layer with random weights from `rng` and a bias of zeros; `kernel` is `[height, width]`.
    ///
    /// # Panics
    /// If there is no input channel, the kernel is empty, or the weights are more than memory has
    /// addresses.
    #[track_caller]
    pub fn new(
        in_channels: usize,
        out_channels: usize,
        kernel: [usize; 2],
        rng: &mut impl Rng,
    ) -> Self {
        let [height, width] = kernel;
        shape::addressable::<T>("Conv2d", &[out_channels, in_channels, height, width]);
        let n = in_channels * height * width;
        assert!(
            n > 0,
            "Conv2d: expected at least one input channel and a kernel of at least [1, 1], got {in_channels} and {kernel:?}"
        );
        Self {
            stride: [1, 1],
            padding: [0, 0],
            weight: init::normal(&[out_channels, in_channels, height, width], 2.0 / n as f64, rng),
            bias: Tensor::zeros([out_channels]).trainable(),
        }
    }

    /// How far the kernel moves down and to the right; the default is `[1, 1]`.
    ///
    /// # Panics
    /// If one is 0.
    #[track_caller]
    pub fn with_stride(mut self, stride: [usize; 2]) -> Self {
        assert!(
            !stride.contains(&0),
            "Conv2d: expected a stride of at least [1, 1], got {stride:?}"
        );
        self.stride = stride;
        self
    }

    /// How many rows of zeros are added above and below the image, and how many columns to its left
    /// and right; the default is `[0, 0]`.
    pub fn with_padding(mut self, padding: [usize; 2]) -> Self {
        self.padding = padding;
        self
    }

    /// Leaves `b` out, as is usual before a norm that subtracts the mean: `b` becomes a constant
    /// zero, which is not trained.
    pub fn without_bias(mut self) -> Self {
        self.bias = Tensor::zeros(self.bias.shape());
        self
    }

    /// The convolved images, of shape `[batch, out_channels, height', width']`.
    ///
    /// # Panics
    /// If `x` is not of shape `[batch, in_channels, height, width]`, the kernel is larger than the
    /// padded image, or `W` or `b` were given shapes that do not fit.
    // ANCHOR: forward
    #[track_caller]
    pub fn forward(&self, x: &Tensor<T>) -> Tensor<T> {
        let [out_channels, in_channels, kernel @ ..] = shape::kernel(self.weight.shape());
        shape::exactly("Conv2d", "a bias", &[out_channels], self.bias.shape());
        let Self { stride, padding, .. } = *self;
        let [batch, height, width] =
            shape::convolution(x.shape(), in_channels, [kernel, stride, padding]);

        // im2col: each place of the kernel is a row, and the convolution a matrix product.
        let window = Window { kernel, stride, padding };
        let patches = window.patches(x, [height, width]); // [batch, places, n]
        let n = in_channels * kernel[0] * kernel[1];
        let weight = self.weight.reshape(&[out_channels, n]);
        let y = patches.matmul(&weight.transpose()) + &self.bias; // [batch, places, out_channels]
        y.transpose().reshape(&[batch, out_channels, height, width])
    }
    // ANCHOR_END: forward
}

/// How a kernel moves over an image; each pair is for height and width.
#[derive(Clone, Copy)]
struct Window {
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
}

impl Window {
    /// The pixels under the kernel, one row for each of its places: from
    /// `[batch, channels, height, width]` to `[batch, places, channels · kernel]`. Gradient: each
    /// pixel gets the sum over all its copies.
    fn patches<T: Float>(self, x: &Tensor<T>, places: [usize; 2]) -> Tensor<T> {
        let &[batch, channels, height, width] = x.shape() else { unreachable!("checked") };
        let (image, rows) = ([channels, height, width], places[0] * places[1]);
        let features = channels * self.kernel[0] * self.kernel[1];
        let (pixels, patch) = (channels * height * width, rows * features);

        let mut y = Buffer::full(batch * patch, T::zero());
        for n in 0..batch {
            let (x, y) = (&x.as_slice()[n * pixels..], &mut y[n * patch..]);
            self.visit(image, places, |numbers, pixels| y[numbers].copy_from_slice(&x[pixels]));
        }
        let y = Value::new(IxDyn(&[batch, rows, features]), y);

        let shape = x.value.raw_dim();
        record(y, [x], move |dy, _| {
            let dy = dy.as_slice();
            let mut dx = Buffer::full(batch * pixels, T::zero());
            for n in 0..batch {
                let (dx, dy) = (&mut dx[n * pixels..], &dy[n * patch..]);
                self.visit(image, places, |numbers, pixels| {
                    for (dx, dy) in dx[pixels].iter_mut().zip(&dy[numbers]) {
                        *dx += *dy;
                    }
                });
            }
            [Some(Value::new(shape.clone(), dx))]
        })
    }

    /// Calls `on_run(numbers, pixels)` for each contiguous run of an image's pixels in its patches,
    /// with the run's range in the patches and in the image. Padding is left out.
    fn visit(
        self,
        [channels, height, width]: [usize; 3],
        places: [usize; 2],
        mut on_run: impl FnMut(Range<usize>, Range<usize>),
    ) {
        // The offsets within the kernel that lie over the image, for one place of the kernel along
        // one axis.
        let over = |place: usize, axis: usize, length: usize| {
            let (start, padding) = (place * self.stride[axis], self.padding[axis]);
            let end = (length + padding).saturating_sub(start).min(self.kernel[axis]);
            (start, padding.saturating_sub(start).min(end)..end)
        };
        let mut patch = 0; // where the patch begins
        for i in 0..places[0] {
            let (top, rows) = over(i, 0, height);
            for j in 0..places[1] {
                let (left, columns) = over(j, 1, width);
                for c in 0..channels {
                    for u in rows.clone().filter(|_| !columns.is_empty()) {
                        let number = patch + (c * self.kernel[0] + u) * self.kernel[1];
                        let row = (c * height + top + u - self.padding[0]) * width;
                        let pixel = row + left + columns.start - self.padding[1];
                        on_run(
                            number + columns.start..number + columns.end,
                            pixel..pixel + columns.len(),
                        );
                    }
                }
                patch += channels * self.kernel[0] * self.kernel[1];
            }
        }
    }
}

impl<T: Float> Module<T> for Conv2d<T> {
    fn tensors_mut(&mut self) -> Named<'_, T> {
        named([("weight", &mut self.weight), ("bias", &mut self.bias)])
    }
}
