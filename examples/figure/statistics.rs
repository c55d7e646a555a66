//! Summary statistics.

/// The arithmetic mean.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation of a whole population: divided by n, as LayerNorm does.
pub fn population_sd(values: &[f64]) -> f64 {
    let mean = mean(values);
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
}

/// The standard deviation of a sample, such as seeds: divided by n - 1.
pub fn sample_sd(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    population_sd(values) * (n / (n - 1.0)).sqrt()
}

/// The value below which a share of `values` lies, interpolated linearly; 0.5 is the median.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

/// The correlation of two rows: 1 if one is the other, shifted and stretched.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (mean_a, mean_b) = (mean(a), mean(b));
    let products: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a - mean_a) * (b - mean_b)).collect();
    mean(&products) / (population_sd(a) * population_sd(b))
}
