//! That the reader of the golden files looks at all that a case holds: tests of cases made up here.

mod by_hand;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use libtest_mimic::{Failed, Trial};
use serde_json::{Value, json};

use by_hand::{Step, Training};

pub fn trials() -> Vec<Trial> {
    let tests: [(&str, fn()); 8] = [
        ("what_is_not_known_is_refused_by_its_name", what_is_not_known_is_refused_by_its_name),
        ("a_wrong_number_is_told_with_the_option_that_nobody_knows", a_wrong_number_with_an_option),
        ("an_attribute_of_another_kind_is_refused", an_attribute_of_another_kind_is_refused),
        ("a_step_or_a_flag_that_disagrees_is_refused", a_count_or_a_flag_that_disagrees),
        ("a_training_by_hand_passes", a_training_by_hand_passes),
        ("each_option_of_a_training_is_looked_at", each_option_of_a_training_is_looked_at),
        ("an_option_told_in_words_is_looked_at", an_option_told_in_words_is_looked_at),
        ("batches_that_cannot_be_are_refused", batches_that_cannot_be_are_refused),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(format!("reader::{name}"), move || {
            test();
            Ok::<(), Failed>(())
        })
    };
    tests.into_iter().map(trial).collect()
}

/// What becomes of a case that stands in a folder of its own.
fn verdict(case: &Value) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let text = json!({ "torch": "none", "set": "made up", "cases": [case] }).to_string();
    fs::write(folder.path().join("made_up.json"), text).unwrap();
    let cases = crate::cases(folder.path())?;
    let [(name, case)] = &cases[..] else { panic!("expected one case, got {}", cases.len()) };
    assert!(name.starts_with("made_up::"), "{name}");
    crate::run(case)
}

#[track_caller]
fn refused(what: &str, case: &Value, part: &str) {
    match verdict(case) {
        Ok(()) => panic!("{what}: expected `{part}`, but the case passes"),
        Err(message) => assert!(message.contains(part), "{what}: {message}"),
    }
}

/// The first committed case of every op and type.
fn one_of_each() -> &'static [Value] {
    static CASES: OnceLock<Vec<Value>> = OnceLock::new(); // two megabytes of text, read once
    CASES.get_or_init(read_one_of_each)
}

fn read_one_of_each() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut found: Vec<Value> = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let mut file: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
            for case in file["cases"].as_array_mut().unwrap() {
                let same = |old: &Value| old["op"] == case["op"] && old["dtype"] == case["dtype"];
                if !found.iter().any(same) {
                    found.push(case.take());
                }
            }
        }
    }
    found
}

fn of(cases: &[Value], op: &str) -> Value {
    let found = cases.iter().find(|case| case["op"] == op && case["dtype"] == "float64");
    found.unwrap_or_else(|| panic!("no case of {op}")).clone()
}

/// The same case with another value of an attribute.
fn with(case: &Value, attribute: &str, value: impl Into<Value>) -> Value {
    let mut case = case.clone();
    case["attributes"][attribute] = value.into();
    case
}

fn without(case: &Value, attribute: &str) -> Value {
    let mut case = case.clone();
    case["attributes"].as_object_mut().unwrap().remove(attribute);
    case
}

fn array(name: &str) -> Value {
    json!({ "name": name, "dtype": "float64", "shape": [1], "data": [0.5] })
}

/// The same case with something more in one of its lists.
fn and(case: &Value, list: &str, name: &str) -> Value {
    let mut case = case.clone();
    let mut arrays = case[list].as_array().cloned().unwrap_or_default();
    arrays.push(array(name));
    case[list] = json!(arrays);
    case
}

