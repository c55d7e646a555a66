//! All shape rules and their messages. Page: `book/src/tensor.md`.
//!
//! Each function returns the resulting shape, or panics at the line of the user's code that broke
//! the rule (all functions up to that line are `#[track_caller]`). The message gives the shape
//! expected and the shape found.

mod convolution;
mod count;

use std::ops::Range;

pub(crate) use convolution::{convolution, kernel};
pub(crate) use count::{addressable, position, size, too_large};

/// The common shape of two operands by NumPy's rule: aligned at the last axis, an axis of length 1
/// stretches.
#[track_caller]
pub(crate) fn broadcast(op: &str, a: &[usize], b: &[usize]) -> Vec<usize> {
    let rank = a.len().max(b.len());
    let length = |shape: &[usize], axis: usize| match (axis + shape.len()).checked_sub(rank) {
        Some(own) => shape[own],
        None => 1,
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        shape.push(match (length(a, axis), length(b, axis)) {
            (m, n) if m == n => m,
            (1, n) => n,
            (m, 1) => m,
            (m, n) => panic!("{op}: shapes {a:?} and {b:?} do not broadcast: axis {axis} is {m} in one and {n} in the other"),
        });
    }
    assert!(size(&shape).is_some(), "{op}: {}", too_large(&shape));
    shape
}

/// Shape `from` must stretch to shape `to`.
#[track_caller]
pub(crate) fn broadcast_to(from: &[usize], to: &[usize]) {
    assert!(stretches(from, to), "broadcast_to: shape {from:?} does not stretch to {to:?}");
}

fn stretches(from: &[usize], to: &[usize]) -> bool {
    let mut from_the_last = from.iter().rev().zip(to.iter().rev());
    from.len() <= to.len() && from_the_last.all(|(&own, &wanted)| own == wanted || own == 1)
}

/// The axis, counted from the front. A negative `axis` counts from the end; -1 is the last.
#[track_caller]
pub(crate) fn axis(op: &str, axis: isize, shape: &[usize]) -> usize {
    let rank = shape.len();
    let from_front =
        if axis < 0 { rank.checked_sub(axis.unsigned_abs()) } else { Some(axis.unsigned_abs()) };
    match from_front {
        Some(found) if found < rank => found,
        _ => panic!(
            "{op}: axis {axis} is out of range for shape {shape:?}: expected -{rank} to {}",
            rank as isize - 1
        ),
    }
}

/// `[.., m, k]` by `[.., k, n]`; returns the leading axes of the product, by the broadcasting rule,
/// and m, k, n.
#[track_caller]
pub(crate) fn matmul(a: &[usize], b: &[usize]) -> (Vec<usize>, [usize; 3]) {
    let (&[ref a_leading @ .., m, k], &[ref b_leading @ .., k2, n]) = (a, b) else {
        panic!("matmul: expected two matrices, [.., m, k] by [.., k, n], got {a:?} by {b:?}")
    };
    assert!(
        k == k2,
        "matmul: expected [.., m, k] by [.., k, n], got {a:?} by {b:?}: the inner lengths {k} and {k2} differ"
    );
    (broadcast("matmul, leading axes", a_leading, b_leading), [m, k, n])
}

/// The two shapes must hold the same number of values.
#[track_caller]
pub(crate) fn reshape(from: &[usize], to: &[usize]) {
    let had: usize = from.iter().product();
    let Some(wanted) = size(to) else { panic!("reshape: {}", too_large(to)) };
    assert!(had == wanted, "reshape: {from:?} holds {had} values, {to:?} would hold {wanted}");
}

/// The length of `axis` must not be 0.
#[track_caller]
pub(crate) fn some_along(op: &str, axis: usize, shape: &[usize]) {
    assert!(
        shape[axis] > 0,
        "{op}: expected at least one number along axis {axis}, got shape {shape:?}"
    );
}

/// `range` must lie within the positions along `axis`.
#[track_caller]
pub(crate) fn slice(axis: usize, range: &Range<usize>, shape: &[usize]) {
    let length = shape[axis];
    assert!(
        range.start <= range.end && range.end <= length,
        "slice_axis: {range:?} is no range within 0..{length}, axis {axis} of shape {shape:?}"
    );
}

/// The two shapes may differ along `axis` only.
#[track_caller]
pub(crate) fn concat(axis: usize, a: &[usize], b: &[usize]) {
    let fits =
        a.len() == b.len() && a.iter().zip(b).enumerate().all(|(at, (a, b))| at == axis || a == b);
    assert!(fits, "concat: shapes {a:?} and {b:?} differ in more than axis {axis}");
}

/// The shape of an array must be exactly `expected`.
#[track_caller]
pub(crate) fn exactly(owner: &str, what: &str, expected: &[usize], got: &[usize]) {
    assert!(expected == got, "{owner}: expected {what} of shape {expected:?}, got {got:?}");
}

/// An input must end in the axes `normalized_shape`; returns (rows, features), the flattened
/// lengths of the leading axes and of these.
#[track_caller]
pub(crate) fn rows_and_features(
    layer: &str,
    normalized_shape: &[usize],
    input: &[usize],
) -> (usize, usize) {
    let Some(leading) = input.len().checked_sub(normalized_shape.len()) else {
        panic!(
            "{layer}: expected an input of shape {}, got {input:?}, which has too few axes",
            ending_in(normalized_shape)
        )
    };
    assert!(
        input[leading..] == *normalized_shape,
        "{layer}: expected an input of shape {}, got {input:?}",
        ending_in(normalized_shape)
    );
    (input[..leading].iter().product(), normalized_shape.iter().product())
}

