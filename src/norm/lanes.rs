//! Numbers side by side in the vector registers of the processor. Page: `book/src/layer_norm.md`.

use fearless_simd::{Simd, SimdBase};

use crate::Float;

/// As many numbers as there are lanes; if the slice is shorter, 0 in the others.
#[inline(always)]
pub(super) fn load<S: Simd, V: SimdBase<S, Element: Float>>(simd: S, numbers: &[V::Element]) -> V {
    if numbers.len() == V::LEN {
        V::from_slice(simd, numbers)
    } else {
        padded(numbers, V::splat(simd, V::Element::default()))
    }
}

/// The numbers of a slice that does not fill all lanes; the other lanes keep what `filler` holds.
#[inline(always)]
pub(super) fn padded<S: Simd, V: SimdBase<S>>(numbers: &[V::Element], filler: V) -> V {
    let mut lanes = filler;
    lanes.as_mut_slice()[..numbers.len()].copy_from_slice(numbers);
    lanes
}

/// Writes the lanes, or as many as the slice holds.
#[inline(always)]
pub(super) fn store<S: Simd, V: SimdBase<S>>(lanes: V, numbers: &mut [V::Element]) {
    if numbers.len() == V::LEN {
        lanes.store_slice(numbers);
    } else {
        numbers.copy_from_slice(&lanes.as_slice()[..numbers.len()]);
    }
}
