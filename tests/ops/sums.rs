//! Sums and means along every axis: that they neither drift nor overflow on their way.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use evenkeel::{Float, Tensor, gradient_check, release_buffers};
use ndarray::{Array, Array1, Array2, ArrayD, Axis, IxDyn, array};
use rayon::ThreadPoolBuilder;

use crate::common;

/// Numbers from 0 to 1 that an `f32` holds exactly, and so does an `f64` the sum of ten million.
fn numbers(shape: &[usize]) -> Tensor<f32> {
    let number = |i: u32| (i.wrapping_mul(0x9E37_79B1) >> 12) as f32 / (1 << 20) as f32;
    let len = shape.iter().product::<usize>();
    Tensor::from_vec(shape, (0..u32::try_from(len).unwrap()).map(number).collect()).unwrap()
}

/// The largest relative error of `got` against the sums of the same numbers in `f64`.
fn error(got: &Tensor<f32>, x: &Tensor<f32>, axis: usize) -> f64 {
    // A bare loop over slices: with as little optimisation as tests have, iterators took most of their time.
    let (n, inner) = (x.shape()[axis], x.shape()[axis + 1..].iter().product::<usize>());
    let mut sums = vec![0.0; x.value().len() / n];
    let (numbers, want, mut at) = (&*x.to_vec(), &mut *sums, 0);
    while at < numbers.len() {
        want[at / (n * inner) * inner + at % inner] += numbers[at] as f64;
        at += 1;
    }
    assert_eq!(got.value().len(), want.len());
    let error = |(got, want): (&f32, &f64)| (got.wide() / want - 1.0).abs();
    got.value().iter().zip(&*want).map(error).fold(0.0, f64::max)
}

#[test]
fn ten_million_numbers_keep_their_digits_along_every_axis() {
    let shapes: [&[usize]; 5] = [
        &[10_000_000],
        &[5_000_000, 2],
        &[2, 1_000_003, 5],
        &[215, 216, 217],
        &[50_001, 2, 100, 1],
    ];
    let most = shapes.map(|shape| shape.iter().product()).into_iter().max().unwrap();
    let all = numbers(&[most]).to_vec(); // drawn once
    for shape in shapes {
        let len = shape.iter().product::<usize>();
        let x = Tensor::from_vec(shape, all[..len].to_vec()).unwrap();
        for axis in 0..shape.len() {
            let error = error(&x.sum_axis(axis as isize), &x, axis);
            assert!(error <= 1e-6, "axis {axis} of {shape:?}: {error:e}");
        }
    }
    let x = numbers(&[10_000_000]);
    let sum: f64 = x.value().iter().map(|x| x.wide()).sum();
    assert!((x.sum().item().wide() / sum - 1.0).abs() <= 1e-6);
    assert!((x.mean().item().wide() / (sum / 1e7) - 1.0).abs() <= 1e-6);
}

#[test]
fn equal_numbers_do_not_drift() {
    let tenths = Tensor::new(Array2::from_elem((1_000_000, 2), 0.1_f32));
    // The nearest f32 to a million times the nearest f32 to 0.1.
    let sum = (1e6 * 0.1_f32.wide()) as f32;
    assert_eq!(tenths.sum_axis(0), Tensor::new(array![[sum, sum]]));
    assert_eq!(tenths.mean_axis(0), Tensor::new(array![[0.1_f32, 0.1]]));
    let ones = Tensor::new(Array2::from_elem((20_000_000, 2), 1.0_f32));
    assert_eq!(ones.mean_axis(0), Tensor::new(array![[1.0_f32, 1.0]]));
}

