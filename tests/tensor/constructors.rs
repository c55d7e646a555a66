//! Tensors from shapes and from numbers, and numbers from tensors. Page: `book/src/tensor.md`.

use evenkeel::{Float, Tensor, rng};
use ndarray::{Array, ArrayD, Dimension, IxDyn, array, aview1, s};
use proptest::prelude::*;

use crate::common::{assert_panics, normal};

#[test]
fn a_shape_may_be_a_number_an_array_a_tuple_or_a_slice() {
    fn check<T: Float>() {
        let slice: &[usize] = &[2, 3];
        let zeros = [Tensor::zeros([2, 3]), Tensor::zeros((2, 3)), Tensor::zeros(slice)];
        for x in zeros.into_iter().chain([Tensor::zeros(vec![2, 3])]) {
            assert_eq!(x, Tensor::<T>::new(Array::zeros((2, 3))));
            assert!(!x.is_parameter());
            assert!(x.to_vec().iter().all(|x| x.is_sign_positive()));
        }
        assert_eq!(Tensor::ones([2, 1, 3]), Tensor::<T>::new(Array::ones((2, 1, 3))));
        assert_eq!(Tensor::<T>::full(3, T::of(0.5)).to_vec(), [T::of(0.5); 3]);
        assert_eq!(Tensor::<T>::ones([]).shape(), [0_usize; 0]);
        assert_eq!(Tensor::<T>::ones(()).item(), T::one());
        assert!(Tensor::<T>::ones([2, 0]).to_vec().is_empty());
        let x = Tensor::<T>::randn([1, 1, 1, 1, 1, 1, 2].as_slice(), &mut rng(1));
        assert_eq!(x.shape(), [1, 1, 1, 1, 1, 1, 2]);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn constants_from_a_shape_take_part_like_any_other() {
    let x = Tensor::parameter(normal(&[2, 3], 1).value());
    let ones: Tensor = Tensor::ones([2, 3]);
    assert_eq!(&x * &ones + Tensor::zeros([3]), x);
    assert_eq!(ones.value(), ArrayD::<f64>::ones(IxDyn(&[2, 3])).view());
    let w = Tensor::full([3, 4], 2.0).trainable();
    let gradients = x.matmul(&w).sum().backward();
    assert_eq!(gradients.get(&x).unwrap(), &Tensor::full([2, 3], 8.0));
    assert_eq!(gradients.get(&w).unwrap().shape(), [3, 4]);
    // As a parameter that an optimiser moves, one number everywhere becomes many.
    let (mut w, start) = (w.clone(), w.to_vec());
    evenkeel::Sgd::new(0.1).step([&mut w], &gradients);
    assert_ne!(w.to_vec(), start);
}

#[test]
fn only_constants_and_parameters_become_trainable() {
    fn check<T: Float>() {
        let constant = Tensor::<T>::ones([2]) * T::of(0.5); // a result, of constants
        let w = constant.clone().trainable();
        assert!(w.is_parameter() && !constant.is_parameter());
        assert_eq!(w, constant);
        // Two parameters of the same numbers are two.
        let other = constant.trainable();
        let gradients = (&w + &other * T::of(3.0)).sum().backward();
        assert_eq!(gradients.get(&w).unwrap(), &Tensor::ones([2]));
        assert_eq!(gradients.get(&other).unwrap(), &Tensor::full([2], T::of(3.0)));
        // A parameter stays the one that it is.
        let same = w.clone().trainable();
        assert_eq!((&w + &same).sum().backward().len(), 1);
        assert_panics(
            "trainable: expected a constant, got the result of an operation on parameters (shape [2]), which would get no gradient through it: detach() it first, or make a parameter of what it was computed from",
            || (&w * T::of(0.5)).trainable(),
        );
        let cut = (&w * T::of(0.5)).detach().trainable();
        assert!(cut.square().sum().backward().get(&w).is_none());
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn tensors_are_made_from_what_holds_numbers() {
    fn check<T: Float>() {
        let [one, two, three] = [1.0, 2.0, 3.0].map(T::of);
        let row = Tensor::new(array![one, two, three]);
        let numbers = [one, two, three];
        for x in [
            Tensor::from(vec![one, two, three]),
            Tensor::from(numbers),
            Tensor::from(numbers.as_slice()),
            Tensor::from(array![one, two, three]),
            Tensor::from(&array![one, two, three]),
            Tensor::from(aview1(&numbers)),
            Tensor::from(&aview1(&numbers)),
            Tensor::from(array![one, two, three].into_dyn()),
            Tensor::from(array![one, two, three].into_shared()),
            Tensor::from(array![three, two, one].slice(s![..;-1])),
        ] {
            assert_eq!(x, row);
            assert!(!x.is_parameter());
        }
        let matrix = Tensor::from([[one, two, three], [three, two, one]]);
        assert_eq!(matrix, Tensor::new(array![[one, two, three], [three, two, one]]));
        assert_eq!(Tensor::from(matrix.value().t()), matrix.t());
        assert_eq!(Tensor::from(two), Tensor::new(ndarray::arr0(two)));
        assert_eq!(Tensor::from([one; 0]).shape(), [0]);
        assert_eq!(Tensor::from([[one; 0]; 2]).shape(), [2, 0]);
        let from: [Tensor<T>; 2] = [one.into(), [one].into()];
        assert_eq!(from.map(|x| x.shape().len()), [0, 1]);
    }
    check::<f32>();
    check::<f64>();
}

#[test]
fn t_exchanges_rows_and_columns_and_nothing_before_them() {
    let x = Tensor::parameter(normal(&[2, 3, 5], 1).value());
    assert_eq!(x.t(), x.transpose());
    let dy = normal(&[2, 5, 3], 2);
    assert_eq!(x.t().backward_from(&dy).get(&x).unwrap(), &dy.t());
    evenkeel::gradient_check([&normal(&[2, 3, 5], 1)], |[x]| x.t()).unwrap();
    assert_panics("t: axis -2 is out of range for shape [3]: expected -1 to 0", || {
        normal(&[3], 1).t()
    });
}

#[test]
fn a_wrong_position_is_refused_at_the_line_of_the_caller() {
    let x = normal(&[2, 3], 1);
    let refused = "is out of range for shape [2, 3]";
    assert_panics(
        &format!("index: position [2, 0] {refused}: axis 0 has length 2, counted from 0"),
        || x[[2, 0]],
    );
    assert_panics(
        &format!("index: position [1, 3] {refused}: axis 1 has length 3, counted from 0"),
        || x[[1, 3].as_slice()],
    );
    for (position, code) in [
        ("[1]", (|x| x[1]) as fn(&Tensor) -> f64),
        ("[1]", |x| x[[1]]),
        ("[]", |x| x[[]]),
        ("[0, 0, 0]", |x| x[[0, 0, 0]]),
        ("[0, 0, 0]", |x| x[[0, 0, 0].as_slice()]),
    ] {
        assert_panics(
            &format!("index: expected one index per axis, 2 for shape [2, 3], got {position}"),
            || code(&x),
        );
    }
    let x = Tensor::from([1.0, 2.0]);
    assert_panics(
        "index: position [2] is out of range for shape [2]: axis 0 has length 2, counted from 0",
        || x[2],
    );
    assert_panics(
        "index: position [0, 0] is out of range for shape [2, 0]: axis 1 has length 0, counted from 0",
        || normal(&[2, 0], 1)[[0, 0]],
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn positions_are_those_of_ndarray(shape in prop::collection::vec(1..4usize, 0..7), seed in 0..1000u64) {
        let x = normal(&shape, seed);
        for (position, &number) in x.value().indexed_iter() {
            prop_assert_eq!(x[position.slice()], number);
        }
        prop_assert_eq!(x.to_vec(), x.value().iter().copied().collect::<Vec<_>>());
    }
}

#[test]
fn positions_of_every_rank() {
    let x: Tensor<f32> = Tensor::from([1.0, 2.0, 3.0]);
    assert_eq!((x[2], x[[1]], x.sum()[[]]), (3.0, 2.0, 6.0));
    let x = normal(&[2, 1, 2, 1, 2, 3], 1);
    assert_eq!(x[[1, 0, 1, 0, 1, 2]], x.to_vec()[23]);
    let x = x.reshape(&[2, 1, 2, 1, 2, 3, 1]);
    assert_eq!(x[[1, 0, 1, 0, 1, 2, 0]], x.to_vec()[23]);
}