fn what_is_not_known_is_refused_by_its_name() {
    let cases = one_of_each();
    assert_eq!(cases.len(), 30, "fifteen ops, each in two types");
    for case in cases {
        let what = case["name"].as_str().unwrap();
        let mut case = with(case, "an_option", 3);
        case["a_field"] = json!(1);
        let case = and(&and(&case, "inputs", "an_input"), "outputs_exact", "an_output");
        let op = case["op"].as_str().unwrap();
        let left = "attribute `an_option`, field `a_field`, input `an_input`, output `an_output`";
        assert_eq!(verdict(&case), Err(format!("{op} is run without {left}: not known")), "{what}");
    }

    // Each by itself, and options of every kind.
    let case = of(cases, "LayerNorm");
    for value in [json!(3), json!(false), json!("word"), json!([1, 2]), json!(null)] {
        refused("an option", &with(&case, "surprise", value), "without attribute `surprise`:");
    }
    refused("an input", &and(&case, "inputs", "surprise"), "without input `surprise`:");
    refused("an output", &and(&case, "outputs", "surprise"), "without output `surprise`:");
    refused("an output", &and(&case, "outputs_exact", "surprise"), "without output `surprise`:");
    let mut field = case.clone();
    field["surprise"] = json!(1);
    refused("a field", &field, "without field `surprise`:");
    for op in ["Adam", "MultiheadAttention", "MLP_training"] {
        refused(op, &and(&of(cases, op), "outputs", "surprise"), "output `surprise`");
    }
    // What describes one op is an option of another until somebody says otherwise.
    refused("condition", &with(&of(cases, "Adam"), "condition", "normal"), "attribute `condition`");
    refused("gradients", &with(&of(cases, "LayerNorm"), "gradients", "x"), "attribute `gradients`");
}

fn a_wrong_number_with_an_option() {
    for case in one_of_each() {
        let mut case = case.clone();
        let what = case["name"].as_str().unwrap().to_owned();
        for output in case["outputs"].as_array_mut().unwrap() {
            for number in output["data"].as_array_mut().unwrap() {
                *number = json!(1e30);
            }
        }
        case.as_object_mut().unwrap().remove("outputs_exact");
        refused(&what, &case, "expected 1e30");
        let case = with(&case, "surprise", 3);
        refused(&what, &case, "expected 1e30");
        refused(&what, &case, "is run without attribute `surprise`: not known");
    }
}

fn an_attribute_of_another_kind_is_refused() {
    let cases = one_of_each();
    let other = [
        ("LayerNorm", "eps", json!("1e-5")),
        ("RMSNorm", "eps", json!("1e-5")),
        ("RMSNorm", "affine", json!("bias")),
        ("BatchNorm", "momentum", json!("0.1")),
        ("InstanceNorm", "momentum", json!([0.1])),
        ("CrossEntropy", "label_smoothing", json!("0.1")),
        ("CrossEntropy", "ignore_index", json!("-100")),
        ("CrossEntropy", "class_weight", json!([1.0, 2.0])),
        ("Softmax", "dim", json!(0.5)),
        ("Adam", "amsgrad", json!(1)),
        ("MLP_training", "betas", json!(0.9)),
        ("MLP_training", "optimizer", json!("Lion")),
        ("MLP_training", "norm", json!("group")),
    ];
    for (op, attribute, value) in other {
        refused(op, &with(&of(cases, op), attribute, value), attribute);
    }
    let mut case = of(cases, "CrossEntropy");
    for input in case["inputs"].as_array_mut().unwrap() {
        if input["name"] == "target" {
            input["data"][0] = json!(-1);
        }
    }
    refused("a class below 0", &case, "input `target`: expected whole numbers from 0, got -1");
}

fn a_count_or_a_flag_that_disagrees() {
    let cases = one_of_each();
    refused("fewer steps", &with(&of(cases, "Adam"), "steps", 5), "`p0_5`");
    refused("more steps", &with(&of(cases, "AdamW"), "steps", 7), "`g0_6`");
    refused("more steps", &with(&of(cases, "InstanceNorm"), "steps", 2), "`steps`");
    refused(
        "fewer steps",
        &with(&of(cases, "BatchNorm"), "training_steps", 1),
        "batches were counted",
    );
    let batches = with(&of(cases, "BatchNorm"), "num_batches_tracked_after", 9);
    refused("counted", &batches, "batches were counted");
    refused("hidden", &with(&of(cases, "MLP_training"), "hidden", 9), "`hidden`");
    for op in ["MLP_training", "Adam", "CrossEntropy"] {
        let mut nothing = of(cases, op);
        nothing["outputs"] = json!([]);
        refused("no outputs", &nothing, "expected outputs to compare with");
    }
    let weighted = with(&of(cases, "CrossEntropy"), "class_weight", true);
    refused("class weights", &weighted, "`class_weight` does not agree");
    let mut layout = of(cases, "MultiheadAttention");
    let bias = layout["attributes"]["bias"].as_bool().unwrap();
    layout["attributes"]["bias"] = json!(!bias);
    refused("bias", &layout, "`bias` does not agree");
}

