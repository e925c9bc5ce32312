//! Creates components that run in the sandbox, beside [`super::native`], which creates those of libraries.

use twinhost_plugin_api::{EnvSpec, Error, ErrorKind, HostServices, Result};

use super::discovery::Bundle;
use super::filter::FilterHandle;
use super::manifest::Kind;
use super::native::Loader;
use super::wasm::{GuestFilter, Program, Programs, Setup, metering};
use crate::recipe::{Limits, Permission, json};

/// What a recipe says about a component besides its configuration. Native components are not told: they know their surroundings.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    pub limits: Limits,
    /// The environment that the component will work with, if it is known.
    pub environment: Option<EnvSpec>,
}

/// Starts a sandboxed component with `start`.
///
/// # Errors
/// If its file is not valid, it does not start, or it refuses its configuration.
pub(super) fn start<T>(
    programs: &Programs,
    bundle: &Bundle,
    config: &str,
    services: &HostServices,
    terms: &Terms,
    start: impl FnOnce(Program, Limits, Setup) -> Result<T>,
) -> Result<T> {
    let refuse =
        |reason: String| Error::new(ErrorKind::Io, format!("plugin `{}` ({}): {reason}", bundle.manifest.name, bundle.library.display()));
    let program = programs.load(&bundle.library, &bundle.sha256, metering(&terms.limits)).map_err(refuse)?;
    if let Some(missing) = asked(bundle).find(|permission| !terms.limits.grants.contains(permission)) {
        return Err(refuse(format!(
            "asks for `{missing:?}`, which nobody granted it: run with `--grant {missing:?}`, or write `grants: [{missing:?}]` into the recipe's \
             `sandbox` or the component's `limits`, if you trust it with that"
        )));
    }
    let config = json::from_ron(config).map_err(|e| Error::new(ErrorKind::InvalidConfig, e))?;
    let environment = terms.environment.as_ref().map_or(Ok("{}".to_owned()), serde_json::to_string);
    let environment = environment.map_err(|e| Error::internal(format!("the environment's description is no JSON: {e}")))?;
    start(program, terms.limits.clone(), Setup { config: config.to_string(), environment, seed: services.seed })
}

/// What the components of a bundle ask for.
fn asked(bundle: &Bundle) -> impl Iterator<Item = Permission> {
    bundle.manifest.components.iter().flat_map(|component| component.asks.iter().copied())
}

impl Loader {
    /// A monitor of the actions for the environment in `terms`.
    ///
    /// # Errors
    /// As [`Loader::reward`], or if the environment's actions cannot be watched.
    pub fn filter(&self, reference: &str, config: &str, services: HostServices, terms: &Terms) -> Result<FilterHandle> {
        let (bundle, component) = self.catalog.find(Kind::Filter, reference).map_err(Error::input)?;
        if !bundle.sandboxed {
            return Err(Error::unsupported(format!("plugin `{}`: a filter is a sandboxed component, not a library", bundle.manifest.name)));
        }
        let environment = terms.environment.as_ref().ok_or_else(|| Error::input("a filter watches an environment, and none is given"))?;
        let guest = start(&self.programs, bundle, config, &services, terms, GuestFilter::start)?;
        FilterHandle::new(&component.name, Box::new(guest), environment)
    }
}
