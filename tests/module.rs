//! What is made of tensors: its names, copies of its own, freezing; new numbers. Page: `book/src/tensor.md`.

mod assign;

use crate::common::{assert_panics, normal};
use evenkeel::{
    Adam, BatchNorm, Conv2d, Float, GroupNorm, InstanceNorm, LayerNorm, Linear, Mask, Module,
    MultiHeadAttention, Named, NormPlacement, RMSNorm, Sgd, Tensor, TransformerBlock, load, named,
    rng, save,
};
use ndarray::array;

#[derive(Clone)]
struct Network {
    l1: Linear,
    norm: LayerNorm,
    l2: Linear,
}

impl Module for Network {
    fn tensors_mut(&mut self) -> Named<'_> {
        named([("l1", &mut self.l1), ("norm", &mut self.norm), ("l2", &mut self.l2)])
    }
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let (l1, l2) = (Linear::new(3, 5, &mut rng), Linear::new(5, 2, &mut rng));
        Self { l1, norm: LayerNorm::new(5), l2 }
    }

    fn forward(&self, x: &Tensor) -> Tensor {
        self.l2.forward(&self.norm.forward(&self.l1.forward(x)).relu())
    }
}

/// The names and the numbers.
fn tensors<T: Float>(module: &mut (impl Module<T> + ?Sized)) -> Vec<(String, Tensor<T>)> {
    module.tensors_mut().into_iter().map(|(name, tensor)| (name, tensor.clone())).collect()
}

