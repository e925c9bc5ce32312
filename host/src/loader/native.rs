//! Opens plugin libraries and calls their constructors.

use abi_stable::library::{LibraryError, lib_header_from_path};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;
use twinhost_plugin_api::v1::module::PluginModuleRef;
use twinhost_plugin_api::v1::policy::DifferentiableBox;
use twinhost_plugin_api::{Error, ErrorKind, HostServices, Result};

use super::devices::{CameraHandle, RobotHandle, TeleopHandle};
use super::discovery::{Bundle, Catalog};
use super::handles::{AlgorithmHandle, EnvHandle, PolicyHandle, RewardHandle};
use super::libraries;
use super::manifest::Kind;
use super::probe;
use twinhost_plugin_api::checks;

/// A catalog plus the libraries opened so far. Libraries stay open until the process ends.
pub struct Loader {
    pub catalog: Catalog,
    /// A component that has not returned from a call for this long is reported.
    pub hang_after: Duration,
    modules: Mutex<HashMap<PathBuf, PluginModuleRef>>,
}

impl Loader {
    pub fn new(explicit: &[PathBuf]) -> Self {
        Self { catalog: Catalog::discover(explicit), hang_after: Duration::from_secs(30), modules: Mutex::default() }
    }

    fn module(&self, kind: Kind, reference: &str) -> Result<(PluginModuleRef, String)> {
        let (bundle, component) = self.catalog.find(kind, reference).map_err(Error::input)?;
        Ok((self.open(bundle)?, component.name.clone()))
    }

    /// Opens a bundle's library, after the native libraries it needs. One that was never opened on this machine is opened by a child
    /// process first, so that a constructor that ends or hangs the process is told instead of suffered.
    ///
    /// # Errors
    /// One sentence that names the file and the cause.
    pub fn open(&self, bundle: &Bundle) -> Result<PluginModuleRef> {
        let mut modules = self.modules.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(module) = modules.get(&bundle.library) {
            return Ok(*module);
        }
        let refuse = |reason: String| {
            Error::new(ErrorKind::Io, format!("plugin `{}` ({}): {reason}", bundle.manifest.name, bundle.library.display()))
        };
        probe::first_opening(bundle).map_err(refuse)?;
        for requirement in &bundle.manifest.requires {
            libraries::open(requirement).map_err(refuse)?;
        }
        let module = load(&bundle.library).map_err(refuse)?;
        modules.insert(bundle.library.clone(), module);
        Ok(module)
    }

    /// # Errors
    /// If there is no such component, its library does not load, or it refuses its configuration.
    pub fn env(&self, reference: &str, config: &str, services: HostServices) -> Result<EnvHandle> {
        let (module, name) = self.module(Kind::Env, reference)?;
        let create = || module.create_env()(name.as_str().into(), config.into(), services);
        let handle = EnvHandle::new(Kind::Env, &name, self.hang_after, create, |inner| inner.spec())?;
        checks::env_spec(handle.spec_ref())?;
        Ok(handle)
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn policy(&self, reference: &str, config: &str, services: HostServices) -> Result<PolicyHandle> {
        let (module, name) = self.module(Kind::Policy, reference)?;
        let create = || module.create_policy()(name.as_str().into(), config.into(), services);
        PolicyHandle::new(Kind::Policy, &name, self.hang_after, create, |inner| inner.spec())
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn reward(&self, reference: &str, config: &str, services: HostServices) -> Result<RewardHandle> {
        let (module, name) = self.module(Kind::Reward, reference)?;
        let create = || module.create_reward()(name.as_str().into(), config.into(), services);
        RewardHandle::new(Kind::Reward, &name, self.hang_after, create, |inner| inner.spec())
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn algorithm(&self, reference: &str, config: &str, services: HostServices, policy: DifferentiableBox) -> Result<AlgorithmHandle> {
        let (module, name) = self.module(Kind::Algorithm, reference)?;
        let create = || module.create_algorithm()(name.as_str().into(), config.into(), services, policy);
        // One update is many optimiser steps.
        AlgorithmHandle::new(Kind::Algorithm, &name, self.hang_after.saturating_mul(10), create, |inner| inner.spec())
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn robot(&self, reference: &str, config: &str, services: HostServices) -> Result<RobotHandle> {
        let (module, name) = self.module(Kind::Robot, reference)?;
        let create = || module.create_robot()(name.as_str().into(), config.into(), services);
        RobotHandle::new(Kind::Robot, &name, self.hang_after, create, |inner| inner.spec())
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn camera(&self, reference: &str, config: &str, services: HostServices) -> Result<CameraHandle> {
        let (module, name) = self.module(Kind::Camera, reference)?;
        let create = || module.create_camera()(name.as_str().into(), config.into(), services);
        CameraHandle::new(Kind::Camera, &name, self.hang_after, create, |inner| inner.spec())
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn teleop(&self, reference: &str, config: &str, services: HostServices) -> Result<TeleopHandle> {
        let (module, name) = self.module(Kind::Teleop, reference)?;
        let create = || module.create_teleop()(name.as_str().into(), config.into(), services);
        TeleopHandle::new(Kind::Teleop, &name, self.hang_after, create, |inner| inner.spec())
    }
}

pub(super) fn load(path: &Path) -> std::result::Result<PluginModuleRef, String> {
    // Never `load_from_file`: it caches one library per root module type.
    lib_header_from_path(path).and_then(|header| header.init_root_module::<PluginModuleRef>()).map_err(|e| explain(&e))
}

/// One sentence instead of `abi_stable`'s page-long report, which goes to the debug log.
fn explain(error: &LibraryError) -> String {
    tracing::debug!("{error}");
    match error {
        LibraryError::OpenError { err, .. } => format!("the system's loader refuses it: {}", libraries::root_cause(err.as_ref())),
        LibraryError::GetSymbolError { .. } => "does not export its root module: use `export_plugin!` in a crate of type cdylib".into(),
        LibraryError::IncompatibleVersionNumber { expected_version, actual_version, .. } => {
            format!("was built with twinhost-plugin-api {actual_version}, this host needs {expected_version}: rebuild the plugin")
        }
        LibraryError::AbiInstability(_) | LibraryError::InvalidAbiHeader(_) | LibraryError::InvalidCAbi { .. } => {
            "its types are laid out differently from this host's: rebuild the plugin with the host's twinhost-plugin-api (details with -vv)"
                .into()
        }
        LibraryError::RootModule { err, .. } => format!("its start-up failed: {err}"),
        other => other.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
