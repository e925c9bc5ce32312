//! The `openvla` policy: what its parts do together when the host asks it to act and an algorithm asks it to learn.

pub mod actions;
pub mod architecture;
pub mod augmentation;
mod batches;
pub mod checkpoint;
pub mod config;
mod folder;
pub mod image;
pub mod layout;
pub mod linear;
pub mod llama;
pub mod lora;
pub mod network;
pub mod parameters;
pub mod prompt;
pub mod sampling;
pub mod statistics;
pub mod storage;
pub mod vision;

use std::path::Path;
use tch::{Kind, Tensor};
use twinhost_plugin_api::{ActRequest, Batch, ComponentConfig, DatasetStatistics, Error, HostServices, PolicySpec, Result, names};
use twinhost_plugin_torch::TorchResult;
use twinhost_plugin_torch::{Evaluation, Parameter, TorchPolicy, TorchPolicyAdapter, from_torch};

use crate::allocator::keep_freed_memory;
use actions::{ActionBins, Normaliser};
use architecture::Architecture;
use batches::{augmentation_seed, expect_rows};
use config::{Decoding, OpenvlaConfig};
use layout::layout;
use network::{Network, Prefix};
use parameters::Parameters;
use prompt::PromptTokenizer;
use sampling::{Chooser, score};
use statistics::{OWN_KEY, StatisticsEntry};

/// A VLA policy with OpenVLA's architecture. See [`OpenvlaConfig`] for what a recipe can set.
pub struct Openvla {
    config: OpenvlaConfig,
    architecture: Architecture,
    services: HostServices,
    parameters: Parameters,
    network: Network,
    bins: ActionBins,
    /// What the data decide; none before `set_statistics` or `load`.
    data: Option<DataSide>,
}

/// The parts that come from a dataset: how to scale actions and state, and how to read instructions.
struct DataSide {
    key: String,
    statistics: StatisticsEntry,
    action: Normaliser,
    state: Option<Normaliser>,
    prompts: PromptTokenizer,
}

/// Constructor of the exported component.
///
/// # Errors
/// If the configuration is wrong, or its checkpoint cannot be loaded.
pub fn create(config: ComponentConfig<'_>, services: HostServices) -> Result<TorchPolicyAdapter<Openvla>> {
    Ok(TorchPolicyAdapter::new(Openvla::new(config.parse()?, services)?, services))
}

impl Openvla {
    /// # Errors
    /// If the configuration is wrong, or its checkpoint cannot be loaded.
    pub fn new(config: OpenvlaConfig, services: HostServices) -> Result<Self> {
        config.validate()?;
        keep_freed_memory();
        let architecture = match &config.checkpoint {
            Some(folder) => checkpoint::read_description(folder, &config)?.architecture,
            None => config.architecture()?,
        };
        let names = layout(&architecture);
        let adapters = config.lora.map(|lora| (lora::layout(&names, lora.rank), lora.alpha / lora.rank as f64));
        let mut parameters = match config.checkpoint {
            Some(_) => Parameters::reserve(names),
            None => Parameters::draw(names, services.seed),
        };
        if let Some((adapters, scale)) = adapters {
            parameters.adapt(adapters, scale, services.seed, lora::is_trained);
        }
        let network = Network::new(&parameters, &architecture);
        let bins = ActionBins::new(architecture.real_vocab);
        let mut policy = Self { config, architecture, services, parameters, network, bins, data: None };
        if let Some(folder) = policy.config.checkpoint.clone() {
            policy.load(&folder).map_err(|e| e.context("field `checkpoint`"))?;
        }
        Ok(policy)
    }

    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Hidden states that predict the given tokens, `[N, slots, hidden]`; parallel decoding does not look at the tokens.
    fn hidden(&self, prefix: &Prefix, tokens: &Tensor) -> Tensor {
        let slots = self.config.slots();
        match self.config.decoding() {
            Decoding::Parallel => self.network.parallel(prefix, slots, self.config.placeholder()),
            Decoding::Autoregressive => self.network.teacher_forced(prefix, &tokens.narrow(1, 0, slots - 1)),
        }
    }

