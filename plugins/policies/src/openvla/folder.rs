//! A policy into a folder and back: weights, adapters, tokeniser, description.

use std::path::Path;
use twinhost_plugin_api::{Error, LogLevel, Result};
use twinhost_plugin_torch::TorchResult;

use super::Openvla;
use super::checkpoint::{self, Description};
use super::layout::OPTIONAL_GROUPS;
use super::lora::{self, SavedAdapters};
use super::parameters::draw;
use super::prompt::PromptTokenizer;
use super::storage::{SHARD_BYTES, TensorFiles, write_atomically, write_tensors};

const WEIGHTS: &str = "model";
const TOKENIZER: &str = "tokenizer.json";

impl Openvla {
    pub(super) fn save_into(&self, folder: &Path) -> Result<()> {
        write_tensors(folder, WEIGHTS, lora::merged(&self.parameters), SHARD_BYTES)?;
        lora::save(folder, &self.parameters, self.config.lora)?;
        if let Some(data) = &self.data {
            let text = data.prompts.to_json()?;
            write_atomically(&folder.join(TOKENIZER), |temporary| std::fs::write(temporary, text))?;
        }
        let description = Description {
            architecture: self.architecture.clone(),
            statistics: self.data.as_ref().map(|data| (data.key.clone(), data.statistics.clone())),
            prompt_width: self.data.as_ref().map_or(0, |data| data.prompts.width()),
        };
        checkpoint::write_description(folder, &description)
    }

    /// Checks every file before it changes the first weight, so that a failed load leaves the policy as it was.
    pub(super) fn load_from(&mut self, folder: &Path) -> Result<()> {
        let description = checkpoint::read_description(folder, &self.config)?;
        if let Some(difference) = self.architecture.difference(&description.architecture) {
            return Err(Error::input(format!("{}: another architecture: {difference}", folder.join("config.json").display())));
        }
        let files = TensorFiles::open(folder, WEIGHTS)?;
        let absent: Vec<&str> = OPTIONAL_GROUPS.into_iter().filter(|group| !files.names().any(|name| name.starts_with(group))).collect();
        let adapters = match self.config.lora {
            Some(_) => SavedAdapters::find(folder, &self.parameters)?,
            None => None,
        };
        // A value head or proprio projector that the folder lacks, and adapters on top of plain weights, are drawn from the seed.
        let is_fresh = |name: &str| absent.iter().any(|group| name.starts_with(group)) || lora::is_factor(name);
        for (entry, _) in self.parameters.iter().filter(|(entry, _)| !is_fresh(&entry.name)) {
            files.check(&entry.name, &entry.shape)?;
        }
        if let Some(name) = files.names().find(|name| self.parameters.find(name).is_none()) {
            return Err(Error::input(format!("{}: tensor `{name}` is not part of this architecture", files.file_of(name))));
        }
        let data = match description.statistics {
            Some((key, statistics)) => {
                let prompts = PromptTokenizer::from_file(&folder.join(TOKENIZER), description.prompt_width)?;
                Some(self.data_side(key, statistics, prompts)?)
            }
            None => None,
        };
        let _no_grad = tch::no_grad_guard();
        for (entry, tensor) in self.parameters.iter() {
            let saved = adapters.as_ref().map(|adapters| adapters.read(entry)).transpose()?.flatten();
            let value = match saved {
                Some(value) => value,
                None if is_fresh(&entry.name) => draw(entry, self.services.seed),
                None => files.read(&entry.name)?,
            };
            tensor.shallow_clone().f_copy_(&value).or_error()?;
        }
        for group in absent.iter().filter(|group| self.parameters.iter().any(|(entry, _)| entry.name.starts_with(**group))) {
            self.services.log(LogLevel::Warn, "openvla", format!("{} has no `{group}*`, drew it fresh", folder.display()));
        }
        self.data = data;
        Ok(())
    }
}