#[test]
fn the_gradient_of_a_stretched_operand_does_not_drift() {
    let rows = Tensor::new(Array2::from_elem((1_000_000, 2), 0.1_f32));
    let sum = (1e6 * 0.1_f32.wide()) as f32;
    for shape in [[1, 2], [1, 1]] {
        let bias = Tensor::parameter(Array2::<f32>::zeros(shape));
        let gradients = (&rows + &bias).backward_from(&rows);
        let total = if shape[1] == 1 { 2.0 * sum } else { sum };
        let got = gradients.get(&bias).unwrap().value();
        assert!(got.iter().all(|&d| (d / total - 1.0).abs() <= 1.2e-7), "{got} for {total}");
    }
    let bias = Tensor::parameter(Array1::<f32>::zeros(2));
    let gradients = (&rows - &bias).backward_from(&rows);
    assert_eq!(gradients.get(&bias).unwrap(), &Tensor::new(array![-sum, -sum]));
    // In front, between and behind: axes that are stretched and axes that are not.
    let dy = numbers(&[7, 3, 11, 5, 13]);
    for own in [[7, 1, 1, 5, 1], [1, 3, 1, 5, 13], [1, 1, 11, 1, 1], [7, 3, 11, 5, 1]] {
        let a = Tensor::parameter(ArrayD::<f32>::zeros(IxDyn(&own)));
        let gradients = a.broadcast_to(dy.shape()).backward_from(&dy);
        let mut want = dy.value().mapv(Float::wide);
        for (axis, _) in own.iter().enumerate().filter(|&(_, &length)| length == 1) {
            want = want.sum_axis(Axis(axis)).insert_axis(Axis(axis));
        }
        let got = gradients.get(&a).unwrap().value().mapv(Float::wide);
        assert!(((got / want) - 1.0).iter().all(|error| error.abs() < 1e-6), "{own:?}");
    }
}

/// What a product of matrices sums up is as long as the batch in the gradient of a weight.
#[test]
fn long_products_do_not_drift() {
    let n = 1_000_000;
    let tenths = Tensor::new(Array2::from_elem((n, 2), 0.1_f32));
    let ones = Tensor::new(Array2::from_elem((1, n), 1.0_f32));
    let sum = 1e6 * 0.1_f32.wide();
    for got in ones.matmul(&tenths).value() {
        let error = (got.wide() / sum - 1.0).abs();
        assert!(error < 5e-6, "{error:e}");
    }
    let w = Tensor::parameter(Array2::<f32>::zeros((2, 3)));
    let dy = Tensor::new(Array2::from_elem((n, 3), 1.0_f32));
    let gradients = tenths.matmul(&w).backward_from(&dy);
    for got in gradients.get(&w).unwrap().value() {
        let error = (got.wide() / sum - 1.0).abs();
        assert!(error < 5e-6, "{error:e}");
    }
    let batch = tenths.reshape(&[2, n / 2, 2]);
    let dy = dy.reshape(&[2, n / 2, 3]);
    let gradients = batch.matmul(&w).backward_from(&dy);
    for got in gradients.get(&w).unwrap().value() {
        let error = (got.wide() / sum - 1.0).abs();
        assert!(error < 5e-6, "{error:e}");
    }
}

