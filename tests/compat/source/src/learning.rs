//! `length`, `still`, `count`: a reward, a policy with a (bare) differentiable side, and an algorithm.

use abi_stable::sabi_trait;
use abi_stable::std_types::{RResult, RStr, RVec};
use std::path::Path;
use twinhost_plugin_api::policy::{DifferentiableAbi, DifferentiableAbi_TO, DifferentiableBox, NamedHandle};
use twinhost_plugin_api::{
    ActRequest, Algorithm, AlgorithmSpec, Anchor, Batch, ComponentConfig, DatasetStatistics, Error, HostServices, Metrics, Paradigm, Policy,
    PolicySpec, Result, Reward, RewardSpec, Tensor, UpdateRequest, names,
};

pub struct Length;

impl Length {
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self)
    }
}

impl Reward for Length {
    fn spec(&self) -> RewardSpec {
        RewardSpec { needs: vec![names::ACTION.into()], decides_success: false }
    }
    fn score(&mut self, transition: &Batch) -> Result<Batch> {
        let action = transition.get(names::ACTION)?;
        let [rows, chunk, dim] = action.shape()[..] else { return Err(Error::input("`action` must be [B, C, A]")) };
        let length = |step: &[f32]| -step.iter().map(|v| v.abs()).sum::<f32>();
        let scores: Vec<f32> = action.as_slice::<f32>()?.chunks_exact(dim.max(1)).map(length).collect();
        if scores.iter().any(|s| !s.is_finite()) {
            return Err(Error::numerical("an action is not a number"));
        }
        Ok(Batch::new().with(names::REWARD, Tensor::from_vec(scores, &[rows, chunk])))
    }
}

pub struct Still {
    value: f32,
}

impl Still {
    pub fn create(config: ComponentConfig<'_>, _: HostServices) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self { value: 0.25 })
    }
}

const FILE: &str = "still.txt";

impl Policy for Still {
    fn spec(&self) -> PolicySpec {
        PolicySpec {
            action_dim: 1,
            chunk: 2,
            observation: vec![names::STATE.into()],
            texts: vec![names::TASK.into()],
            differentiable: false,
            parameters: 1,
            temperature: None,
        }
    }
    fn act(&mut self, observation: &Batch, _: &ActRequest) -> Result<Batch> {
        let state = observation.get(names::STATE)?;
        let [rows, 2] = state.shape()[..] else { return Err(Error::input("the state must be [B, 2]")) };
        if observation.texts(names::TASK)?.len() != rows {
            return Err(Error::input("one text for each row"));
        }
        Ok(Batch::new()
            .with(names::ACTION, Tensor::from_vec(vec![self.value; 2 * rows], &[rows, 2, 1]))
            .with(names::WEIGHTS_VERSION, Tensor::zeros::<i64>(&[rows])))
    }
    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        if statistics.action.mean.is_empty() { Err(Error::input("no mean")) } else { Ok(()) }
    }
    fn save(&mut self, folder: &Path) -> Result<()> {
        Ok(std::fs::write(folder.join(FILE), self.value.to_bits().to_string())?)
    }
    fn load(&mut self, folder: &Path) -> Result<()> {
        let text = std::fs::read_to_string(folder.join(FILE))?;
        self.value = f32::from_bits(text.parse().map_err(|_| Error::io("still.txt is damaged"))?);
        Ok(())
    }
    fn digest(&mut self) -> Result<String> {
        Ok(format!("{:08x}", self.value.to_bits()))
    }
    fn differentiable(&mut self) -> Option<DifferentiableBox> {
        Some(DifferentiableAbi_TO::from_value(Side(0), sabi_trait::TD_Opaque))
    }
}

/// Without torch there is nothing to differentiate; what counts here is that the calls arrive.
struct Side(u64);

impl DifferentiableAbi for Side {
    fn compute(&mut self, what: RStr<'_>, batch: &Batch) -> RResult<RVec<NamedHandle>, Error> {
        RResult::RErr(Error::unsupported(format!("no `{what}` of {} rows", batch.rows())))
    }
    fn parameters(&mut self) -> RResult<RVec<NamedHandle>, Error> {
        RResult::ROk(RVec::new())
    }
    fn weights_changed(&mut self) -> RResult<u64, Error> {
        self.0 += 1;
        RResult::ROk(self.0)
    }
}

pub struct Count {
    policy: DifferentiableBox,
    updates: u64,
}

impl Count {
    pub fn create(config: ComponentConfig<'_>, _: HostServices, policy: DifferentiableBox) -> Result<Self> {
        config.parse::<()>()?;
        Ok(Self { policy, updates: 0 })
    }
}

impl Algorithm for Count {
    fn spec(&self) -> AlgorithmSpec {
        AlgorithmSpec { paradigm: Paradigm::Supervised, needs: vec![names::ACTION.into()] }
    }
    fn update(&mut self, data: &Batch, anchor: Option<&mut Anchor>, request: &UpdateRequest) -> Result<Metrics> {
        let rows = data.get(names::ACTION)?.dim(0) as f64;
        let mut metrics = vec![("train/rows".to_owned(), rows), ("train/iteration".to_owned(), request.iteration as f64)];
        if let Some(anchor) = anchor {
            let drawn = anchor.source.draw(anchor.batch_size).into_result()?;
            metrics.push(("train/anchor_rows".into(), drawn.rows() as f64 * anchor.weight));
        }
        metrics.push(("train/weights_version".into(), self.policy.weights_changed().into_result()? as f64));
        self.updates += 1;
        Ok(metrics)
    }
    fn save(&mut self, folder: &Path) -> Result<()> {
        Ok(std::fs::write(folder.join("count.txt"), self.updates.to_string())?)
    }
    fn load(&mut self, folder: &Path) -> Result<()> {
        let text = std::fs::read_to_string(folder.join("count.txt"))?;
        self.updates = text.parse().map_err(|_| Error::io("count.txt is damaged"))?;
        Ok(())
    }
}