/// Twelve rows, and the batches of six steps: of unequal size, with a row twice in one, and one with all.
fn batches() -> Vec<Vec<usize>> {
    vec![
        vec![3, 0, 7, 11, 5],
        vec![1, 1, 4],
        vec![8],
        (0..12).rev().collect(),
        vec![2, 9, 10, 6],
        vec![0, 1, 2, 3],
    ]
}

fn trainings() -> Vec<(&'static str, Step)> {
    let sgd = |momentum, nesterov, decay| Step::Sgd { momentum, nesterov, decay };
    vec![
        ("SGD", sgd(0.0, false, 0.0)),
        ("sgd", sgd(0.9, false, 0.0)),
        ("SGD", sgd(0.5, false, 0.1)),
        ("SGD", sgd(0.5, true, 0.1)),
        ("Adam", Step::Adam { betas: [0.8, 0.95], eps: 1e-6, decay: 0.1, decoupled: false }),
        ("AdamW", Step::Adam { betas: [0.9, 0.999], eps: 1e-8, decay: 0.1, decoupled: true }),
    ]
}

fn a_training_by_hand_passes() {
    for dtype in ["float64", "float32"] {
        for (optimizer, step) in trainings() {
            let full = Training { step, batches: None, dtype };
            let (what, case) = (format!("{optimizer} {step:?} {dtype}"), full.case(optimizer));
            assert_eq!(verdict(&case), Ok(()), "{what}, all rows");
            assert_eq!(verdict(&with(&case, "batch_indices", Value::Null)), Ok(()), "{what}, null");

            let some = Training { step, batches: Some(batches()), dtype };
            assert_eq!(verdict(&some.case(optimizer)), Ok(()), "{what}, batches");
        }
    }
    // As an input, a matrix, where all batches are of one size.
    let even: Vec<Vec<usize>> =
        (0..6).map(|step| (0..4).map(|n| (5 * step + 7 * n) % 12).collect()).collect();
    let step = trainings()[1].1;
    let training = Training { step, batches: Some(even.clone()), dtype: "float64" };
    let listed = training.case("SGD");
    assert_eq!(verdict(&listed), Ok(()), "even batches");
    let mut given = without(&listed, "batch_indices");
    given["inputs"].as_array_mut().unwrap().push(json!({
        "name": "batch_indices", "dtype": "int64", "shape": [6, 4], "data": even.concat(),
    }));
    assert_eq!(verdict(&given), Ok(()), "batches as an input");
    refused("both", &with(&given, "batch_indices", even), "both an attribute and an input");
}

