//! The header of a safetensors file, checked against itself and the length of the file.
//!
//! The safetensors crate reads headers, too. But it takes the last of two equal names, adds up
//! lengths without a check for overflow, and names no tensor in its errors.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use safetensors::tensor::TensorInfo;
use serde_json::{Deserializer, Value};

/// The tensors of a file by name, and the data that their offsets refer to. All offsets are in
/// range.
pub(super) fn parse(bytes: &[u8]) -> Result<(BTreeMap<String, TensorInfo>, &[u8]), String> {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return Err(format!("expected the length of the header in 8 bytes, got {}", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    let header = usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length));
    let Some((header, data)) = header else {
        return Err(format!("expected a header of {length} bytes, got {}", rest.len()));
    };
    let header = str::from_utf8(header).map_err(|error| format!("the header: {error}"))?;
    let tensors = entries(header)?;
    check(&tensors, data.len())?;
    Ok((tensors, data))
}

/// The entries of the header: `{"name": {"dtype": …, "shape": […], "data_offsets": [start, end]}}`.
fn entries(header: &str) -> Result<BTreeMap<String, TensorInfo>, String> {
    let (mut tensors, mut names) = (BTreeMap::new(), BTreeSet::new());
    let mut json = Json { text: header, at: 0 };
    json.take('{')?;
    if !json.next_is('}') {
        loop {
            let name = json.value()?;
            let name: String = serde_json::from_str(name).map_err(|error| json.wrong(&error))?;
            json.take(':')?;
            if !names.insert(name.clone()) {
                return Err(format!("the header names `{name}` twice"));
            }
            let value = json.value()?;
            let wrong = |error: serde_json::Error| format!("`{name}`: {}", without_place(&error));
            if name == "__metadata__" {
                serde_json::from_str::<HashMap<String, String>>(value).map_err(wrong)?;
            } else {
                let info = serde_json::from_str(value).map_err(wrong)?;
                tensors.insert(name, info);
            }
            if !json.next_is(',') {
                break;
            }
            json.take(',')?;
        }
    }
    json.take('}')?;
    if json.rest().is_empty() { Ok(tensors) } else { Err(json.expected("nothing more")) }
}

/// Checks that each tensor has as many bytes as its shape needs, and that the tensors fill the data
/// without a gap.
fn check(tensors: &BTreeMap<String, TensorInfo>, length: usize) -> Result<(), String> {
    let mut in_order: Vec<_> = tensors.iter().collect();
    in_order.sort_by_key(|(_, info)| info.data_offsets);
    let mut end = 0;
    for (name, info) in in_order {
        let (TensorInfo { dtype, shape, .. }, (start, stop)) = (info, info.data_offsets);
        if start != end {
            return Err(format!("`{name}`: expected data from byte {end} on, got {start}"));
        }
        let count = shape.iter().try_fold(1, |count: usize, &length| count.checked_mul(length));
        let bits = count.and_then(|count| count.checked_mul(dtype.bitsize()));
        let Some(bytes) = bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8) else {
            return Err(format!("`{name}`: no number of bytes holds {dtype} of shape {shape:?}"));
        };
        if start.checked_add(bytes) != Some(stop) {
            let offsets = [start, stop];
            return Err(format!(
                "`{name}`: expected {bytes} bytes for {dtype} of shape {shape:?}, got offsets {offsets:?}"
            ));
        }
        end = stop;
    }
    if end == length {
        Ok(())
    } else {
        Err(format!("expected {end} bytes of data after the header, got {length}"))
    }
}

/// A JSON text, read up to byte `at`. `serde_json` reads the values. The names of an object are
/// read one by one, because `serde_json` keeps only one of two equal names.
struct Json<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Json<'a> {
    /// The rest of the text, without leading space.
    fn rest(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let rest = rest.trim_start_matches([' ', '\n', '\r', '\t']);
        self.at = self.text.len() - rest.len();
        rest
    }

    fn next_is(&mut self, sign: char) -> bool {
        self.rest().starts_with(sign)
    }

    fn take(&mut self, sign: char) -> Result<(), String> {
        if !self.next_is(sign) {
            return Err(self.expected(&format!("`{sign}`")));
        }
        self.at += sign.len_utf8();
        Ok(())
    }

    /// The text of the next value, of any type.
    fn value(&mut self) -> Result<&'a str, String> {
        let rest = self.rest();
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(_)) => {
                let length = values.byte_offset();
                self.at += length;
                Ok(&rest[..length])
            }
            Some(Err(error)) => Err(self.wrong(&error)),
            None => Err(self.expected("a value")),
        }
    }

    fn wrong(&self, error: &serde_json::Error) -> String {
        format!("the header, near byte {}: {}", self.at, without_place(error))
    }

    fn expected(&mut self, what: &str) -> String {
        let got = self.rest().chars().next().map_or("its end".into(), |sign| format!("{sign:?}"));
        format!("the header, byte {}: expected {what}, got {got}", self.at)
    }
}

/// The message of `serde_json`, without line and column, which count from the start of one value.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(what, _)| what.to_owned())
}
