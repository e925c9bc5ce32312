//! Opens plugin libraries and calls their constructors.

use abi_stable::library::{LibraryError, lib_header_from_path};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use twinhost_plugin_api::v1::module::PluginModuleRef;
use twinhost_plugin_api::v1::policy::DifferentiableBox;
use twinhost_plugin_api::v1::{env, policy, reward};
use twinhost_plugin_api::{EnvKind, EnvSpec, Error, ErrorKind, HostServices, Result, checks};

use super::devices::{CameraHandle, RobotHandle, TeleopHandle};
use super::discovery::{Bundle, Catalog};
use super::handles::{AlgorithmHandle, EnvHandle, PolicyHandle, RewardHandle};
use super::isolation::{Launch, RemoteEnv, RemotePolicy, RemoteReward};
use super::libraries;
use super::manifest::Kind;
use super::probe;
use super::sandboxed::{self, Terms};
use super::trust::{self, Trust};
use super::wasm::{GuestEnv, GuestPolicy, GuestReward, Programs};
use crate::recipe::Limits;

/// What a component is made from.
enum Code<'a> {
    Library(PluginModuleRef),
    Component(&'a Bundle),
}

/// A catalog plus the libraries opened so far. Libraries stay open until the process ends.
pub struct Loader {
    pub catalog: Catalog,
    /// A component that has not returned from a call for this long is reported.
    pub hang_after: Duration,
    /// Which plugins may be loaded.
    pub trust: Trust,
    /// What a sandboxed component may use if nothing else is said about it.
    pub sandbox: Limits,
    modules: Mutex<HashMap<PathBuf, PluginModuleRef>>,
    pub(super) programs: Programs,
}

impl Loader {
    pub fn new(explicit: &[PathBuf]) -> Self {
        Self::of(Catalog::discover(explicit))
    }

    pub fn of(catalog: Catalog) -> Self {
        Self {
            catalog,
            hang_after: Duration::from_secs(30),
            trust: Trust::Any,
            sandbox: Limits::default(),
            modules: Mutex::default(),
            programs: Programs::new(crate::folders::cache().map(|cache| cache.join("components"))),
        }
    }

    /// Keeps the compiled code of sandboxed components in `folder` instead of the user's cache, or not at all.
    #[must_use]
    pub fn keeping_code(mut self, folder: Option<PathBuf>) -> Self {
        self.programs = Programs::new(folder);
        self
    }

    fn component(&self, kind: Kind, reference: &str) -> Result<(&Bundle, &str)> {
        let (bundle, component) = self.catalog.find(kind, reference).map_err(Error::input)?;
        Ok((bundle, component.name.as_str()))
    }

    /// The library of a kind that only libraries have.
    fn module(&self, kind: Kind, reference: &str) -> Result<(PluginModuleRef, String)> {
        let (bundle, name) = self.component(kind, reference)?;
        Ok((self.open(bundle)?, name.to_owned()))
    }

