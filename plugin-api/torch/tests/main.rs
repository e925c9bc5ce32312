//! The differentiable side across the plugin boundary: the policy is only ever touched through its ABI object.
#![allow(clippy::unwrap_used, reason = "a failed expectation is a failed test")]

use std::path::Path;
use tch::{Kind, Tensor as Torch};
use twinhost_plugin_api::policy::{PolicyBox, boxed};
use twinhost_plugin_api::{ActMode, ActRequest, Batch, DatasetStatistics, ErrorKind, HostServices, PolicySpec, Result, Tensor, names};
use twinhost_plugin_torch::{Differentiable, Evaluation, Parameter, TorchPolicy, TorchPolicyAdapter, from_torch, to_torch};

/// action = log_prob = entropy = state * scale; value = state * bias.
struct Scale {
    scale: Torch,
    bias: Torch,
}

fn leaf(value: f32) -> Torch {
    Torch::from_slice(&[value]).set_requires_grad(true)
}

impl TorchPolicy for Scale {
    fn spec(&self) -> PolicySpec {
        PolicySpec {
            action_dim: 1,
            chunk: 1,
            observation: vec![names::STATE.into()],
            texts: vec![],
            differentiable: false,
            parameters: 0,
            temperature: None,
        }
    }
    fn act(&mut self, observation: &Batch, _request: &ActRequest) -> Result<Batch> {
        let action = to_torch(observation.get(names::STATE)?)? * &self.scale;
        assert!(!action.requires_grad(), "acting must not record a graph");
        Ok(Batch::new().with(names::ACTION, from_torch(&action.view([-1, 1, 1]))?))
    }
    fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation> {
        let state = to_torch(batch.get(names::STATE)?)?;
        let scaled = (&state * &self.scale).view([-1, 1, 1]);
        Ok(Evaluation { log_prob: scaled.shallow_clone(), entropy: scaled, value: Some(state * &self.bias) })
    }
    fn sft_loss(&mut self, batch: &Batch) -> Result<Torch> {
        if batch.find(names::ACTION).is_none() {
            panic!("no demonstrated action");
        }
        Ok(self.scale.square().sum(Kind::Float))
    }
    fn parameters(&self) -> Vec<Parameter> {
        [("scale", "policy", &self.scale), ("bias", "value", &self.bias)]
            .map(|(name, group, tensor)| Parameter { name: name.into(), group: group.into(), tensor: tensor.shallow_clone() })
            .into()
    }
    fn set_statistics(&mut self, _statistics: &DatasetStatistics) -> Result<()> {
        Ok(())
    }
    fn save(&mut self, _folder: &Path) -> Result<()> {
        Ok(())
    }
    fn load(&mut self, _folder: &Path) -> Result<()> {
        Ok(())
    }
}

fn policy() -> (PolicyBox, Differentiable) {
    let mut policy = boxed(TorchPolicyAdapter::new(Scale { scale: leaf(2.0), bias: leaf(3.0) }, HostServices::standalone(1, 0)));
    let side = policy.differentiable().into_result().unwrap().into_option().expect("a torch policy is differentiable");
    (policy, Differentiable::new(side))
}

fn states(values: &[f32]) -> Batch {
    Batch::new().with(names::STATE, Tensor::from_vec(values.to_vec(), &[values.len(), 1]))
}

fn act(policy: &mut PolicyBox, state: f32) -> Result<Batch> {
    let request = ActRequest { mode: ActMode::Greedy, temperature: 1.0, seed: 0, training: false };
    policy.act(&states(&[state]), &request).into_result()
}

fn digest(policy: &mut PolicyBox) -> String {
    policy.digest().into_result().unwrap().into()
}

#[test]
fn gradients_flow_back_through_the_boundary() {
    let (_policy, mut side) = policy();
    let result = side.evaluate(&states(&[1.0, 4.0])).unwrap();
    assert_eq!(result.log_prob.size(), [2, 1, 1]);
    // d/d scale of sum(state * scale) = 1 + 4; d/d bias of sum(10 state * bias) = 50. The batch is gone by now.
    (result.log_prob.sum(Kind::Float) + result.value.unwrap().sum(Kind::Float) * 10.0).backward();
    let parameters = side.parameters().unwrap();
    let gradient = |name: &str| parameters.iter().find(|p| p.name == name).unwrap().tensor.grad().double_value(&[0]);
    assert_eq!((gradient("scale"), gradient("bias")), (5.0, 50.0));
    let groups: Vec<&str> = parameters.iter().map(|p| p.group.as_str()).collect();
    assert_eq!(groups, ["policy", "value"]);
}

