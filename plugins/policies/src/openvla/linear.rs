//! A linear layer `y = x W^T + b`.

use tch::Tensor;

use super::parameters::Parameters;

/// Weight `[outputs, inputs]` and optional bias `[outputs]`.
pub struct Linear {
    weight: Tensor,
    bias: Option<Tensor>,
}

impl Linear {
    pub fn new(parameters: &Parameters, name: &str) -> Self {
        Self { weight: parameters.get(&format!("{name}.weight")), bias: Some(parameters.get(&format!("{name}.bias"))) }
    }

    pub fn without_bias(parameters: &Parameters, name: &str) -> Self {
        Self { weight: parameters.get(&format!("{name}.weight")), bias: None }
    }

    /// `[..., inputs]` to `[..., outputs]`.
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.linear(&self.weight, self.bias.as_ref())
    }
}
