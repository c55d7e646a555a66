//! The shapes of a convolution.

use super::{size, too_large};

/// The four lengths of a `Conv2d`'s weight.
#[track_caller]
pub(crate) fn kernel(weight: &[usize]) -> [usize; 4] {
    let &[out_channels, in_channels, height, width] = weight else {
        panic!(
            "Conv2d: expected a weight of shape [out_channels, in_channels, height, width], got {weight:?}"
        )
    };
    [out_channels, in_channels, height, width]
}

/// Images must be `[batch, channels, height, width]` and, with padding, at least as large as the
/// kernel; returns batch, height and width of the output.
#[track_caller]
pub(crate) fn convolution(
    images: &[usize],
    channels: usize,
    [kernel, stride, padding]: [[usize; 2]; 3],
) -> [usize; 3] {
    let (batch, height, width) = match *images {
        [batch, found, height, width] if found == channels => (batch, height, width),
        _ => panic!(
            "Conv2d: expected an input of shape [batch, {channels}, height, width], got {images:?}"
        ),
    };
    let both_sides =
        |length: usize, padding: usize| length.saturating_add(padding.saturating_mul(2));
    let padded = [both_sides(height, padding[0]), both_sides(width, padding[1])];
    assert!(
        padded[0] >= kernel[0] && padded[1] >= kernel[1],
        "Conv2d: expected an image at least as large as the kernel {kernel:?}, got {padded:?} with its padding"
    );
    let places = |axis: usize| (padded[axis] - kernel[axis]) / stride[axis] + 1;
    // The convolution copies the numbers under the kernel, for each place of the kernel.
    let written = [batch, places(0), places(1), channels, kernel[0], kernel[1]];
    assert!(
        size(&written).is_some(),
        "Conv2d, all that the kernel covers: {}",
        too_large(&written)
    );
    [batch, places(0), places(1)]
}