fn names<T: Float>(module: &mut (impl Module<T> + ?Sized)) -> Vec<String> {
    tensors(module).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn a_target_network_is_a_copy_and_not_a_clone() {
    let mut network = Network::new(1);
    let (x, y) = (normal(&[7, 3], 2), normal(&[7, 2], 3));
    let loss = |network: &Network, target: &Network| {
        (network.forward(&x) - (target.forward(&x) + &y)).square().mean()
    };
    // The clone shares its parameters: the error y depends on none of them.
    let nothing = loss(&network, &network.clone()).backward();
    assert!(nothing.norm() < 1e-12, "{}", nothing.norm());

    let mut target = network.copy();
    assert_eq!(target.forward(&x), network.forward(&x));
    let both = loss(&network, &target).backward();
    assert_eq!(both.len(), 12); // gradients of the copy's own
    target.freeze();
    let gradients = loss(&network, &target).backward();
    assert_eq!(gradients.len(), 6);
    assert!(gradients.norm() > 0.1);
    for (frozen, parameter) in target.tensors_mut().iter().zip(network.parameters()) {
        assert!(gradients.get(frozen.1).is_none());
        assert_eq!(both[&parameter], gradients[&parameter]);
    }

    let before = target.forward(&x);
    let (mut adam, start) = (Adam::new(0.01), loss(&network, &target).item());
    for _ in 0..50 {
        let gradients = loss(&network, &target).backward();
        adam.step(&mut network, &gradients);
    }
    assert_eq!(target.forward(&x), before);
    assert!(loss(&network, &target).item() < 0.5 * start);

    // The target follows slowly, and then all at once.
    for (new, old) in network.parameters().into_iter().zip(target.tensors_mut()) {
        old.1.assign(&old.1.value() * 0.5 + &new.value() * 0.5);
    }
    assert_ne!(target.forward(&x), before);
    for (new, old) in network.parameters().into_iter().zip(target.tensors_mut()) {
        old.1.assign(new.value());
    }
    assert_eq!(target.forward(&x), network.forward(&x));
    assert!(target.parameters_mut().is_empty()); // frozen still
}

#[test]
fn a_copy_trains_by_itself_and_the_original_stays() {
    let (mut network, x) = (Network::new(1), normal(&[7, 3], 2));
    let before = tensors(&mut network);
    let mut copy = network.copy();
    let (mut adam, mut sgd) = (Adam::new(0.1), Sgd::new(0.1).with_momentum(0.9));
    for _ in 0..3 {
        let gradients = copy.forward(&x).square().mean().backward();
        adam.step(&mut copy, &gradients);
        sgd.step(&mut copy, &gradients);
        for parameter in &network.parameters() {
            assert!(gradients.get(parameter).is_none());
            assert!(adam.moments(parameter).is_none() && sgd.velocity(parameter).is_none());
        }
    }
    assert_eq!(tensors(&mut network), before);
    assert_ne!(tensors(&mut copy), before);
}

/// What holds of every layer: `names` are all its tensors, and `x` goes through the copy as through
/// the layer.
fn check<T: Float, M: Module<T> + Clone>(mut layer: M, expected: &str, frozen: usize) {
    assert_eq!(names(&mut layer).join(" "), expected);
    let before = tensors(&mut layer);
    let mut copy = layer.copy();
    assert_eq!(tensors(&mut copy), before);
    for ((name, own), (_, of_copy)) in before.iter().zip(tensors(&mut copy)) {
        assert_eq!(own.is_parameter(), of_copy.is_parameter(), "{name}");
        if own.is_parameter() {
            let gradients = (own + &of_copy * T::of(2.0)).sum().backward();
            assert_eq!(gradients.len(), 2, "{name}");
        }
    }
    assert_eq!(layer.parameters_mut().len(), before.len() - frozen);
    for (_, tensor) in copy.tensors_mut() {
        tensor.assign(tensor.value().mapv(|x| x + T::one()));
    }
    assert_eq!(tensors(&mut layer), before, "what happens to the copy leaves the layer alone");
    copy.freeze();
    assert!(copy.parameters_mut().is_empty());
    assert_eq!(names(&mut copy).join(" "), expected);
    assert_eq!(layer.parameters_mut().len(), before.len() - frozen);
}

#[test]
fn every_layer_names_all_its_tensors_and_can_be_copied_and_frozen() {
    fn of<T: Float>() {
        let rng = &mut rng(1);
        let running = "gamma beta running_mean running_var num_batches_tracked";
        check(LayerNorm::<T>::new([2, 3]), "gamma beta", 0);
        check(LayerNorm::<T>::new(3).without_bias(), "gamma beta", 1);
        check(LayerNorm::<T>::new(3).without_affine(), "gamma beta", 2);
        check(RMSNorm::<T>::new(3), "gamma", 0);
        check(BatchNorm::<T>::new(3), running, 3);
        check(GroupNorm::<T>::new(2, 4), "gamma beta", 0);
        check(InstanceNorm::<T>::new(3), running, 5);
        check(InstanceNorm::<T>::new(3).with_affine(), running, 3);
        check(Linear::<T>::new(3, 2, rng), "weight bias", 0);
        check(Linear::<T>::new(3, 2, rng).without_bias(), "weight bias", 1);
        check(Conv2d::<T>::new(3, 2, [1, 2], rng), "weight bias", 0);
        let attention = "in_proj_weight in_proj_bias out_proj.weight out_proj.bias";
        check(MultiHeadAttention::<T>::new(4, 2, rng), attention, 0);
        check(MultiHeadAttention::<T>::new(4, 2, rng).without_bias(), attention, 2);
        let block = "self_attn.in_proj_weight self_attn.in_proj_bias self_attn.out_proj.weight \
                     self_attn.out_proj.bias linear1.weight linear1.bias linear2.weight \
                     linear2.bias norm1.gamma norm1.beta norm2.gamma norm2.beta";
        check(TransformerBlock::<T>::new(4, 2, 6, NormPlacement::Pre, rng), block, 0);
        check(Tensor::<T>::parameter(array![T::one()]), "", 0);
        check(Tensor::<T>::new(array![T::one()]), "", 1);
    }
    of::<f64>();
    of::<f32>();
}

#[test]
fn parameters_are_what_is_trained_shared_or_to_be_changed() {
    let rng = &mut rng(1);
    let mut block: TransformerBlock = TransformerBlock::new(4, 2, 6, NormPlacement::Post, rng);
    block.linear1 = block.linear1.without_bias();
    let handles = block.parameters();
    let by_name = block.parameters_mut();
    assert_eq!(by_name.len(), 11);
    assert!(by_name.iter().all(|(name, _)| name != "linear1.bias"));
    assert!(handles.iter().eq(by_name.iter().map(|(_, parameter)| &**parameter)));
}

#[test]
fn a_copied_block_computes_what_the_block_computes_with_parameters_of_its_own() {
    let rng = &mut rng(1);
    let block: TransformerBlock = TransformerBlock::new(4, 2, 6, NormPlacement::Pre, rng);
    let copy = block.copy();
    let x = normal(&[2, 3, 4], 2);
    let (y, of_copy) = (block.forward(&x, &Mask::Causal), copy.forward(&x, &Mask::Causal));
    assert_eq!(y, of_copy);
    let (one, two) = (y.square().sum().backward(), of_copy.square().sum().backward());
    for (own, new) in block.parameters().into_iter().zip(copy.parameters()) {
        assert_eq!(one[&own], two[&new]);
        assert!(one.get(&new).is_none() && two.get(&own).is_none());
    }
}

#[test]
fn a_copied_batch_norm_remembers_its_own_batches() {
    let mut layer = BatchNorm::new(2);
    let x = normal(&[5, 2], 1);
    let _ = layer.forward_train(&x);
    let mut copy = layer.copy();
    let _ = copy.forward_train(&(x + 10.0));
    assert_eq!((layer.num_batches_tracked.item(), copy.num_batches_tracked.item()), (1.0, 2.0));
    copy.freeze(); // γ and β; the batches go on
    let _ = copy.forward_train(&normal(&[5, 2], 2));
    assert_eq!(copy.num_batches_tracked.item(), 3.0);
}

#[test]
fn tuples_and_lists_name_their_parts_by_position() {
    let tensor = |x: f64| Tensor::parameter(array![x]);
    let norm: fn() -> RMSNorm = || RMSNorm::new(2);
    assert_eq!(names(&mut (tensor(1.0), norm())), ["0", "1.gamma"]);
    assert_eq!(names(&mut (tensor(1.0),)), ["0"]);
    let [a, b, c, d, e, f] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0].map(tensor);
    let mut six = (a, b, (c, d), e, f, norm());
    assert_eq!(names(&mut six), ["0", "1", "2.0", "2.1", "3", "4", "5.gamma"]);
    let numbers: Vec<f64> = tensors(&mut six).iter().take(6).map(|(_, t)| t.item()).collect();
    assert_eq!(numbers, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);

    assert_eq!(names(&mut [norm(), norm()]), ["0.gamma", "1.gamma"]);
    assert_eq!(names(&mut vec![norm(), norm()]), ["0.gamma", "1.gamma"]);
    assert_eq!(names(&mut vec![norm(), norm()][1..]), ["0.gamma"]);
    assert_eq!(names(&mut vec![(norm(), tensor(1.0))]), ["0.0.gamma", "0.1"]);
    let mut boxed: Vec<Box<dyn Module>> = vec![Box::new(norm()), Box::new(tensor(1.0))];
    assert_eq!(names(&mut boxed), ["0.gamma", "1"]);
    assert_eq!(names(&mut (Some(norm()), None::<LayerNorm>)), ["0.gamma"]);
    assert!(names::<f64>(&mut Vec::<RMSNorm>::new()).is_empty());

    let (mut w, mut layer) = (tensor(1.0), norm());
    assert_eq!(names(&mut (&mut w, &mut layer)), ["0", "1.gamma"]);
    let whole = named([("", &mut layer as &mut dyn Module), ("w", &mut w)]);
    assert_eq!(whole.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["gamma", "w"]);
}