    /// Logits of the 256 action tokens `[N, slots, 256]` and the value `[N, 1]`.
    fn heads(&self, hidden: &Tensor) -> (Tensor, Option<Tensor>) {
        let last_prompt = hidden.select(1, 0);
        let value = self.network.value(&if self.config.detach_value { last_prompt.detach() } else { last_prompt });
        (self.network.action_logits(hidden), value)
    }

    /// `[N, slots]` to `[N, C, A]`.
    fn per_step(&self, x: &Tensor) -> Tensor {
        x.view([-1, self.config.chunk as i64, self.config.action_dim as i64])
    }
}

impl TorchPolicy for Openvla {
    fn spec(&self) -> PolicySpec {
        let mut observation: Vec<String> = self.config.cameras.iter().map(|camera| format!("{}{camera}", names::IMAGES)).collect();
        if self.architecture.proprio.is_some() {
            observation.push(names::STATE.into());
        }
        PolicySpec {
            action_dim: self.config.action_dim,
            chunk: self.config.chunk,
            observation,
            texts: vec![names::TASK.into()],
            differentiable: true,
            parameters: self.parameters.iter().map(|(_, tensor)| tensor.numel() as u64).sum(),
            temperature: Some(self.config.temperature),
        }
    }

    fn act(&mut self, observation: &Batch, request: &ActRequest) -> Result<Batch> {
        let temperature = request.temperature;
        if !(1e-3..=1e3).contains(&temperature) {
            return Err(Error::input(format!("temperature must be between 0.001 and 1000, got {temperature}")));
        }
        if request.training && temperature != self.config.temperature {
            return Err(Error::input(format!(
                "training rollouts must sample at the temperature at which the policy is evaluated, {} (its field `temperature`), not at {temperature}",
                self.config.temperature
            )));
        }
        let _no_grad = tch::no_grad_guard();
        let input = self.input(observation, None)?;
        let rows = input.ids.size()[0] as usize;
        let slots = self.config.slots() as usize;
        let first_token = self.architecture.first_action_token();
        let chooser = Chooser::new(request.mode, temperature, request.seed, rows, slots);
        let prefix = self.network.prefix(&input);
        let (hidden, tokens) = match self.config.decoding() {
            Decoding::Parallel => {
                let hidden = self.network.parallel(&prefix, self.config.slots(), self.config.placeholder());
                let tokens = chooser.choose(&self.network.action_logits(&hidden), 0) + first_token;
                (hidden, tokens)
            }
            Decoding::Autoregressive => {
                let mut step = 0;
                let (hidden, tokens) = self.network.autoregressive(&prefix, slots as i64, |hidden| {
                    step += 1;
                    chooser.choose(&self.network.action_logits(hidden), step - 1) + first_token
                });
                // Scores must come from the very pass that `evaluate` runs, or ratios of unchanged weights differ from 1 by rounding.
                let hidden = if request.training { self.hidden(&prefix, &tokens) } else { hidden };
                (hidden, tokens)
            }
        };
        let ids: Vec<i64> = Vec::try_from(tokens.flatten(0, -1)).or_error()?;
        let (chunk, dim) = (self.config.chunk, self.config.action_dim);
        let bins = self.bins.clone();
        let normaliser = &self.data()?.action;
        let actions: Vec<f32> = ids.iter().enumerate().map(|(i, &id)| normaliser.unnormalise(i % dim, bins.decode(id)) as f32).collect();
        let shape = [rows, chunk, dim];
        let mut result = Batch::new().with(names::ACTION, twinhost_plugin_api::Tensor::from_vec(actions, &shape));
        if request.training {
            let (logits, value) = self.heads(&hidden);
            let (log_prob, _) = score(&logits, &(tokens - first_token), temperature);
            result.insert(names::LOG_PROB, from_torch(&self.per_step(&log_prob))?);
            result.insert(names::ACTION_TOKENS, twinhost_plugin_api::Tensor::from_vec(ids, &shape));
            if let Some(value) = value {
                result.insert(names::VALUE, from_torch(&value)?);
            }
        }
        Ok(result)
    }

