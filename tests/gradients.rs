//! What `backward` returns: found, added up, scaled, clipped. Page: `book/src/tensor.md`.

use crate::common::{assert_close, assert_panics, normal};
use approx::assert_relative_eq;
use evenkeel::{Adam, Float, Gradients, LayerNorm, Tensor};
use ndarray::{Array1, array};
use proptest::prelude::*;

/// A parameter for each list, and the gradients that hold these numbers.
fn given<T: Float>(lists: &[&[f64]]) -> (Vec<Tensor<T>>, Gradients<T>) {
    let lists: Vec<Array1<T>> =
        lists.iter().map(|list| list.iter().map(|&x| T::of(x)).collect()).collect();
    let parameters: Vec<_> =
        lists.iter().map(|g| Tensor::parameter(g.mapv(|_| T::one()))).collect();
    let products = parameters.iter().zip(&lists).map(|(p, g)| p * Tensor::new(g.view()));
    let loss = products.map(|product| product.sum()).reduce(|a, b| a + b).unwrap();
    let gradients = loss.backward();
    for (p, g) in parameters.iter().zip(&lists) {
        assert_eq!(
            gradients[p].value().iter().map(|x| x.wide().to_bits()).collect::<Vec<_>>(),
            g.iter().map(|x| x.wide().to_bits()).collect::<Vec<_>>()
        );
    }
    (parameters, gradients)
}

#[test]
fn index_gives_what_get_gives_and_says_why_there_is_nothing() {
    let (used, unused) = (Tensor::parameter(array![1.0, 2.0]), Tensor::parameter(array![1.0]));
    let result = used.square();
    let gradients = result.sum().backward();
    assert_eq!(&gradients[&used], gradients.get(&used).unwrap());
    assert_eq!(gradients[&used.clone()], Tensor::new(array![2.0, 4.0]));
    assert_panics(
        "Gradients: no gradient reached this parameter of shape [1]: was it used in the forward pass of this loss?",
        || gradients[&unused].clone(),
    );
    for no_parameter in [&used.detach(), &result] {
        assert!(gradients.get(no_parameter).is_none());
        assert_panics(
            "Gradients: this tensor of shape [2] is no parameter: make it with Tensor::parameter",
            || gradients[no_parameter].clone(),
        );
    }
}

#[test]
fn is_empty_until_something_is_added() {
    let w = Tensor::parameter(array![1.0]);
    let mut sum = Gradients::default();
    assert!(sum.is_empty());
    assert_eq!((sum.len(), sum.norm(), sum.clip_norm(1.0)), (0, 0.0, 0.0));
    assert_eq!((format!("{sum:?}"), sum.norm().to_string()), ("{}".into(), "0".into()));
    sum += w.sum().backward();
    assert!(!sum.is_empty());
    assert_eq!((sum.len(), sum.norm()), (1, 1.0));
}

#[test]
fn pieces_of_a_batch_add_up_to_the_whole() {
    fn check<T: Float>(tolerance: f64) {
        let of = |t: Tensor| t.value().mapv(T::of);
        let x = of(normal(&[12, 3], 1));
        let mut norm: LayerNorm<T> = LayerNorm::new(3);
        norm.gamma = Tensor::parameter(of(normal(&[3], 2)));
        let w = Tensor::parameter(of(normal(&[3, 2], 3)));
        let loss = |from: usize, to: usize| {
            let x = Tensor::new(x.slice(ndarray::s![from..to, ..]));
            norm.forward(&x).matmul(&w).square().mean()
        };
        let mut sum = Gradients::default();
        for (from, to) in [(0, 5), (5, 6), (6, 12)] {
            let mut piece = loss(from, to).backward();
            piece *= (to - from) as f64 / 12.0; // by its share of the batch
            sum += &piece;
        }
        let whole = loss(0, 12).backward();
        assert_eq!(sum.len(), whole.len());
        for p in [&w, &norm.gamma, &norm.beta] {
            let [got, want] = [&sum, &whole].map(|g| Tensor::new(g[p].value().mapv(T::wide)));
            assert_close("a gradient", &got, &want, tolerance);
        }
    }
    check::<f64>(1e-14);
    check::<f32>(1e-6);
}

#[test]
fn a_sum_has_every_parameter_of_either_side() {
    let [a, b, c] = [1.0, 2.0, 3.0].map(|x| Tensor::parameter(array![x]));
    let left = (&a + &b * 10.0).sum().backward();
    let right = (&b * 5.0 + &c * 7.0).sum().backward();
    let (mut sum, mut back) = (left.clone(), right.clone());
    sum += &right;
    back += left.clone();
    for sum in [&sum, &back] {
        assert_eq!([&a, &b, &c].map(|p| sum[p].item()), [1.0, 15.0, 7.0]);
        assert_eq!(sum.len(), 3);
    }
    // Neither side has moved along, and a sum can be a step.
    assert_eq!((left.len(), left[&b].item(), right[&b].item()), (2, 10.0, 5.0));
    let mut parameters = [a, b, c];
    Adam::new(0.1).step(&mut parameters, &sum);
    for (p, start) in parameters.iter().zip([1.0, 2.0, 3.0]) {
        assert_relative_eq!(p.item(), start - 0.1, epsilon = 1e-8);
    }
}

