//! Reads the golden files; their form is told in `tests/golden/README.md`.

use std::collections::BTreeMap;
use std::path::Path;

use evenkeel::{Float, Tensor};
use ndarray::{ArrayD, IxDyn};
use serde::Deserialize;
use serde_json::Value;

use super::close;

/// One case of a golden file.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    pub op: String,
    pub dtype: String,
    pub attributes: BTreeMap<String, Value>,
    pub inputs: Vec<Array>,
    pub outputs: Vec<Array>,
    pub outputs_exact: Option<Vec<Array>>,
}

/// One array of a case.
#[derive(Deserialize)]
pub struct Array {
    pub name: String,
    pub shape: Vec<usize>,
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
    pub fn numbers(&self) -> ArrayD<f64> {
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

impl Case {
    fn find<'a>(&self, arrays: &'a [Array], name: &str) -> Result<&'a Array, String> {
        arrays
            .iter()
            .find(|array| array.name == name)
            .ok_or_else(|| format!("the case has no `{name}`"))
    }

    /// The input `name` as a parameter, so that its gradient can be asked for.
    pub fn parameter<T: Float>(&self, name: &str) -> Result<Tensor<T>, String> {
        Ok(Tensor::parameter(self.find(&self.inputs, name)?.numbers().map(|&x| T::of(x))))
    }

    /// The input `name` as class indices.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "they are written as integers"
    )]
    pub fn classes(&self, name: &str) -> Result<Vec<usize>, String> {
        Ok(self.find(&self.inputs, name)?.numbers().iter().map(|&class| class as usize).collect())
    }

    pub fn has_input(&self, name: &str) -> bool {
        self.inputs.iter().any(|array| array.name == name)
    }

    /// Replaces `tensor` by the input `name`, if the case has one.
    pub fn fill<T: Float>(&self, name: &str, tensor: &mut Tensor<T>) -> Result<(), String> {
        if self.has_input(name) {
            let given = self.parameter(name)?;
            *tensor = if tensor.is_parameter() { given } else { given.detach() };
        }
        Ok(())
    }

    pub fn has_output(&self, name: &str) -> bool {
        self.outputs.iter().any(|array| array.name == name)
    }

    pub fn number(&self, attribute: &str) -> Result<f64, String> {
        self.attributes
            .get(attribute)
            .and_then(Value::as_f64)
            .ok_or_else(|| format!("no number `{attribute}`"))
    }

    pub fn flag(&self, attribute: &str) -> Result<bool, String> {
        self.attributes
            .get(attribute)
            .and_then(Value::as_bool)
            .ok_or_else(|| format!("no flag `{attribute}`"))
    }

    pub fn integer(&self, attribute: &str) -> Result<usize, String> {
        let value = self.attributes.get(attribute).and_then(integer);
        value.ok_or_else(|| format!("no integer `{attribute}`"))
    }

    pub fn integers(&self, attribute: &str) -> Result<Vec<usize>, String> {
        let list = self.attributes.get(attribute).and_then(Value::as_array);
        list.and_then(|list| list.iter().map(integer).collect())
            .ok_or_else(|| format!("no list of integers `{attribute}`"))
    }

    pub fn numbers(&self, attribute: &str) -> Result<Vec<f64>, String> {
        let list = self.attributes.get(attribute).and_then(Value::as_array);
        list.and_then(|list| list.iter().map(Value::as_f64).collect())
            .ok_or_else(|| format!("no list `{attribute}`"))
    }

    pub fn word(&self, attribute: &str) -> Result<&str, String> {
        self.attributes
            .get(attribute)
            .and_then(Value::as_str)
            .ok_or_else(|| format!("no word `{attribute}`"))
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
        let exact = self.outputs_exact.as_ref().and_then(|arrays| self.find(arrays, name).ok());
        let want = exact.map_or_else(|| self.find(&self.outputs, name), Ok)?;
        close(name, &got.value().map(|x| x.wide()), &want.numbers(), tolerance)
    }
}