    fn evaluate(&mut self, batch: &Batch) -> Result<Evaluation> {
        let input = self.input(batch, None)?;
        let tokens = self.recorded_tokens(batch)?;
        expect_rows(names::ACTION_TOKENS, tokens.size().first().copied(), input.ids.size()[0] as usize)?;
        let hidden = self.hidden(&self.network.prefix(&input), &tokens);
        let (logits, value) = self.heads(&hidden);
        let (log_prob, entropy) = score(&logits, &(tokens - self.architecture.first_action_token()), self.config.temperature);
        Ok(Evaluation { log_prob: self.per_step(&log_prob), entropy: self.per_step(&entropy), value })
    }

    fn sft_loss(&mut self, batch: &Batch) -> Result<Tensor> {
        let (tokens, counted) = self.demonstrated_tokens(batch)?;
        let input = self.input(batch, Some(augmentation_seed(&tokens, batch)?))?;
        let rows = input.ids.size()[0];
        expect_rows(names::ACTION, tokens.size().first().copied(), rows as usize)?;
        let prefix = self.network.prefix(&input);
        let (logits, labels, counted) = match self.config.decoding() {
            // The distribution that acts is over the action tokens alone, so they alone compete.
            Decoding::Parallel => {
                let logits = self.network.action_logits(&self.network.parallel(&prefix, self.config.slots(), self.config.placeholder()));
                (logits, tokens - self.architecture.first_action_token(), counted)
            }
            // OpenVLA's loss: the whole vocabulary competes, and the end of the sequence is predicted too.
            Decoding::Autoregressive => {
                let logits = self.network.language.logits(&self.network.teacher_forced(&prefix, &tokens));
                let end = Tensor::full([rows, 1], prompt::END_TOKEN, (Kind::Int64, tokens.device()));
                let always = Tensor::ones([rows, 1], (Kind::Bool, tokens.device()));
                (logits, Tensor::cat(&[tokens, end], 1), Tensor::cat(&[counted, always], 1))
            }
        };
        const IGNORED: i64 = -100;
        let labels = labels.masked_fill(&counted.logical_not(), IGNORED);
        Ok(logits.flatten(0, 1).cross_entropy_loss(&labels.flatten(0, 1), None::<&Tensor>, tch::Reduction::Mean, IGNORED, 0.0))
    }

    fn parameters(&self) -> Vec<Parameter> {
        self.parameters
            .iter()
            .map(|(entry, tensor)| {
                let group = if entry.name.starts_with("value_head.") { "value" } else { "policy" };
                Parameter { name: entry.name.clone(), group: group.into(), tensor: tensor.shallow_clone() }
            })
            .collect()
    }

    fn set_statistics(&mut self, statistics: &DatasetStatistics) -> Result<()> {
        if statistics.tasks.is_empty() {
            return Err(Error::input("the dataset's statistics name no instruction"));
        }
        let words = self.architecture.first_action_token() as usize;
        // A pretrained vocabulary stays; only a policy that starts from nothing makes its own.
        let prompts = match (self.data.take(), &self.config.checkpoint) {
            (Some(data), Some(_)) => data.prompts,
            _ => PromptTokenizer::from_instructions(&statistics.tasks, words)?,
        };
        let mut entry: StatisticsEntry = statistics.into();
        if !self.config.normalize_actions {
            entry.action.mask = Some(vec![false; self.config.action_dim]);
        }
        self.data = Some(self.data_side(OWN_KEY.into(), entry, prompts)?);
        Ok(())
    }

    fn save(&mut self, folder: &Path) -> Result<()> {
        self.save_into(folder)
    }

    fn load(&mut self, folder: &Path) -> Result<()> {
        self.load_from(folder)
    }
}

impl Openvla {
    fn data_side(&self, key: String, statistics: StatisticsEntry, prompts: PromptTokenizer) -> Result<DataSide> {
        let action = Normaliser::new(&(&statistics.action).into(), self.config.action_dim, names::ACTION)?;
        let state = match (self.architecture.proprio, &statistics.proprio) {
            (None, _) => None,
            (Some(_), Some(columns)) => Some(Normaliser::new(&columns.into(), self.config.state_dim, names::STATE)?),
            (Some(_), None) => return Err(Error::input("the statistics have no `proprio`, which this policy reads; set `proprio: false`")),
        };
        Ok(DataSide { key, statistics, action, state, prompts })
    }
}
