//! A model goes to Python and back, by `tests/safetensors_in_python.py`. Page: `book/src/tensor.md`.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use crate::common::{narrow, normal};
use evenkeel::{BatchNorm, Linear, Named, Tensor, load, named, rng, save};
use ndarray::array;

/// The network that the Python script has too.
struct Network {
    l1: Linear<f32>,
    norm: BatchNorm<f32>,
    l2: Linear<f32>,
}

impl Network {
    fn new(seed: u64) -> Self {
        let mut rng = rng(seed);
        let mut network = Self {
            l1: Linear::new(4, 8, &mut rng),
            norm: BatchNorm::new(8),
            l2: Linear::new(8, 3, &mut rng),
        };
        let _ = network.norm.forward_train(&narrow(&normal(&[5, 8], seed)));
        network
    }

    fn as_there(&mut self) -> Named<'_, f32> {
        named([
            ("l1.weight", &mut self.l1.weight),
            ("l1.bias", &mut self.l1.bias),
            ("norm.weight", &mut self.norm.gamma),
            ("norm.bias", &mut self.norm.beta),
            ("norm.running_mean", &mut self.norm.running_mean),
            ("norm.running_var", &mut self.norm.running_var),
            ("norm.num_batches_tracked", &mut self.norm.num_batches_tracked),
            ("l2.weight", &mut self.l2.weight),
            ("l2.bias", &mut self.l2.bias),
        ])
    }
}

#[test]
fn a_model_saved_here_loads_in_python_and_one_written_there_loads_here() {
    let folder = tempfile::tempdir().unwrap();
    let (ours, theirs) =
        (folder.path().join("ours.safetensors"), folder.path().join("theirs.safetensors"));
    let mut network = Network::new(1);
    save(&ours, network.as_there()).unwrap();
    let double = folder.path().join("double.safetensors");
    save(&double, named([("x", &mut Tensor::new(array![[0.1, -2.5e300]]))])).unwrap();

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/safetensors_in_python.py");
    let run = Command::new("python3").arg(script).args([&ours, &double, &theirs]).output();
    let skip = |why: &str| {
        // Not `println!`, which a passing test keeps to itself.
        writeln!(std::io::stderr(), "skipped the exchange with Python: {why}").unwrap();
    };
    let output = match run {
        Ok(output) => output,
        Err(error) => return skip(&format!("python3: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(77) {
        return skip(said.trim());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{complaint}");
    writeln!(std::io::stderr(), "{}", said.trim()).unwrap();

    // Python wrote every tensor doubled, but the count of batches as an integer, 17.
    let mut back = Network::new(2);
    load(&theirs, back.as_there()).unwrap();
    assert_eq!(back.norm.num_batches_tracked.item(), 17.0);
    back.norm.num_batches_tracked = &network.norm.num_batches_tracked * 2.0;
    for ((name, mine), (_, doubled)) in network.as_there().into_iter().zip(back.as_there()) {
        assert_eq!(&*mine * 2.0, *doubled, "{name}");
    }
}
