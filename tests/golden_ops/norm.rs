//! How a case of a normalization layer is run.

use evenkeel::{BatchNorm, Float, GroupNorm, InstanceNorm, LayerNorm, RMSNorm, Tensor};
use ndarray::Array1;

use super::case::Case;

/// The leaves whose gradients a case may hold.
type Leaves<'a, T> = [(&'static str, &'a Tensor<T>)];

pub fn run<T: Float>(case: &Case) -> Result<(), String> {
    match case.op.as_str() {
        "LayerNorm" => layer_norm::<T>(case),
        "RMSNorm" => rms_norm::<T>(case),
        "GroupNorm" => group_norm::<T>(case),
        "BatchNorm" => batch_norm::<T>(case),
        "InstanceNorm" => instance_norm::<T>(case),
        other => Err(format!("op `{other}` is not known")),
    }
}

fn layer_norm<T: Float>(case: &Case) -> Result<(), String> {
    let shape = case.integers("normalized_shape")?;
    let layer = LayerNorm::<T>::new(shape.as_slice()).with_eps(case.number("eps")?);
    let mut layer = match case.word("affine")? {
        "both" => layer,
        "weight" => layer.without_bias(),
        "none" => layer.without_affine(),
        other => return Err(format!("affine `{other}` is not known")),
    };
    case.fill("gamma", &mut layer.gamma)?;
    case.fill("beta", &mut layer.beta)?;
    let x = case.parameter("x")?;
    let y = layer.forward(&x);
    pass(case, "", &y, &[("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)])
}

fn rms_norm<T: Float>(case: &Case) -> Result<(), String> {
    let shape = case.integers("normalized_shape")?;
    // `eps: null` is PyTorch's default, the machine epsilon of the element type.
    let eps = match case.optional_number("eps")? {
        Some(eps) => eps,
        None => case.number("eps_effective")?,
    };
    let layer = RMSNorm::<T>::new(shape.as_slice()).with_eps(eps);
    let mut layer = match case.word("affine")? {
        "both" | "weight" => layer, // it has no bias
        "none" => layer.without_affine(),
        other => return Err(format!("affine `{other}` is not known")),
    };
    case.fill("gamma", &mut layer.gamma)?;
    let x = case.parameter("x")?;
    pass(case, "", &layer.forward(&x), &[("dx", &x), ("dgamma", &layer.gamma)])
}

fn group_norm<T: Float>(case: &Case) -> Result<(), String> {
    let (groups, channels) = (case.integer("num_groups")?, case.integer("num_channels")?);
    let mut layer = GroupNorm::<T>::new(groups, channels).with_eps(case.number("eps")?);
    if !case.flag("affine")? {
        layer = layer.without_affine();
    }
    case.fill("gamma", &mut layer.gamma)?;
    case.fill("beta", &mut layer.beta)?;
    let x = case.parameter("x")?;
    let y = layer.forward(&x);
    pass(case, "", &y, &[("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)])
}

fn batch_norm<T: Float>(case: &Case) -> Result<(), String> {
    let tracking = case.flag("track_running_stats")?;
    let mut layer = BatchNorm::<T>::new(case.integer("num_features")?)
        .with_eps(case.number("eps")?)
        .with_momentum(case.optional_number("momentum")?) // null: the cumulative average
        .with_tracking(tracking);
    if !case.flag("affine")? {
        layer = layer.without_affine();
    }
    case.fill("gamma", &mut layer.gamma)?;
    case.fill("beta", &mut layer.beta)?;
    case.fill("running_mean_init", &mut layer.running_mean)?;
    case.fill("running_var_init", &mut layer.running_var)?;

    let counted_after = case.optional_number("num_batches_tracked_after")?;
    for step in 0..case.integer("training_steps")? {
        let suffix = &format!("_{step}");
        let x = case.parameter(&format!("x{suffix}"))?;
        let y = layer.forward_train(&x);
        pass(case, suffix, &y, &[("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)])?;
        running(case, suffix, tracking, &layer.running_mean, &layer.running_var)?;
    }
    let counted = tracking.then(|| layer.num_batches_tracked.item().wide());
    if counted != counted_after {
        return Err(format!("{counted:?} batches were counted"));
    }
    for suffix in ["_eval", "_eval1"] {
        if case.has_input(&format!("x{suffix}")) {
            let x = case.parameter(&format!("x{suffix}"))?;
            let y = layer.forward(&x);
            let leaves = [("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)];
            pass(case, suffix, &y, &leaves)?;
        }
    }
    Ok(())
}

fn instance_norm<T: Float>(case: &Case) -> Result<(), String> {
    let tracking = case.flag("track_running_stats")?;
    let mut layer = InstanceNorm::<T>::new(case.integer("num_features")?)
        .with_eps(case.number("eps")?)
        .with_momentum(case.optional_number("momentum")?)
        .with_tracking(tracking);
    if case.flag("affine")? {
        layer = layer.with_affine();
    }
    case.fill("gamma", &mut layer.gamma)?;
    case.fill("beta", &mut layer.beta)?;
    case.fill("running_mean_init", &mut layer.running_mean)?;
    case.fill("running_var_init", &mut layer.running_var)?;

    let steps = case.integer("steps")?;
    // A step that is the only one is `x`, without a number.
    if steps != 1 && case.has_input("x") {
        return Err(format!("attribute `steps`: expected 1 where there is an `x`, got {steps}"));
    }
    let numbered = |step| if case.has_input("x") { String::new() } else { format!("_{step}") };
    for suffix in (0..steps).map(numbered) {
        let x = case.parameter(&format!("x{suffix}"))?;
        let y = layer.forward_train(&x);
        pass(case, &suffix, &y, &[("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)])?;
        running(case, &suffix, tracking, &layer.running_mean, &layer.running_var)?;
    }
    for suffix in ["", "_eval"] {
        // Inference computes what training does, unless something is tracked.
        if case.has_input(&format!("x{suffix}")) && (!tracking || !suffix.is_empty()) {
            let x = case.parameter(&format!("x{suffix}"))?;
            let y = layer.forward(&x);
            let leaves = [("dx", &x), ("dgamma", &layer.gamma), ("dbeta", &layer.beta)];
            pass(case, suffix, &y, &leaves)?;
        }
    }
    Ok(())
}

/// Compares y, and the gradients of those leaves that the case has a gradient for.
fn pass<T: Float>(
    case: &Case,
    suffix: &str,
    y: &Tensor<T>,
    leaves: &Leaves<'_, T>,
) -> Result<(), String> {
    case.check(&format!("y{suffix}"), y)?;
    let gradients = y.backward_from(&case.parameter(&format!("dy{suffix}"))?);
    for (name, leaf) in leaves {
        let name = format!("{name}{suffix}");
        if case.has_output(&name) {
            let gradient = gradients.get(leaf).ok_or_else(|| format!("`{name}`: no gradient"))?;
            case.check(&name, gradient)?;
        }
    }
    Ok(())
}

/// Compares the running statistics; without tracking they must be as they were.
fn running<T: Float>(
    case: &Case,
    suffix: &str,
    tracking: bool,
    mean: &Tensor<T>,
    var: &Tensor<T>,
) -> Result<(), String> {
    if tracking {
        case.check(&format!("running_mean{suffix}"), mean)?;
        case.check(&format!("running_var{suffix}"), var)
    } else if mean == &Tensor::new(Array1::zeros(mean.shape()[0]))
        && var == &Tensor::new(Array1::ones(var.shape()[0]))
    {
        Ok(())
    } else {
        Err("the running statistics moved, though nothing is tracked".into())
    }
}
