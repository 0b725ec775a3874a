//! `(x − mean) / deviation` per channel, inside the network, so that a file takes plain pixels in 0…1.

use serde::Serialize;
use tch::{Device, Tensor};

use super::{NodeTensors, Operator};
use crate::graph::onnx::{OnnxBuilder, ValueId};
use crate::graph::transfer::constant;
use crate::graph::{Run, Shape};
use crate::{Error, Result};

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Normalize {
    /// Mean of each channel, pixels in 0…1.
    pub mean: Vec<f32>,
    /// Standard deviation of each channel.
    pub deviation: Vec<f32>,
}

impl Normalize {
    fn constant(values: &[f32], device: Device) -> Tensor {
        constant(values, device).view([1, -1, 1, 1])
    }
}

impl Operator for Normalize {
    fn shape(&self, inputs: &[&Shape]) -> Result<Shape> {
        let [channels, _, _] = inputs[0].image()?;
        let given = self.mean.len().min(self.deviation.len()) as i64;
        if given != channels || self.deviation.iter().any(|&deviation| deviation <= 0.0) {
            let found = format!("{:?} / {:?}", self.mean, self.deviation);
            return Err(Error::invalid(
                "space.mean / space.deviation",
                found,
                format!("{channels} means and positive deviations"),
            ));
        }
        Ok(inputs[0].clone())
    }

    fn keeps_zero(&self) -> bool {
        false
    }

    fn forward(&self, run: &Run, _: &NodeTensors, inputs: &[&Tensor]) -> Tensor {
        let device = inputs[0].device();
        let normal = (inputs[0] - Self::constant(&self.mean, device)) / Self::constant(&self.deviation, device);
        run.store(normal)
    }

    fn export(&self, onnx: &mut OnnxBuilder, name: &str, _: &[Tensor], inputs: &[ValueId]) -> Result<ValueId> {
        let mean = onnx.tensor(&format!("{name}.mean"), &Self::constant(&self.mean, Device::Cpu))?;
        let deviation = onnx.tensor(&format!("{name}.deviation"), &Self::constant(&self.deviation, Device::Cpu))?;
        let centred = onnx.node("Sub", &format!("{name}.centred"), &[inputs[0].clone(), mean], &[]);
        Ok(onnx.node("Div", name, &[centred, deviation], &[]))
    }
}
