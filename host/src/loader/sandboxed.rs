//! Creates components that run in the sandbox, beside [`super::native`], which creates those of libraries.

use twinhost_plugin_api::{EnvSpec, Error, ErrorKind, HostServices, Result};

use super::discovery::Bundle;
use super::filter::FilterHandle;
use super::manifest::Kind;
use super::native::Loader;
use super::wasm::{Bounds, GuestFilter, Metering, Program, Programs, Setup};
use crate::recipe::{Limits, Permission, json};

/// Instructions of a call, and the time of a reward's, where the recipe says nothing.
const FUEL: u64 = 1_000_000_000;
const REWARD_DEADLINE_MS: u64 = 2000;

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
    (bundle, kind): (&Bundle, Kind),
    config: &str,
    services: &HostServices,
    terms: &Terms,
    start: impl FnOnce(Program, Bounds, Setup) -> Result<T>,
) -> Result<T> {
    let refuse =
        |reason: String| Error::new(ErrorKind::Io, format!("plugin `{}` ({}): {reason}", bundle.manifest.name, bundle.library.display()));
    let bounds =
        Bounds { metering: metering(&terms.limits, kind), memory_mib: terms.limits.memory_mib, grants: terms.limits.grants.clone() };
    let program = programs.load(&bundle.library, &bundle.sha256, bounds.metering).map_err(refuse)?;
    if let Some(missing) = asked(bundle).find(|permission| !bounds.grants.contains(permission)) {
        return Err(refuse(format!(
            "asks for `{missing:?}`, which nobody granted it: run with `--grant {missing:?}`, or write `grants: [{missing:?}]` into the recipe's \
             `sandbox` or the component's `limits`, if you trust it with that"
        )));
    }
    let component = format!("{kind} `{}`", bundle.manifest.components.first().map_or(bundle.manifest.name.as_str(), |one| &one.name));
    let config = json::from_ron(config).map_err(|e| Error::new(ErrorKind::InvalidConfig, e))?;
    let environment = terms.environment.as_ref().map_or(Ok("{}".to_owned()), serde_json::to_string);
    let environment = environment.map_err(|e| Error::internal(format!("the environment's description is no JSON: {e}")))?;
    start(program, bounds, Setup { component, config: config.to_string(), environment, seed: services.seed })
}

/// The end of every call. What takes part in control is stopped by the count of its instructions, as in every other run; scores for training
/// have time enough that only one that hangs runs out of it, and are not slowed down by counting.
fn metering(limits: &Limits, kind: Kind) -> Metering {
    match (limits.fuel, limits.deadline_ms) {
        (_, Some(ms)) => Metering::Deadline(ms),
        (Some(fuel), None) => Metering::Fuel(fuel),
        (None, None) if kind == Kind::Reward => Metering::Deadline(REWARD_DEADLINE_MS),
        (None, None) => Metering::Fuel(FUEL),
    }
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
        let guest = start(&self.programs, (bundle, Kind::Filter), config, &services, terms, GuestFilter::start)?;
        FilterHandle::new(&component.name, Box::new(guest), environment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_an_end_of_one_kind() {
        let silent = Limits::default();
        assert_eq!(metering(&silent, Kind::Reward), Metering::Deadline(2000));
        for kind in [Kind::Env, Kind::Filter, Kind::Policy] {
            assert_eq!(metering(&silent, kind), Metering::Fuel(1_000_000_000));
        }
        let (fuel, clock) = (Limits { fuel: Some(5000), ..silent.clone() }, Limits { deadline_ms: Some(7), ..silent });
        for kind in [Kind::Reward, Kind::Filter] {
            assert_eq!((metering(&fuel, kind), metering(&clock, kind)), (Metering::Fuel(5000), Metering::Deadline(7)));
        }
    }
}
