//! Every shape rule and every shape message, once. Page: `book/src/tensor.md`.
//!
//! Each function returns the shape that follows from its arguments, or panics at the line of the
//! reader's code that broke the rule (`#[track_caller]` all the way up), saying what was expected
//! and what was found.

mod convolution;
mod count;

use std::ops::Range;

pub(crate) use convolution::{convolution, kernel};
pub(crate) use count::{addressable, position, size, too_large};

/// The shape two operands take together, by NumPy's rule: align at the last axis, an axis of length
/// 1 stretches.
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

/// The shape `from` must be able to stretch to.
#[track_caller]
pub(crate) fn broadcast_to(from: &[usize], to: &[usize]) {
    assert!(stretches(from, to), "broadcast_to: shape {from:?} does not stretch to {to:?}");
}

fn stretches(from: &[usize], to: &[usize]) -> bool {
    let mut from_the_last = from.iter().rev().zip(to.iter().rev());
    from.len() <= to.len() && from_the_last.all(|(&own, &wanted)| own == wanted || own == 1)
}

/// An axis counted from the front; negative ones count from the back, -1 is the last.
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

/// `[.., m, k]` by `[.., k, n]`: the leading axes of the product, by the broadcasting rule, and m, k,
/// n.
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

/// A shape with as many elements as the one it replaces.
#[track_caller]
pub(crate) fn reshape(from: &[usize], to: &[usize]) {
    let had: usize = from.iter().product();
    let Some(wanted) = size(to) else { panic!("reshape: {}", too_large(to)) };
    assert!(had == wanted, "reshape: {from:?} holds {had} values, {to:?} would hold {wanted}");
}

/// An axis that has positions.
#[track_caller]
pub(crate) fn some_along(op: &str, axis: usize, shape: &[usize]) {
    assert!(
        shape[axis] > 0,
        "{op}: expected at least one number along axis {axis}, got shape {shape:?}"
    );
}

/// A range of positions along `axis`.
#[track_caller]
pub(crate) fn slice(axis: usize, range: &Range<usize>, shape: &[usize]) {
    let length = shape[axis];
    assert!(
        range.start <= range.end && range.end <= length,
        "slice_axis: {range:?} is no range within 0..{length}, axis {axis} of shape {shape:?}"
    );
}

/// Two shapes that may differ along `axis` only.
#[track_caller]
pub(crate) fn concat(axis: usize, a: &[usize], b: &[usize]) {
    let fits =
        a.len() == b.len() && a.iter().zip(b).enumerate().all(|(at, (a, b))| at == axis || a == b);
    assert!(fits, "concat: shapes {a:?} and {b:?} differ in more than axis {axis}");
}

/// An array whose shape must be exactly `expected`.
#[track_caller]
pub(crate) fn exactly(owner: &str, what: &str, expected: &[usize], got: &[usize]) {
    assert!(expected == got, "{owner}: expected {what} of shape {expected:?}, got {got:?}");
}

/// An input whose last axes are `normalized_shape`; returns (rows, features), their flattened
/// lengths.
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

/// `[.., 3, 4]`: any leading axes, then these.
fn ending_in(shape: &[usize]) -> String {
    let lengths: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[.., {}]", lengths.join(", "))
}

/// An input `[batch, channels, ..]` with at least `axes` axes of positions; returns batch and the
/// number of positions.
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

/// Enough values for a variance that is not always zero. None at all will do: nothing is normalized.
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

/// The (batch, classes) of a classifier's logits, for as many targets.
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

/// Queries `[.., queries, d]` and keys `[.., keys, d]` with the same leading axes; returns the shape
/// of the scores, `[.., queries, keys]`.
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

/// Values `[.., keys, features]`, one row for each key.
#[track_caller]
pub(crate) fn attention_values(k: &[usize], v: &[usize]) {
    let rows = k.len() - 1;
    assert!(
        v.len() == k.len() && v[..rows] == k[..rows],
        "attention: expected values [.., keys, features] beside keys {k:?}, got {v:?}"
    );
}

/// An input `[.., length, features]`.
#[track_caller]
pub(crate) fn positions(layer: &str, features: usize, input: &[usize]) {
    let fits = matches!(input, &[.., _, last] if last == features);
    assert!(fits, "{layer}: expected an input of shape [.., length, {features}], got {input:?}");
}

/// A mask over scores `[.., queries, keys]` of which no axis is known to be that of heads: with the
/// last two axes at most, or with all.
#[track_caller]
pub(crate) fn mask(mask: &[usize], scores: &[usize]) {
    let axes = scores.len();
    assert!(
        (mask.len() <= 2 || mask.len() == axes) && stretches(mask, scores),
        "attention: expected a mask of shape [keys], [queries, keys] or with all {axes} axes of the scores {scores:?}, of length 1 where all share it, got {mask:?}"
    );
}

/// A mask over what `heads` see of an input `[.., length, features]`: the same for all of them, or
/// with one axis more than the input, that of heads.
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
