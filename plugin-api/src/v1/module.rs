//! What a plugin library exports: one root module with a constructor per component kind, and a stamp that can be read
//! from the file without loading it.

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RResult, RStr};

use super::algorithm::AlgorithmBox;
use super::camera::CameraBox;
use super::env::EnvBox;
use super::error::{Error, ErrorKind};
use super::policy::{DifferentiableBox, PolicyBox};
use super::reward::RewardBox;
use super::robot::RobotBox;
use super::services::HostServices;
use super::teleop::TeleopBox;

/// Version of this interface; a host refuses plugins stamped with another one.
pub const API_VERSION: u32 = 1;

/// ELF section with the stamp: a line `twinhost-plugin api=1 sdk=0.1.0 abi_stable=0.11`.
pub const STAMP_SECTION: &str = ".twinhost.stamp";
/// ELF section with the text of `plugin.ron`.
pub const MANIFEST_SECTION: &str = ".twinhost.manifest";
/// The stamp this SDK puts into plugins.
pub const STAMP: &str = concat!("twinhost-plugin api=1 sdk=", env!("CARGO_PKG_VERSION"), " abi_stable=0.11");

#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = PluginModuleRef)))]
#[sabi(missing_field(panic))]
pub struct PluginModule {
    pub create_env: extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices) -> RResult<EnvBox, Error>,
    pub create_robot: extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices) -> RResult<RobotBox, Error>,
    pub create_camera: extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices) -> RResult<CameraBox, Error>,
    pub create_teleop: extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices) -> RResult<TeleopBox, Error>,
    pub create_reward: extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices) -> RResult<RewardBox, Error>,
    pub create_policy: extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices) -> RResult<PolicyBox, Error>,
    #[sabi(last_prefix_field)]
    pub create_algorithm:
        extern "C" fn(name: RStr<'_>, config: RStr<'_>, services: HostServices, policy: DifferentiableBox) -> RResult<AlgorithmBox, Error>,
}

impl RootModule for PluginModuleRef {
    abi_stable::declare_root_module_statics! {PluginModuleRef}
    const BASE_NAME: &'static str = "twinhost_plugin";
    const NAME: &'static str = "twinhost_plugin";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

impl PluginModule {
    /// Leaks the module, as libraries are never unloaded.
    pub fn into_ref(self) -> PluginModuleRef {
        use abi_stable::prefix_type::PrefixTypeTrait;
        self.leak_into_prefix()
    }
}

/// What the export macro needs of `abi_stable`, so that plugin crates do not depend on it.
#[doc(hidden)]
pub mod exports {
    pub use abi_stable::library::{__call_root_module_loader as call_root_module_loader, CheckTypeLayout, LibHeader, RootModuleResult};
    pub use abi_stable::std_types::{RResult, RStr};
    pub type Constructed = super::PluginModuleRef;
}

/// The answer of a library asked for a component it does not have.
pub fn no_such_component<T>(kind: &str, name: &str, known: &[&str]) -> RResult<T, Error> {
    let known = if known.is_empty() { "none".to_string() } else { known.join(", ") };
    RResult::RErr(Error::new(ErrorKind::Unsupported, format!("this plugin has no {kind} named `{name}` (it has: {known})")))
}

/// Copies a text into the fixed-size array that a link section needs.
pub const fn section_bytes<const N: usize>(text: &str) -> [u8; N] {
    let bytes = text.as_bytes();
    let mut out = [0u8; N];
    let mut i = 0;
    while i < N {
        out[i] = bytes[i];
        i += 1;
    }
    out
}