#[test]
fn steps_on_the_way_may_leave_the_type_if_the_answer_fits() {
    /// Half of what the type's largest number rounds up to: a power of two, so that sums are exact.
    fn check<T: Float>(exponent: i32) {
        let of = |x: f64| T::of(x);
        let big = of(2f64.powi(exponent));
        for n in [2, 3, 40, 100, 3000] {
            let row = |i: usize| if i < n { big } else { -big };
            for shape in [[1, 2 * n], [2 * n, 1]] {
                let x = Tensor::new(
                    Array::from_shape_fn(2 * n, row).into_shape_with_order(shape).unwrap(),
                );
                let axis = if shape[0] == 1 { 1 } else { 0 };
                assert_eq!(x.sum_axis(axis).item(), T::zero(), "{shape:?}");
                assert_eq!(x.sum().item(), T::zero(), "{shape:?}");
            }
            // Four columns, of which only the first is so large.
            let x =
                Array2::from_shape_fn((2 * n, 4), |(i, j)| if j == 0 { row(i) } else { of(2.0) });
            let y = Tensor::new(x).mean_axis(0);
            assert_eq!(y, Tensor::new(array![[of(0.0), of(2.0), of(2.0), of(2.0)]]));
            let mean = Tensor::new(Array2::from_elem((n, 3), big)).mean_axis(0);
            assert!(mean.value().iter().all(|m| (*m / big - T::one()).abs() < of(1e-6)), "{mean}");
            let mean = Tensor::new(Array1::from_elem(n, big)).mean().item();
            assert!((mean / big - T::one()).abs() < of(1e-6), "{mean}");
        }
        // Each lane has a sum of its own, along every axis.
        let eighth = |lane: usize| big * of(lane as f64 / 8.0);
        for axis in 0..3 {
            let mut shape = [2, 2, 3];
            let want = Array::from_shape_fn(
                {
                    shape[axis] = 1;
                    shape
                },
                |(i, j, k)| big - eighth(i * 4 + j * 2 + k),
            );
            shape[axis] = 4;
            let x = Array::from_shape_fn(shape, |(i, j, k)| {
                let mut lane = [i, j, k];
                let place = std::mem::replace(&mut lane[axis], 0);
                [big, big, -big, -eighth(lane[0] * 4 + lane[1] * 2 + lane[2])][place]
            });
            assert_eq!(Tensor::new(x).sum_axis(axis as isize), Tensor::new(want), "{axis}");
        }
        // What does not fit, or is no number, stays so.
        assert_eq!(Tensor::new(array![[big], [big]]).sum_axis(0).item(), T::infinity());
        assert_eq!(Tensor::new(array![T::infinity(), of(1.0)]).sum().item(), T::infinity());
        let both = Tensor::new(array![[T::infinity(), of(1.0)], [T::neg_infinity(), of(1.0)]]);
        let y = both.sum_axis(0);
        assert!(y.value()[[0, 0]].is_nan() && y.value()[[0, 1]] == of(2.0));
    }
    check::<f32>(127);
    check::<f64>(1023);
}

#[test]
fn every_shape_is_what_ndarray_says() {
    let lengths = [0, 1, 2, 3, 7, 8, 9, 31, 32, 33, 64, 65, 100];
    for outer in [0, 1, 2, 17] {
        for n in lengths {
            for inner in lengths {
                let x = numbers(&[outer, n, inner]);
                let got = x.sum_axis(1).value().mapv(Float::wide);
                let want = x.value().mapv(Float::wide).sum_axis(Axis(1)).insert_axis(Axis(1));
                let close = got.iter().zip(&want).all(|(a, b)| (a - b).abs() <= 1e-6 * b.abs());
                assert!(got.shape() == want.shape() && close, "{outer} × {n} × {inner}");
            }
        }
    }
    // Sizes at which other loops are taken: several threads, tiles of columns, pieces of rows.
    for [outer, n, inner] in [
        [1, 3, 50_001],
        [1, 100_003, 3],
        [3, 40_001, 2],
        [20, 2500, 3],
        [1, 99, 1025],
        [1, 1001, 1100],
        [2, 17, 9000],
        [33, 5000, 1],
        [2, 120_001, 1],
        [40, 3, 2049],
    ] {
        let x = numbers(&[outer, n, inner]);
        let error = error(&x.sum_axis(1), &x, 1);
        assert!(error < 1e-6, "{outer} × {n} × {inner}: {error:e}");
    }
}

#[test]
fn one_thread_and_several_give_the_same_sums() {
    let results = || -> Vec<Tensor<f32>> {
        let shapes: [&[usize]; 4] = [&[200_003], &[3, 50_001], &[50_001, 3], &[20, 70, 90]];
        let axes = |x: Tensor<f32>| (0..x.shape().len()).map(move |axis| x.sum_axis(axis as isize));
        shapes.into_iter().flat_map(|shape| axes(numbers(shape).tanh())).collect()
    };
    let with = |threads: usize| {
        ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(results)
    };
    assert_eq!(with(1), with(3));
}

