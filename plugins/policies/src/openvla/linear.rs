//! A linear layer `y = x W^T + b`, with a low-rank adapter if the parameters have one for it.

use tch::Tensor;

use super::lora::{self, Adapter};
use super::parameters::Parameters;

/// Weight `[outputs, inputs]` and optional bias `[outputs]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
    adapter: Option<Adapter>,
}

impl Linear {
    pub fn new(parameters: &Parameters, name: &str) -> Self {
        Self { bias: Some(parameters.get(&format!("{name}.bias"))), ..Self::without_bias(parameters, name) }
    }

    pub fn without_bias(parameters: &Parameters, name: &str) -> Self {
        let weight = format!("{name}.weight");
        Self { weight: parameters.get(&weight), bias: None, adapter: lora::adapter_of(parameters, &weight) }
    }

    /// `[..., inputs]` to `[..., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let y = x.linear(&self.weight, self.bias.as_ref());
        match &self.adapter {
            Some(adapter) => y + adapter.forward(x),
            None => y,
        }
    }
}
