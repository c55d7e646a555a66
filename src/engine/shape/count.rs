//! How many values a shape holds, and the place of a position among them.

/// How many values a shape holds; `None` if the product of its lengths, zeros left out, is above
/// `isize::MAX`. (Zeros are left out so that the product of any of the lengths fits too. `ndarray`
/// has the same rule.)
pub(crate) fn size(shape: &[usize]) -> Option<usize> {
    let without_zeros = shape
        .iter()
        .filter(|&&length| length > 0)
        .try_fold(1, |size: usize, &length| size.checked_mul(length))?;
    isize::try_from(without_zeros).ok()?;
    Some(if shape.contains(&0) { 0 } else { without_zeros })
}

/// Memory must have an address for each value of a shape, of type `T`; returns the number of
/// values.
#[track_caller]
pub(crate) fn addressable<T>(op: &str, shape: &[usize]) -> usize {
    match size(shape) {
        Some(size) if isize::try_from(size.saturating_mul(size_of::<T>())).is_ok() => size,
        _ => panic!("{op}: {}", too_large(shape)),
    }
}

/// The message about a shape whose [`size`] is too large.
pub(crate) fn too_large(shape: &[usize]) -> String {
    let zeros = if shape.contains(&0) { ", zeros left out" } else { "" };
    format!(
        "shape {shape:?} is too large: the product of its lengths{zeros} is more than a computer can count to"
    )
}

/// The place of a position, one index per axis, among all values in row-major order.
#[track_caller]
pub(crate) fn position(position: &[usize], shape: &[usize]) -> usize {
    let rank = shape.len();
    assert!(
        position.len() == rank,
        "index: expected one index per axis, {rank} for shape {shape:?}, got {position:?}"
    );
    let mut place = 0;
    for (axis, (&index, &length)) in position.iter().zip(shape).enumerate() {
        assert!(
            index < length,
            "index: position {position:?} is out of range for shape {shape:?}: axis {axis} has length {length}, counted from 0"
        );
        place = place * length + index;
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_what_can_be_counted_whatever_the_order() {
        let most = isize::MAX.unsigned_abs();
        for (shape, want) in [
            (vec![], Some(1)),
            (vec![3, 5], Some(15)),
            (vec![3, 0, 5], Some(0)),
            (vec![most], Some(most)),
            (vec![most, 0], Some(0)),
            (vec![most + 1], None),
            (vec![usize::MAX], None),
            (vec![most, 2], None),
            (vec![usize::MAX, 2, 0], None),
            (vec![1 << 32, 1 << 32], None),
            (vec![0, 1 << 32, 1 << 31], None),
            (vec![0, 0, usize::MAX], None),
        ] {
            assert_eq!(size(&shape), want, "{shape:?}");
            let backwards: Vec<usize> = shape.iter().rev().copied().collect();
            assert_eq!(size(&backwards), want, "{backwards:?}");
        }
    }
}