#[test]
fn a_gradient_that_is_a_tensors_own_numbers_leaves_them_alone() {
    // The gradient of Σ w·x by w is x itself, and that by x is w.
    let (w, x) = (Tensor::parameter(array![1.0, 2.0]), Tensor::parameter(array![3.0, 4.0]));
    let mut gradients = (&w * &x).sum().backward();
    let kept = gradients.clone();
    gradients += &kept;
    gradients *= 0.5;
    gradients *= -3.0;
    assert_eq!((&gradients[&w], &gradients[&x]), (&(&x * -3.0), &(&w * -3.0)));
    assert_eq!((&kept[&w], &kept[&x]), (&x, &w));
    assert_eq!((w, x), (Tensor::new(array![1.0, 2.0]), Tensor::new(array![3.0, 4.0])));
}

#[test]
fn a_product_is_rounded_once() {
    let (w, mut gradients) = given::<f32>(&[&[3e38, 1.0]]);
    gradients *= 1e-50; // no f32
    gradients *= 0.0;
    assert_eq!(gradients[&w[0]], Tensor::new(array![0.0, 0.0]));
    let (w, mut gradients) = given::<f32>(&[&[0.1, 3.0]]);
    gradients *= 0.1;
    let want = [0.1f32, 3.0].map(|x| (f64::from(x) * 0.1) as f32);
    assert_eq!(gradients[&w[0]], Tensor::new(ndarray::arr1(&want)));
}

#[test]
fn the_norm_is_right_where_squares_are_out_of_range() {
    fn check<T: Float>(size: f64) {
        let (w, mut gradients) = given::<T>(&[&[2.0 * size, -3.0 * size], &[6.0 * size, 0.0]]);
        let exact = (given_wide(&gradients, &w) / size).square().sum().item().sqrt() * size;
        assert_relative_eq!(exact, 7.0 * size, max_relative = 1e-6); // as T holds 2, 3 and 6 of it
        let digits = 4.0 * f64::EPSILON;
        assert_relative_eq!(gradients.norm(), exact, max_relative = digits);
        let before = gradients.clip_norm(7e-3 * size);
        assert_relative_eq!(before, exact, max_relative = digits);
        let after = given_wide(&gradients, &w) / (1e-3 * size);
        let want = Tensor::new(array![2.0, -3.0, 6.0, 0.0]);
        let tolerance = if size_of::<T>() == 4 { 3e-7 } else { 1e-15 };
        assert_close("clipped", &after, &want, tolerance);
        // To a norm of ordinary size, from wherever it was.
        let (w, mut gradients) = given::<T>(&[&[2.0 * size, -3.0 * size], &[6.0 * size, 0.0]]);
        if size > 1.0 {
            gradients.clip_norm(7.0);
            assert_close("clipped", &given_wide(&gradients, &w), &want, tolerance);
        }
    }
    for size in [1.0, 1e-3, 1e3, 1e30, 5e37, 1e-30, 1e-35] {
        check::<f32>(size);
    }
    for size in [1.0, 1e100, 1e150, 1e200, 2e307, 1e-99, 1e-101, 1e-154, 1e-200, 1e-300] {
        check::<f64>(size);
    }
}

/// All gradients as one vector.
fn given_wide<T: Float>(gradients: &Gradients<T>, parameters: &[Tensor<T>]) -> Tensor {
    let numbers = parameters.iter().flat_map(|p| gradients[p].value().to_owned());
    Tensor::new(numbers.map(T::wide).collect::<Array1<f64>>())
}

#[test]
fn gradients_whose_norm_no_float_holds_are_clipped_all_the_same() {
    let (w, mut gradients) = given::<f64>(&[&[1.5e308, -1.5e308, 0.0, 1.5e308, 1.5e308]]);
    assert_eq!(gradients.clip_norm(f64::INFINITY), f64::INFINITY);
    assert_eq!(gradients[&w[0]].value()[0], 1.5e308);
    assert_eq!(gradients.clip_norm(2.0), f64::INFINITY);
    let want = Tensor::new(array![1.0, -1.0, 0.0, 1.0, 1.0]);
    assert_relative_eq!(gradients[&w[0]], want, epsilon = 1e-15);
    // The smallest there are: 3, 4 and 12 times 2⁻¹⁰⁷⁴.
    let tiny = f64::from_bits(1);
    let (_, gradients) = given::<f64>(&[&[3.0 * tiny, 4.0 * tiny], &[12.0 * tiny]]);
    assert_eq!(gradients.norm(), 13.0 * tiny);
    let (_, gradients) = given::<f32>(&[&[3e-45, 0.0], &[4.2e-45]]);
    assert_relative_eq!(gradients.norm(), 13f64.sqrt() * 2f64.powi(-149), max_relative = 1e-15);
}

