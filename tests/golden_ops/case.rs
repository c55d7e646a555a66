//! Reads the golden files; their form is in `tests/golden/README.md`.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use evenkeel::{Float, Tensor};
use ndarray::{ArrayD, IxDyn};
use serde::Deserialize;
use serde_json::Value;

use crate::close::close;

/// What a case tells about itself and nobody needs to compute it, by op: how its inputs were drawn, and how PyTorch's
/// layer is put together. All else that a case holds must be used.
const DESCRIPTIONS: [(&str, &[&str]); 13] = [
    ("LayerNorm", &["condition"]),
    ("RMSNorm", &["condition"]),
    ("BatchNorm", &["condition"]),
    ("GroupNorm", &["condition"]),
    ("InstanceNorm", &["condition"]),
    ("Softmax", &["condition"]),
    ("LogSoftmax", &["condition"]),
    ("CrossEntropy", &["condition"]),
    ("Adam", &["gradients"]),
    ("AdamW", &["gradients"]),
    ("MultiheadAttention", &["layout"]),
    ("TransformerEncoderLayer", &["pre", "post", "ffn"]),
    // `x` holds the features as they were used, standardised or not.
    ("MLP_training", &["standardised_features", "why_unstable"]),
];

/// The same beside the attributes: what PyTorch's results are worth.
const REMARKS: [&str; 2] = ["torch_err", "ill_conditioned"];

/// One case of a golden file. It remembers which of its parts somebody asked for: what nobody did is something that
/// the reader does not know, and [`all_used`](Self::all_used) refuses it.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub op: String,
    pub dtype: String,
    attributes: BTreeMap<String, Value>,
    inputs: Vec<Array>,
    outputs: Vec<Array>,
    outputs_exact: Option<Vec<Array>>,
    #[serde(flatten)]
    remarks: BTreeMap<String, Value>,
    #[serde(skip)]
    used: RefCell<BTreeSet<String>>,
}

/// One array of a case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Array {
    name: String,
    #[serde(rename = "dtype")]
    _dtype: String,
    shape: Vec<usize>,
    data: Vec<Value>,
}

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

/// All cases of one file.
pub fn read(path: &Path) -> Result<Vec<Case>, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let file: File =
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(file.cases)
}

impl Array {
    /// The numbers as `f64`; a float32 value is written exactly, so nothing is lost.
    fn numbers(&self) -> ArrayD<f64> {
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_f64().expect("a number"),
            Value::String(word) => word.parse().expect("nan, inf or -inf"),
            other => panic!("{}: expected a number, got {other}", self.name),
        };
        let numbers = self.data.iter().map(number).collect();
        ArrayD::from_shape_vec(IxDyn(&self.shape), numbers)
            .expect("as many numbers as the shape holds")
    }
}

fn integer(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

/// All of a list, or nothing.
fn list<'a, R>(value: &'a Value, item: impl Fn(&'a Value) -> Option<R>) -> Option<Vec<R>> {
    value.as_array()?.iter().map(item).collect()
}

fn find<'a>(arrays: &'a [Array], name: &str) -> Option<&'a Array> {
    arrays.iter().find(|array| array.name == name)
}

impl Case {
    fn mark(&self, what: &str, name: &str) {
        self.used.borrow_mut().insert(format!("{what} `{name}`"));
    }

    fn input(&self, name: &str) -> Result<ArrayD<f64>, String> {
        self.mark("input", name);
        let array = find(&self.inputs, name).ok_or_else(|| format!("the case has no `{name}`"))?;
        Ok(array.numbers())
    }

    /// The input `name` as a parameter, so that its gradient can be asked for.
    pub fn parameter<T: Float>(&self, name: &str) -> Result<Tensor<T>, String> {
        Ok(Tensor::parameter(self.input(name)?.map(|&x| T::of(x))))
    }