    fn code<'a>(&self, bundle: &'a Bundle) -> Result<Code<'a>> {
        if !bundle.sandboxed {
            return self.open(bundle).map(Code::Library);
        }
        trust::admit(self.trust, bundle).map_err(|reason| refused(bundle, &reason))?;
        Ok(Code::Component(bundle))
    }

    /// What a sandboxed component may use if nothing else is said about it.
    pub fn terms(&self) -> Terms {
        Terms { limits: self.sandbox.clone(), environment: None }
    }

    /// The same for one that works with the environment `spec`.
    pub fn terms_in(&self, spec: &EnvSpec) -> Terms {
        Terms { environment: Some(spec.clone()), ..self.terms() }
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
        let refuse = |reason: String| refused(bundle, &reason);
        trust::admit(self.trust, bundle).map_err(refuse)?;
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
        let (bundle, name) = self.component(Kind::Env, reference)?;
        let code = self.code(bundle)?;
        let create = || match code {
            Code::Library(module) => module.create_env()(name.into(), config.into(), services),
            Code::Component(bundle) => {
                sandboxed::start(&self.programs, (bundle, Kind::Env), config, &services, &self.terms(), GuestEnv::start)
                    .map(env::boxed)
                    .into()
            }
        };
        let handle = EnvHandle::new(Kind::Env, name, self.hang_after, create, |inner| inner.spec())?;
        self.fit(handle.spec_ref())?;
        Ok(handle)
    }

    fn fit(&self, spec: &EnvSpec) -> Result<()> {
        checks::env_spec(spec)?;
        if spec.kind == EnvKind::Real {
            trust::admit_hardware(self.trust).map_err(Error::input)?;
        }
        Ok(())
    }

    /// What starts a component in a process of its own, without opening its library here.
    fn launch(&self, kind: Kind, reference: &str, config: &str, services: HostServices) -> Result<Launch> {
        let (bundle, component) = self.catalog.find(kind, reference).map_err(Error::input)?;
        trust::admit(self.trust, bundle).map_err(|reason| refused(bundle, &reason))?;
        if bundle.sandboxed {
            return Err(refused(bundle, "runs in the sandbox, where it can do no harm: leave `isolation` out"));
        }
        Ok(Launch {
            kind,
            library: bundle.library.clone(),
            component: component.name.clone(),
            config: config.into(),
            services,
            limit: self.hang_after,
            status: Arc::default(),
        })
    }

    /// An environment in a process of its own.
    ///
    /// # Errors
    /// As [`Loader::env`], or how the process ended.
    pub fn isolated_env(&self, reference: &str, config: &str, services: HostServices) -> Result<EnvHandle> {
        let launch = self.launch(Kind::Env, reference, config, services)?;
        let (name, status) = (launch.component.clone(), launch.status.clone());
        let create = || RemoteEnv::start(launch).map(twinhost_plugin_api::env::boxed).into();
        let handle = EnvHandle::new(Kind::Env, &name, self.patience(), create, |inner| inner.spec())?;
        self.fit(handle.spec_ref())?;
        Ok(handle.elsewhere(status))
    }

    /// A policy in a process of its own; it acts and cannot be trained.
    ///
    /// # Errors
    /// As [`Loader::isolated_env`].
    pub fn isolated_policy(&self, reference: &str, config: &str, services: HostServices) -> Result<PolicyHandle> {
        let launch = self.launch(Kind::Policy, reference, config, services)?;
        let (name, status) = (launch.component.clone(), launch.status.clone());
        let create = || RemotePolicy::start(launch).map(twinhost_plugin_api::policy::boxed).into();
        Ok(PolicyHandle::new(Kind::Policy, &name, self.patience(), create, |inner| inner.spec())?.elsewhere(status))
    }

    /// A reward in a process of its own.
    ///
    /// # Errors
    /// As [`Loader::isolated_env`].
    pub fn isolated_reward(&self, reference: &str, config: &str, services: HostServices) -> Result<RewardHandle> {
        let launch = self.launch(Kind::Reward, reference, config, services)?;
        let (name, status) = (launch.component.clone(), launch.status.clone());
        let create = || RemoteReward::start(launch).map(twinhost_plugin_api::reward::boxed).into();
        Ok(RewardHandle::new(Kind::Reward, &name, self.patience(), create, |inner| inner.spec())?.elsewhere(status))
    }

    /// A component that is ended when it hangs need not be reported before.
    fn patience(&self) -> Duration {
        self.hang_after.saturating_mul(8)
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn policy(&self, reference: &str, config: &str, services: HostServices, terms: &Terms) -> Result<PolicyHandle> {
        let (bundle, name) = self.component(Kind::Policy, reference)?;
        let code = self.code(bundle)?;
        let create = || match code {
            Code::Library(module) => module.create_policy()(name.into(), config.into(), services),
            Code::Component(bundle) => {
                sandboxed::start(&self.programs, (bundle, Kind::Policy), config, &services, terms, GuestPolicy::start)
                    .map(policy::boxed)
                    .into()
            }
        };
        PolicyHandle::new(Kind::Policy, name, self.hang_after, create, |inner| inner.spec())
    }

    /// # Errors
    /// As [`Loader::env`].
    pub fn reward(&self, reference: &str, config: &str, services: HostServices, terms: &Terms) -> Result<RewardHandle> {
        let (bundle, name) = self.component(Kind::Reward, reference)?;
        let code = self.code(bundle)?;
        let create = || match code {
            Code::Library(module) => module.create_reward()(name.into(), config.into(), services),
            Code::Component(bundle) => {
                sandboxed::start(&self.programs, (bundle, Kind::Reward), config, &services, terms, GuestReward::start)
                    .map(reward::boxed)
                    .into()
            }
        };
        RewardHandle::new(Kind::Reward, name, self.hang_after, create, |inner| inner.spec())
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
    /// As [`Loader::env`], or if nothing says which plugins may drive hardware.
    pub fn robot(&self, reference: &str, config: &str, services: HostServices) -> Result<RobotHandle> {
        trust::admit_hardware(self.trust).map_err(|reason| Error::input(format!("robot `{reference}` {reason}")))?;
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

/// A plugin that is not used, and why.
pub(super) fn refused(bundle: &Bundle, reason: &str) -> Error {
    Error::new(ErrorKind::Io, format!("plugin `{}` ({}): {reason}", bundle.manifest.name, bundle.library.display()))
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