#[test]
fn zeros_stay_zeros() {
    let (w, mut gradients) = given::<f64>(&[&[0.0, -0.0]]);
    for max_norm in [1.0, 0.0] {
        assert_eq!(gradients.clip_norm(max_norm), 0.0);
        assert_eq!(gradients[&w[0]], Tensor::new(array![0.0, 0.0]));
    }
    let (w, mut gradients) = given::<f32>(&[&[3.0, -4.0]]);
    assert_eq!(gradients.clip_norm(0.0), 5.0);
    assert_eq!(gradients[&w[0]], Tensor::new(array![0.0, 0.0]));
}

#[test]
fn what_is_short_enough_keeps_its_bits() {
    let (w, mut gradients) = given::<f64>(&[&[3.0, 4.0], &[0.1 + 0.2]]);
    let kept = gradients.clone();
    for max_norm in [gradients.norm(), 6.0, 1e300, f64::INFINITY] {
        assert_eq!(gradients.clip_norm(max_norm), kept.norm());
        assert!(w.iter().all(|p| gradients[p] == kept[p]));
    }
}

#[test]
fn nan_and_infinity_are_reported_and_change_nothing() {
    for (bad, norm) in
        [(f64::NAN, f64::NAN), (f64::INFINITY, f64::INFINITY), (f64::NEG_INFINITY, f64::INFINITY)]
    {
        fn check<T: Float>(bad: f64, norm: f64) {
            let (w, mut gradients) = given::<T>(&[&[3.0, bad], &[4.0]]);
            let clipped = gradients.clip_norm(1.0);
            assert_eq!(clipped.to_bits() << 1, norm.to_bits() << 1, "but for the sign of NaN");
            assert_eq!(gradients[&w[0]].value()[0], T::of(3.0));
            assert_eq!(gradients[&w[1]].item(), T::of(4.0));
        }
        check::<f64>(bad, norm);
        check::<f32>(bad, norm);
    }
    let (_, gradients) = given::<f64>(&[&[f64::NAN, f64::INFINITY]]);
    assert!(gradients.norm().is_nan());
}

#[test]
fn a_max_norm_that_is_no_length_is_refused_at_the_callers_line() {
    let (w, mut gradients) = given::<f64>(&[&[3.0, 4.0]]);
    for bad in [-1.0, f64::NAN, f64::NEG_INFINITY] {
        let message = format!("clip_norm: expected a max_norm of at least 0, got {bad}");
        assert_panics(&message, || gradients.clip_norm(bad));
    }
    assert_eq!(gradients[&w[0]], Tensor::new(array![3.0, 4.0]));
}

#[test]
fn an_empty_gradient_adds_nothing() {
    let (empty, w) = (Tensor::parameter(Array1::<f64>::zeros(0)), Tensor::parameter(array![2.0]));
    let mut gradients = (empty.sum() + w.sum()).backward();
    assert_eq!(gradients.clip_norm(0.5), 1.0);
    assert_eq!((gradients[&empty].shape(), gradients[&w].item()), ([0].as_slice(), 0.5));
}

#[test]
fn the_norm_of_many_numbers_keeps_its_digits_and_its_bits_on_any_number_of_threads() {
    let w = Tensor::<f32>::parameter(Array1::zeros(1_000_003));
    let gradients = (&w * 0.1).sum().backward();
    let want = (1_000_003.0 * f64::from(0.1f32) * f64::from(0.1f32)).sqrt();
    assert_relative_eq!(gradients.norm(), want, max_relative = 1e-14);

    // Negative numbers whose squares vanish.
    let (_, gradients) = given::<f64>(&[&[-3e-200], &[-4e-200]]);
    assert_relative_eq!(gradients.norm(), 5e-200, max_relative = 1e-14);

    let w = Tensor::parameter(Array1::zeros(300_007));
    let mut gradients = (&w * normal(&[300_007], 1)).sum().backward();
    let with = |threads: usize, gradients: &Gradients| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| gradients.norm()).to_bits()
    };
    for factor in [1.0, 1e200] {
        gradients *= factor;
        let one = with(1, &gradients);
        assert!(f64::from_bits(one) > 500.0 * factor);
        assert_eq!([2, 5].map(|threads| with(threads, &gradients)), [one; 2]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn clipped_gradients_have_the_direction_they_had_and_the_norm_asked_for(
        a in prop::collection::vec(-1e3..1e3, 1..20),
        b in prop::collection::vec(-1e-3..1e-3, 1..20),
        exponent in -250..250,
        share in 0.01..0.99,
    ) {
        let unit = 10f64.powi(exponent);
        let [a, b] = [a, b].map(|list| list.iter().map(|x| x * unit).collect::<Vec<f64>>());
        let (w, mut gradients) = given::<f64>(&[&a, &b]);
        let before = given_wide(&gradients, &w);
        let norm = gradients.norm();
        prop_assume!(norm > 0.0);
        prop_assert_eq!(gradients.clip_norm(share * norm), norm);
        assert_relative_eq!(gradients.norm(), share * norm, max_relative = 1e-13);
        assert_close("a share", &(given_wide(&gradients, &w) / norm), &(before / norm * share), 1e-14);
    }
}