/// The numbers are those of one option, and the case tells another: a reader that looks at it finds them wrong.
fn each_option_of_a_training_is_looked_at() {
    let wrong = |what: &str, case: &Value| refused(what, case, "worst at");
    for (dtype, trainings) in [("float64", &trainings()[..]), ("float32", &trainings()[3..5])] {
        for &(optimizer, step) in trainings {
            let case = Training { step, batches: Some(batches()), dtype }.case(optimizer);
            let sgd = matches!(step, Step::Sgd { .. });
            let other = if sgd { "Adam" } else { "SGD" };
            let mut changed = without(&without(&case, "momentum"), "nesterov");
            changed["attributes"]["optimizer"] = json!(other);
            wrong("another optimiser", &changed);
            if optimizer.starts_with("Adam") {
                let swapped = if optimizer == "Adam" { "AdamW" } else { "Adam" };
                wrong("Adam or AdamW", &with(&case, "optimizer", swapped));
                wrong("betas", &with(&case, "betas", json!([0.5, 0.6])));
                wrong("eps", &with(&case, "eps", 0.1));
            } else {
                wrong("momentum", &with(&case, "momentum", 0.7));
                if step.momentum() > 0.0 {
                    wrong("no momentum", &without(&case, "momentum"));
                    let nesterov = case["attributes"]["nesterov"].as_bool().unwrap();
                    wrong("nesterov", &with(&case, "nesterov", !nesterov));
                }
                refused("dampening", &with(&case, "dampening", 0.1), "`dampening`");
                refused("amsgrad", &with(&case, "amsgrad", true), "`amsgrad`");
            }
            wrong("weight decay", &with(&case, "weight_decay", 0.3));
            wrong("lr", &with(&case, "lr", 0.07));
            wrong("maximize", &with(&case, "maximize", true));
        }
    }
    let training = |batches| Training { step: trainings()[0].1, batches, dtype: "float64" };
    let case = training(Some(batches())).case("SGD");
    let said = "batch_indices of 6 steps";
    refused("no indices", &with(&without(&case, "batch_indices"), "batch", said), "`batch`");
    wrong("no batches", &with(&without(&case, "batch_indices"), "batch", "full (12)"));
    wrong("batches", &with(&training(None).case("SGD"), "batch_indices", batches()));
    let mut others = batches();
    others[4][0] = 7;
    wrong("another row", &with(&case, "batch_indices", others));

    wrong("norm", &normed(&training(None).case("SGD"), "layer"));
    wrong("norm", &normed(&training(None).case("SGD"), "batch"));
    let mut weights = training(None).case("SGD");
    weights["inputs"].as_array_mut().unwrap().push(array("norm.weight"));
    refused("weights of a norm that is none", &weights, "input `norm.weight`");
    refused(
        "a momentum of Adam",
        &with(&of(one_of_each(), "MLP_training"), "momentum", 0.9),
        "`momentum`",
    );
}

/// The same with a norm, which the numbers do not have.
fn normed(case: &Value, norm: &str) -> Value {
    let mut case = with(case, "norm", norm);
    for (name, value) in [("norm.weight", 1.0), ("norm.bias", 0.0)] {
        case["inputs"].as_array_mut().unwrap().push(json!({
            "name": name, "dtype": "float64", "shape": [8], "data": vec![value; 8],
        }));
    }
    case
}

fn an_option_told_in_words_is_looked_at() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/mlp_iris.json");
    let file: Value = serde_json::from_str(&fs::read_to_string(folder).unwrap()).unwrap();
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap() {
        let what = case["name"].as_str().unwrap();
        let net = case["attributes"]["net"].as_str().unwrap();
        refused(what, &with(case, "net", net.replace("1e-5", "1e-1")), "worst at");
        refused(what, &with(case, "net", net.replace("1e-5", "tiny")), "`net`");
        refused(what, &with(case, "net", net.replace("ReLU", "GELU")), "`net`");
        refused(what, &with(case, "loss", "cross entropy, sum over the batch"), "`loss`");
        refused(what, &with(case, "loss_per_step", "loss after it"), "`loss_per_step`");
        refused(what, &with(case, "batch", "32 drawn rows"), "`batch`");
        if case["attributes"]["norm"] == "batch" {
            refused(what, &with(case, "bn", "momentum 0.3, eval-mode final"), "worst at");
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

fn batches_that_cannot_be_are_refused() {
    let training = Training { step: trainings()[0].1, batches: Some(batches()), dtype: "float64" };
    let case = training.case("SGD");
    let changed = |change: fn(&mut Vec<Vec<usize>>)| {
        let mut batches = batches();
        change(&mut batches);
        with(&case, "batch_indices", batches)
    };
    let fewer = changed(|batches| drop(batches.pop()));
    refused("fewer", &fewer, "`batch_indices`: expected a list for each of 6 steps, got 5");
    let beyond = changed(|batches| batches[2][0] = 12);
    refused("beyond", &beyond, "`batch_indices` of step 2: expected rows below 12, got [12]");
    let empty = changed(|batches| batches[2].clear());
    refused("empty", &empty, "`batch_indices` of step 2: expected rows below 12, got []");
    refused(
        "flat",
        &with(&case, "batch_indices", json!([1, 2])),
        "expected lists of whole numbers",
    );
    refused("negative", &with(&case, "batch_indices", json!([[-1]])), "expected lists of whole");
}
