//! The generator of random numbers. Page: `book/src/iris.md`.

use evenkeel::rand::{Rng, RngCore, SeedableRng};
use evenkeel::{Linear, Tensor, rng};
use ndarray::Array;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::common::{assert_close, read};

#[test]
fn a_seed_gives_the_same_numbers_everywhere() {
    // Written down, so that no machine and no new version of a dependency changes a reader's numbers.
    let mut zero = rng(0);
    assert_eq!([zero.next_u64(), zero.next_u64()], WRITTEN_DOWN);
    let x: Tensor = Tensor::randn([2, 2], &mut rng(1));
    assert_close("randn", &x, &Tensor::from(NORMAL), 1e-15);
    let narrow = Tensor::<f32>::randn([2, 2], &mut rng(1));
    assert_eq!(narrow.to_vec(), NORMAL.concat().iter().map(|&x| x as f32).collect::<Vec<_>>());
}

const WRITTEN_DOWN: [u64; 2] = [13080132717333068652, 8594738769458413623];
const NORMAL: [[f64; 2]; 2] =
    [[-0.23484705855592097, -1.4108177006109994], [0.3330286294792717, -1.1267663243742092]];

#[test]
fn it_is_chacha_with_eight_rounds() {
    let (mut ours, mut theirs) = (rng(5), ChaCha8Rng::seed_from_u64(5));
    let (mut a, mut b) = ([0; 13], [0; 13]);
    ours.fill_bytes(&mut a);
    theirs.fill_bytes(&mut b);
    assert_eq!(a, b);
    assert_eq!((ours.next_u32(), ours.next_u64()), (theirs.next_u32(), theirs.next_u64()));
    let mut theirs = ChaCha8Rng::seed_from_u64(9);
    let numbers = Array::from_shape_simple_fn((4, 3), || StandardNormal.sample(&mut theirs));
    assert_eq!(Tensor::randn([4, 3], &mut rng(9)), Tensor::<f64>::new(numbers));
    let (a, b): (Linear, Linear) =
        (Linear::new(3, 2, &mut rng(5)), Linear::new(3, 2, &mut ChaCha8Rng::seed_from_u64(5)));
    assert_eq!(a.weight, b.weight);
}

#[test]
fn seeds_and_places_differ_and_a_clone_goes_on_alike() {
    let mut first = rng(1);
    let draw = |rng: &mut dyn RngCore| Tensor::<f64>::randn(8, rng).to_vec();
    let before = first.clone();
    let numbers = draw(&mut first);
    assert_ne!(numbers, draw(&mut first));
    assert_ne!(numbers, draw(&mut rng(2)));
    assert_eq!(numbers, draw(&mut before.clone()));
    assert!(before == rng(1) && before != first);
    assert_eq!(format!("{before:?}"), "SeededRng { .. }");
    assert!((0..10).contains(&first.random_range(0..10)));
}

#[test]
fn the_readme_and_the_crate_page_name_the_version_of_rand_that_is_used() {
    let manifest = read("Cargo.toml");
    let (_, rest) = manifest.split_once("\nrand = { version = \"").unwrap();
    let (version, _) = rest.split_once('"').unwrap();
    for path in ["README.md", "src/lib.rs"] {
        assert!(read(path).contains(&format!("`rand` {version}")), "{path} does not name it");
    }
}