#[test]
fn an_update_in_place_changes_the_acting_policy_and_its_version() {
    let (mut policy, mut side) = policy();
    let before = digest(&mut policy);
    let first = act(&mut policy, 1.5).unwrap();
    assert_eq!(first.slice::<f32>(names::ACTION).unwrap(), [3.0]);
    assert_eq!(first.slice::<i64>(names::WEIGHTS_VERSION).unwrap(), [0]);
    {
        let _no_grad = tch::no_grad_guard();
        let mut scale = side.parameters().unwrap().swap_remove(0).tensor;
        let _ = scale.fill_(10.0);
    }
    assert_eq!(side.weights_changed().unwrap(), 1);
    let second = act(&mut policy, 1.5).unwrap();
    assert_eq!(second.slice::<f32>(names::ACTION).unwrap(), [15.0]);
    assert_eq!(second.slice::<i64>(names::WEIGHTS_VERSION).unwrap(), [1]);
    assert_ne!(digest(&mut policy), before);
}

#[test]
fn the_version_is_saved_with_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let path = || folder.path().to_str().unwrap().into();
    let (mut first, mut side) = policy();
    side.weights_changed().unwrap();
    side.weights_changed().unwrap();
    first.save(path()).into_result().unwrap();
    let (mut second, _side) = policy();
    second.load(path()).into_result().unwrap();
    assert_eq!(act(&mut second, 1.0).unwrap().slice::<i64>(names::WEIGHTS_VERSION).unwrap(), [2]);

    std::fs::write(folder.path().join("weights_version.json"), "{").unwrap();
    let e = second.load(path()).into_result().unwrap_err().to_string();
    assert!(e.contains("weights_version.json"), "{e}");
    std::fs::remove_file(folder.path().join("weights_version.json")).unwrap();
    second.load(path()).into_result().unwrap();
    assert_eq!(act(&mut second, 1.0).unwrap().slice::<i64>(names::WEIGHTS_VERSION).unwrap(), [0]);
}

#[test]
fn the_digest_is_a_sha256_that_depends_on_the_weights_alone() {
    let (mut a, _) = policy();
    let (mut b, _) = policy();
    assert_eq!(digest(&mut a), digest(&mut b));
    assert_eq!(digest(&mut a).len(), 64);
}

#[test]
fn the_specification_says_what_the_adaptor_adds() {
    let (policy, _) = policy();
    let spec: serde_json::Value = serde_json::from_str(policy.spec().into_result().unwrap().as_str()).unwrap();
    assert_eq!((&spec["differentiable"], &spec["parameters"]), (&true.into(), &2.into()));
}

#[test]
fn an_action_that_is_not_finite_is_refused() {
    let (mut policy, _) = policy();
    let e = act(&mut policy, f32::NAN).unwrap_err();
    assert_eq!(e.kind, ErrorKind::Numerical);
    assert!(e.to_string().contains("`action`"), "{e}");
}

#[test]
fn a_panic_inside_the_policy_is_an_error_then_and_later() {
    let (mut policy, mut side) = policy();
    let e = side.sft_loss(&states(&[1.0])).unwrap_err();
    assert_eq!(e.kind, ErrorKind::Panic);
    assert!(e.to_string().contains("no demonstrated action"), "{e}");
    let e = act(&mut policy, 1.0).unwrap_err().to_string();
    assert!(e.contains("panicked in an earlier call"), "{e}");
}

#[test]
fn a_missing_feature_keeps_its_name_across_the_boundary() {
    let (_policy, mut side) = policy();
    let Err(e) = side.evaluate(&Batch::new()) else { panic!("an empty batch was evaluated") };
    assert!(e.to_string().contains("observation.state"), "{e}");
}