/// `[.., 3, 4]`: any leading axes, then those of `shape`.
fn ending_in(shape: &[usize]) -> String {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[.., {}]", lengths.join(", "))
}

/// An input must be `[batch, channels, ..]`, with at least `axes` axes of positions; returns batch
/// and the number of positions.
#[track_caller]
pub(crate) fn channels(
    layer: &str,
    channels: usize,
    axes: usize,
    input: &[usize],
) -> (usize, usize) {
    match *input {
        [batch, found, ref positions @ ..] if found == channels && positions.len() >= axes => {
            (batch, positions.iter().product())
        }
        _ => {
            let positions = if axes == 0 { "" } else { ", positions" };
            panic!(
                "{layer}: expected an input of shape [batch, {channels}{positions}, ..], got {input:?}"
            )
        }
    }
}

/// There must not be exactly one value: its variance is always 0. An input without values is
/// allowed: nothing is normalized.
#[track_caller]
pub(crate) fn more_than_one(layer: &str, what: &str, found: usize, input: &[usize]) {
    assert!(
        found != 1,
        "{layer}: expected more than one {what} to take a variance of, got an input of shape {input:?}"
    );
}

/// The (out_features, in_features) of a `Linear`'s weight.
#[track_caller]
pub(crate) fn linear(weight: &[usize]) -> (usize, usize) {
    let &[out_features, in_features] = weight else {
        panic!("Linear: expected a weight of shape [out_features, in_features], got {weight:?}")
    };
    (out_features, in_features)
}

/// The (batch, classes) of a classifier's logits; batch must equal `targets`.
#[track_caller]
pub(crate) fn logits(logits: &[usize], targets: usize) -> (usize, usize) {
    let &[batch, classes] = logits else {
        panic!("cross_entropy: expected logits of shape [batch, classes], got {logits:?}")
    };
    assert!(
        classes > 0,
        "cross_entropy: expected logits with at least one class, got shape {logits:?}"
    );
    assert!(
        targets == batch,
        "cross_entropy: expected {batch} targets, one per row, got {targets}"
    );
    (batch, classes)
}

/// Queries `[.., queries, d]` and keys `[.., keys, d]` must have the same leading axes; returns the
/// shape of the scores, `[.., queries, keys]`.
#[track_caller]
pub(crate) fn attention(q: &[usize], k: &[usize]) -> Vec<usize> {
    match (q, k) {
        (&[ref q_leading @ .., queries, q_d], &[ref k_leading @ .., keys, k_d])
            if q_leading == k_leading && q_d == k_d && q_d > 0 =>
        {
            [q_leading, &[queries, keys]].concat()
        }
        _ => panic!(
            "attention: expected queries [.., queries, d] and keys [.., keys, d], d at least 1, got {q:?} and {k:?}"
        ),
    }
}

/// Values must be `[.., keys, features]`, one row for each key.
#[track_caller]
pub(crate) fn attention_values(k: &[usize], v: &[usize]) {
    let rows = k.len() - 1;
    assert!(
        v.len() == k.len() && v[..rows] == k[..rows],
        "attention: expected values [.., keys, features] beside keys {k:?}, got {v:?}"
    );
}

/// An input must be `[.., length, features]`.
#[track_caller]
pub(crate) fn positions(layer: &str, features: usize, input: &[usize]) {
    let fits = matches!(input, &[.., _, last] if last == features);
    assert!(fits, "{layer}: expected an input of shape [.., length, {features}], got {input:?}");
}

/// A mask over scores `[.., queries, keys]` must have at most the last two axes, or all axes,
/// because the axis of the heads is not known.
#[track_caller]
pub(crate) fn mask(mask: &[usize], scores: &[usize]) {
    let axes = scores.len();
    assert!(
        (mask.len() <= 2 || mask.len() == axes) && stretches(mask, scores),
        "attention: expected a mask of shape [keys], [queries, keys] or with all {axes} axes of the scores {scores:?}, of length 1 where all share it, got {mask:?}"
    );
}

/// A mask for attention with `heads` heads over an input `[.., length, features]` must be the same
/// for all heads, or have one axis more than the input, that of heads.
#[track_caller]
pub(crate) fn mask_of_heads(layer: &str, mask: &[usize], input: &[usize], heads: usize) {
    let (leading, length) = (&input[..input.len() - 2], input[input.len() - 2]);
    let shared = [leading, &[length; 2]].concat();
    let per_head = [leading, &[heads, length, length]].concat();
    let axes = per_head.len();
    if stretches(mask, if mask.len() == axes { &per_head } else { &shared }) {
        return;
    }
    let per_example = match leading {
        [] => String::new(),
        _ => format!(" (per example: {:?})", [leading, &[1, length]].concat()),
    };
    panic!(
        "{layer}: expected a mask that stretches to {shared:?}, the same for all heads{per_example}, or one with {axes} axes that stretches to {per_head:?}, got {mask:?}"
    )
}