#[test]
fn a_step_moves_what_a_tuple_of_references_leads_to() {
    let (mut w, mut norm) = (Tensor::parameter(array![[1.0], [2.0]]), LayerNorm::new(2));
    let x = normal(&[3, 2], 1);
    let gradients = norm.forward(&x).matmul(&w).square().sum().backward();
    let before = w.detach();
    Adam::new(0.1).step((&mut w, &mut norm), &gradients);
    assert_ne!(w, before);
    assert_ne!(norm.gamma, Tensor::new(array![1.0, 1.0]));
}

#[test]
fn handles_of_one_parameter_stay_handles_of_one_in_a_copy() {
    let w = Tensor::parameter(array![3.0]);
    let copy = (w.clone(), w.clone()).copy();
    let gradients = (&copy.0 * &copy.1).sum().backward();
    assert_eq!((gradients.len(), gradients[&copy.0].item()), (1, 6.0));
    assert!(gradients.get(&w).is_none());
}

#[test]
fn a_copy_of_a_result_is_refused_and_a_frozen_result_is_a_constant() {
    let w = Tensor::parameter(array![3.0]);
    let mut layer: RMSNorm = RMSNorm::new(1);
    layer.gamma = w.square();
    assert_panics(
        "copy: expected constants and parameters, but `gamma` is the result of an operation",
        || layer.copy(),
    );
    layer.freeze();
    assert!(layer.copy().forward(&(&w * 2.0)).sum().backward().get(&w).is_some());
    assert_eq!(layer.gamma.item(), 9.0);
}