    /// The input `name` as class indices; a number that `ignored` holds is no class.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "whole and not negative, as just seen"
    )]
    pub fn classes(&self, name: &str, ignored: Option<f64>) -> Result<Vec<Option<usize>>, String> {
        let class = |&number: &f64| {
            if Some(number) == ignored {
                Ok(None)
            } else if number >= 0.0 && number.fract() == 0.0 {
                Ok(Some(number as usize))
            } else {
                Err(format!("input `{name}`: expected whole numbers from 0, got {number}"))
            }
        };
        self.input(name)?.iter().map(class).collect()
    }

    /// The input `name`, a matrix of whole numbers, as its rows.
    pub fn rows_of_integers(&self, name: &str) -> Result<Vec<Vec<usize>>, String> {
        let rows: Vec<Option<usize>> = self.classes(name, None)?;
        let [_, columns] = find(&self.inputs, name).map_or(&[][..], |array| &array.shape)[..]
        else {
            return Err(format!("input `{name}`: expected a matrix, a row for each step"));
        };
        let rows: Vec<usize> = rows.into_iter().flatten().collect();
        Ok(rows.chunks(columns.max(1)).map(<[usize]>::to_vec).collect())
    }

    /// Only asks: the input is not used yet.
    pub fn has_input(&self, name: &str) -> bool {
        find(&self.inputs, name).is_some()
    }

    /// Replaces `tensor` by the input `name`, if the case has one.
    pub fn fill<T: Float>(&self, name: &str, tensor: &mut Tensor<T>) -> Result<(), String> {
        if self.has_input(name) {
            let given = self.parameter(name)?;
            *tensor = if tensor.is_parameter() { given } else { given.detach() };
        }
        Ok(())
    }

    /// Only asks: the output is not compared yet.
    pub fn has_output(&self, name: &str) -> bool {
        find(&self.outputs, name).is_some()
    }

    /// The attribute as `read` understands it; absent is as `null`. Of another kind than `what` is an error, so that
    /// nothing takes the place of what the case says.
    fn optional<'a, R>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<R>,
    ) -> Result<Option<R>, String> {
        self.mark("attribute", name);
        match self.attributes.get(name).filter(|value| !value.is_null()) {
            None => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .ok_or_else(|| format!("attribute `{name}`: expected {what}, got {value}")),
        }
    }

    fn required<'a, R>(
        &'a self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<R>,
    ) -> Result<R, String> {
        let value = self.optional(name, what, read)?;
        value.ok_or_else(|| format!("attribute `{name}`: expected {what}, got none"))
    }

    pub fn number(&self, attribute: &str) -> Result<f64, String> {
        self.required(attribute, "a number", Value::as_f64)
    }

    pub fn optional_number(&self, attribute: &str) -> Result<Option<f64>, String> {
        self.optional(attribute, "a number", Value::as_f64)
    }

    pub fn flag(&self, attribute: &str) -> Result<bool, String> {
        self.required(attribute, "true or false", Value::as_bool)
    }

    pub fn optional_flag(&self, attribute: &str) -> Result<Option<bool>, String> {
        self.optional(attribute, "true or false", Value::as_bool)
    }

    pub fn integer(&self, attribute: &str) -> Result<usize, String> {
        self.required(attribute, "a whole number", integer)
    }

    /// A whole number that counts from the end if it is negative.
    pub fn axis(&self, attribute: &str) -> Result<isize, String> {
        self.required(attribute, "a whole number", |value| value.as_i64()?.try_into().ok())
    }

    pub fn integers(&self, attribute: &str) -> Result<Vec<usize>, String> {
        self.required(attribute, "a list of whole numbers", |value| list(value, integer))
    }

    pub fn optional_numbers(&self, attribute: &str) -> Result<Option<Vec<f64>>, String> {
        self.optional(attribute, "a list of numbers", |value| list(value, Value::as_f64))
    }

    pub fn optional_lists_of_integers(
        &self,
        attribute: &str,
    ) -> Result<Option<Vec<Vec<usize>>>, String> {
        self.optional(attribute, "lists of whole numbers", |value| {
            list(value, |inner| list(inner, integer))
        })
    }

    pub fn word(&self, attribute: &str) -> Result<&str, String> {
        self.required(attribute, "a word", Value::as_str)
    }

    pub fn optional_word(&self, attribute: &str) -> Result<Option<&str>, String> {
        self.optional(attribute, "a word", Value::as_str)
    }

    pub fn optional_words(&self, attribute: &str) -> Result<Option<Vec<&str>>, String> {
        self.optional(attribute, "a list of words", |value| list(value, Value::as_str))
    }

    /// Takes an attribute for used that means nothing here, whatever it says.
    pub fn set_aside(&self, attribute: &str) {
        self.mark("attribute", attribute);
    }

    /// The names of the outputs to compare.
    pub fn output_names(&self) -> Vec<&str> {
        self.outputs.iter().map(|array| array.name.as_str()).collect()
    }

    /// Compares with the exact output where there is one, else with PyTorch's.
    pub fn check<T: Float>(&self, name: &str, got: &Tensor<T>) -> Result<(), String> {
        let tolerance = match self.dtype.as_str() {
            "float32" => 1e-5,
            "float64" => 1e-9,
            other => return Err(format!("dtype `{other}` is not known")),
        };
        self.check_within(tolerance, name, got)
    }

    /// As [`check`](Self::check), with a tolerance of its own.
    pub fn check_within<T: Float>(
        &self,
        tolerance: f64,
        name: &str,
        got: &Tensor<T>,
    ) -> Result<(), String> {
        self.leave_out(name);
        let exact = self.outputs_exact.as_ref().and_then(|arrays| find(arrays, name));
        let want = exact.or_else(|| find(&self.outputs, name));
        let want = want.ok_or_else(|| format!("the case has no `{name}`"))?;
        close(name, &got.value().map(|x| x.wide()), &want.numbers(), tolerance)
    }

    /// Takes an output for compared that the case itself says not to compare.
    pub fn leave_out(&self, name: &str) {
        self.mark("output", name);
    }

    /// Refuses a case that holds anything nobody asked for: it would have been run as if that were not there.
    pub fn all_used(&self) -> Result<(), String> {
        if self.outputs.is_empty() {
            return Err(format!("{}: expected outputs to compare with, got none", self.op));
        }
        let inputs = self.inputs.iter().map(|array| format!("input `{}`", array.name));
        let outputs = self.outputs.iter().chain(self.outputs_exact.iter().flatten());
        let outputs = outputs.map(|array| format!("output `{}`", array.name));
        self.nothing_left(self.options().chain(inputs).chain(outputs))
    }

    /// The same for what every run asks for at its beginning, for one that ended early.
    pub fn options_used(&self) -> Result<(), String> {
        self.nothing_left(self.options())
    }

    /// The attributes and fields that are not there to describe.
    fn options(&self) -> impl Iterator<Item = String> {
        let described = |name: &&String| {
            DESCRIPTIONS.iter().any(|(op, names)| *op == self.op && names.contains(&name.as_str()))
        };
        let attributes = self.attributes.keys().filter(move |name| !described(name));
        let fields = self.remarks.keys().filter(|name| !REMARKS.contains(&name.as_str()));
        let attributes = attributes.map(|name| format!("attribute `{name}`"));
        attributes.chain(fields.map(|name| format!("field `{name}`")))
    }

    fn nothing_left(&self, parts: impl Iterator<Item = String>) -> Result<(), String> {
        let used = self.used.borrow();
        let left: BTreeSet<String> = parts.filter(|part| !used.contains(part)).collect();
        if left.is_empty() {
            return Ok(());
        }
        let left = left.into_iter().collect::<Vec<_>>().join(", ");
        Err(format!("{} is run without {left}: not known", self.op))
    }
}
