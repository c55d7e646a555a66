//! The comparison that `tests/golden/README.md` describes, for `main.rs` and `golden.rs`.

use ndarray::{ArrayD, Dimension};

/// Whether `|got - want| <= tolerance · max(1, largest |want|)` holds everywhere, as `tests/golden/README.md` says it.
/// The shape is compared first; NaN is close only to NaN; the message names the worst place.
pub fn close(
    what: &str,
    got: &ArrayD<f64>,
    want: &ArrayD<f64>,
    tolerance: f64,
) -> Result<(), String> {
    if got.shape() != want.shape() {
        return Err(format!("{what}: expected shape {:?}, got {:?}", want.shape(), got.shape()));
    }
    let size = want
        .iter()
        .filter(|want| want.is_finite())
        .fold(1.0, |size: f64, want| size.max(want.abs()));
    let error = |got: f64, want: f64| {
        if got == want || (got.is_nan() && want.is_nan()) {
            0.0
        } else {
            let error = (got - want).abs() / size;
            if error.is_nan() { f64::INFINITY } else { error }
        }
    };
    let worst = want.indexed_iter().map(|(index, &want)| (error(got[&index], want), index));
    let worst = worst.max_by(|(a, _), (b, _)| a.total_cmp(b));
    match worst {
        Some((error, index)) if error > tolerance => Err(format!(
            "{what}: worst at {:?}: expected {:e}, got {:e}, error {error:.1e}, tolerated {tolerance:.0e}",
            index.slice(),
            want[&index],
            got[&index]
        )),
        _ => Ok(()),
    }
}