#[test]
fn what_a_module_names_is_saved_and_loaded_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.safetensors");
    let new = |seed| (Network::new(seed), BatchNorm::new(2));
    let (mut trained, mut fresh) = (new(1), new(2));
    let x = normal(&[7, 3], 2);
    let _ = trained.1.forward_train(&trained.0.forward(&x));
    save(&path, &mut trained).unwrap();
    load(&path, &mut fresh).unwrap();
    assert_eq!(fresh.1.forward(&fresh.0.forward(&x)), trained.1.forward(&trained.0.forward(&x)));
    assert_eq!(fresh.parameters_mut().len(), 8);
}

#[test]
fn a_module_behind_a_reference_is_copied_too() {
    fn through_a_shared_one(network: &Network) -> Network {
        network.copy()
    }
    fn through_a_mutable_one(network: &mut Network) -> Network {
        (*network).copy() // `&mut Network` is a module itself, and cannot be cloned
    }
    let mut network = Network::new(1);
    for copy in [through_a_shared_one(&network), through_a_mutable_one(&mut network)] {
        assert_eq!(copy.l1.weight, network.l1.weight);
        assert!(copy.l1.weight.sum().backward().get(&network.l1.weight).is_none());
    }
}

/// γ or β alone is trained: the other is a constant, and gets no gradient.
#[test]
fn gamma_and_beta_are_trained_one_without_the_other() {
    let x = normal(&[4, 3, 5], 1);
    macro_rules! check {
        ($layer:expr, $forward:ident, $x:expr) => {
            for trained in [[true, false], [false, true], [false, false], [true, true]] {
                #[allow(unused_mut)] // BatchNorm alone changes in its pass
                let mut layer = $layer;
                let constant = |tensor: &mut Tensor| *tensor = tensor.detach();
                [&mut layer.gamma, &mut layer.beta]
                    .into_iter()
                    .zip(trained)
                    .filter(|(_, trained)| !trained)
                    .for_each(|(tensor, _)| constant(tensor));
                let x = Tensor::parameter($x.value());
                let gradients = layer.$forward(&x).backward_from(&$x);
                let got = [&layer.gamma, &layer.beta].map(|tensor| gradients.get(tensor).is_some());
                assert_eq!((got, gradients.len()), (trained, 1 + layer.parameters().len()));
                let both = $layer;
                let gradients = both.clone().$forward(&x).backward_from(&$x);
                let sums = [&gradients[&both.gamma], &gradients[&both.beta]];
                assert!(sums.iter().all(|sum| sum.square().sum().item() > 0.0));
            }
        };
    }
    check!(LayerNorm::new(5), forward, x);
    check!(BatchNorm::new(3), forward_train, x);
    check!(BatchNorm::new(5), forward_train, x.reshape(&[12, 5]));
    check!(BatchNorm::new(3), forward, x);
    check!(GroupNorm::new(3, 3), forward, x);
    check!(InstanceNorm::new(3).with_affine(), forward, x);
}
