//! What a part of a run remembers beside the weights, as plain data. It goes into the checkpoint, so that a run that goes on
//! from there ends with the same bytes.

use std::collections::BTreeMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// A few values: they stand in the manifest of the checkpoint.
    pub values: Value,
    /// Long rows of numbers, by name: they are tensors of the checkpoint.
    pub numbers: BTreeMap<String, Vec<f32>>,
}

impl State {
    /// Of values alone.
    pub fn of(values: impl Serialize) -> Self {
        Self { values: serde_json::to_value(values).expect("a state is plain data"), numbers: BTreeMap::new() }
    }

    /// The values, as they were given.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_value(self.values.clone()).map_err(|error| Error::invalid("checkpoint state", error, "what was saved"))
    }

    /// The row called `name`, of `length` numbers.
    pub fn row(&self, name: &str, length: usize) -> Result<&[f32]> {
        let row = self.numbers.get(name).map(Vec::as_slice).unwrap_or_default();
        if row.len() != length {
            let found = format!("{} numbers", row.len());
            return Err(Error::invalid(format!("checkpoint state `{name}`"), found, format!("{length}")));
        }
        Ok(row)
    }
}