/// The gradient of a sum is written down when somebody looks, by several threads. A thread that waits
/// for the others takes up another task meanwhile, which must not wait for what it is writing itself.
#[test]
fn many_tasks_may_look_at_one_gradient() {
    let (done, result) = mpsc::channel();
    thread::spawn(move || {
        for _ in 0..20 {
            let w = Tensor::parameter(Array1::<f32>::zeros(4_000_000));
            let gradients = w.sum().backward();
            let dw = gradients.get(&w).unwrap();
            release_buffers(); // fresh memory takes longer to fill
            let pool = ThreadPoolBuilder::new().num_threads(2).build().unwrap();
            // From outside of the pool: a thread helps another before it takes a new task.
            pool.in_place_scope(|scope| {
                for task in 0..8 {
                    scope.spawn(move |_| assert_eq!(dw.value()[task * 500_000], 1.0));
                }
            });
        }
        done.send(()).unwrap();
    });
    result.recv_timeout(Duration::from_secs(30)).expect("the tasks wait for each other");
}

#[test]
fn a_variance_is_right_at_any_offset_and_size() {
    let z = common::normal(&[2, 3, 5], 1);
    for axis in 0..3 {
        gradient_check([&z], |[z]| z.var_axis(axis)).unwrap();
        let want = z.value().var_axis(Axis(axis as usize), 0.0).insert_axis(Axis(axis as usize));
        common::assert_close("var", &z.var_axis(axis), &Tensor::new(want), 1e-14);
        assert_eq!(z.var_axis(axis), z.var_axis(axis - 3));
    }
    let row =
        |offset: f32| Tensor::parameter(array![[1.0, -1.0, 1.0, -1.0]].mapv(|x: f32| x + offset));
    assert_eq!(row(1e7).var_axis(1).item(), 1.0);
    let x = row(1e7);
    let gradients = x.var_axis(1).sum().backward();
    assert_eq!(gradients.get(&x).unwrap(), &Tensor::new(array![[0.5_f32, -0.5, 0.5, -0.5]]));
    // Squares on the way overflow or vanish; an outlier stands in front; all are equal.
    let outlier = Tensor::new(array![[1e8_f32, 0.0, 0.0, 0.0]]);
    assert_eq!(outlier.var_axis(1).item(), 1.875e15);
    let apart = Tensor::new(array![[1e154_f64, -1e154]]);
    assert!((apart.var_axis(1).item() / 1e308 - 1.0).abs() < 1e-15);
    let near = Tensor::new(array![[1e-154_f64, -1e-154]]);
    assert!((near.var_axis(1).item() / 1e-308 - 1.0).abs() < 1e-15);
    for x in [0.1, 1e200, -3e-300] {
        assert_eq!(Tensor::new(Array2::from_elem((1, 10), x)).var_axis(1).item(), 0.0);
    }
    // Its gradient fits where squares do not: (x - mean)·dy, of two numbers.
    for size in [1e-200_f64, 1e200] {
        let x = Tensor::parameter(array![[3.0 * size, 1.0 * size]]);
        let dy = Tensor::new(array![[1e-100]]);
        let dx = x.var_axis(1).backward_from(&dy)[&x].to_vec();
        assert!((dx[0] / (size * 1e-100) - 1.0).abs() < 1e-14 && dx[1] == -dx[0], "{dx:?}");
    }
    // One number has the variance 0.
    let x = Tensor::parameter(array![[3.0], [4.0]]);
    let var = x.var_axis(1);
    assert_eq!(var, Tensor::new(array![[0.0], [0.0]]));
    assert_eq!(var.sum().backward()[&x], Tensor::new(array![[0.0], [0.0]]));
    let nothing = Tensor::new(Array2::<f64>::zeros((2, 0)));
    assert!(nothing.var_axis(1).value().iter().all(|var| var.is_nan()));
    assert_eq!(nothing.var_axis(0).shape(), [1, 0]);
}
