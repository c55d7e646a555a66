//! Every shape rule and every shape message, once. Page: `book/src/tensor.md`.
//!
//! Each function returns the shape that follows from its arguments, or panics at the line of the
//! reader's code that broke the rule (`#[track_caller]` all the way up), saying what was expected
//! and what was found.

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
    shape
}

/// The shape `from` must be able to stretch to.
#[track_caller]
pub(crate) fn broadcast_to(from: &[usize], to: &[usize]) {
    let fits = from.len() <= to.len()
        && from.iter().rev().zip(to.iter().rev()).all(|(&own, &wanted)| own == wanted || own == 1);
    assert!(fits, "broadcast_to: shape {from:?} does not stretch to {to:?}");
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

/// `[m, k]` by `[k, n]` gives `[m, n]`.
#[track_caller]
pub(crate) fn matmul(a: &[usize], b: &[usize]) -> (usize, usize, usize) {
    match (a, b) {
        (&[m, k], &[k2, n]) if k == k2 => (m, k, n),
        (&[_, k], &[k2, _]) => {
            panic!(
                "matmul: expected [m, k] by [k, n], got {a:?} by {b:?}: the inner lengths {k} and {k2} differ"
            )
        }
        _ => panic!("matmul: expected two matrices, [m, k] by [k, n], got {a:?} by {b:?}"),
    }
}

/// A shape with as many elements as the one it replaces.
#[track_caller]
pub(crate) fn reshape(from: &[usize], to: &[usize]) {
    let (had, wanted) = (from.iter().product::<usize>(), to.iter().product::<usize>());
    assert!(had == wanted, "reshape: {from:?} holds {had} values, {to:?} would hold {wanted}");
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
