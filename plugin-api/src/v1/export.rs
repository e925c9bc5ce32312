//! The export macro: everything a plugin library needs besides its components.

/// Exports components, once per library; every list may be left out:
///
/// ```text
/// twinhost_plugin_api::export_plugin! {
///     manifest: "../plugin.ron",
///     envs: { "tabletop" => Tabletop::create },
///     policies: { "tabletop_expert" => Expert::create },
/// }
/// ```
///
/// A constructor is `fn(ComponentConfig<'_>, HostServices) -> Result<impl Kind>`; an algorithm's takes the policy's
/// [`DifferentiableBox`](crate::v1::policy::DifferentiableBox) as third argument. Every constructor and method runs
/// under `catch_unwind`. The manifest and an ABI stamp are stored in ELF sections that the host reads before loading.
#[macro_export]
macro_rules! export_plugin {
    (
        manifest: $manifest:literal
        $(, envs: { $($env:literal => $env_create:expr),* $(,)? })?
        $(, robots: { $($robot:literal => $robot_create:expr),* $(,)? })?
        $(, cameras: { $($camera:literal => $camera_create:expr),* $(,)? })?
        $(, teleops: { $($teleop:literal => $teleop_create:expr),* $(,)? })?
        $(, rewards: { $($reward:literal => $reward_create:expr),* $(,)? })?
        $(, policies: { $($policy:literal => $policy_create:expr),* $(,)? })?
        $(, algorithms: { $($algorithm:literal => $algorithm_create:expr),* $(,)? })?
        $(,)?
    ) => {
        const _: () = {
            use $crate::v1::{self, guard::guard, module};
            use $crate::v1::module::exports::{self, RResult, RStr};

            const MANIFEST: &str = include_str!($manifest);
            #[used]
            #[unsafe(link_section = ".twinhost.manifest")]
            static MANIFEST_BYTES: [u8; MANIFEST.len()] = module::section_bytes(MANIFEST);
            #[used]
            #[unsafe(link_section = ".twinhost.stamp")]
            static STAMP_BYTES: [u8; module::STAMP.len()] = module::section_bytes(module::STAMP);

            $crate::__constructor!(create_env, env, "environment", v1::env::EnvBox, $($($env => $env_create),*)?);
            $crate::__constructor!(create_robot, robot, "robot", v1::robot::RobotBox, $($($robot => $robot_create),*)?);
            $crate::__constructor!(create_camera, camera, "camera", v1::camera::CameraBox, $($($camera => $camera_create),*)?);
            $crate::__constructor!(create_teleop, teleop, "teleop", v1::teleop::TeleopBox, $($($teleop => $teleop_create),*)?);
            $crate::__constructor!(create_reward, reward, "reward", v1::reward::RewardBox, $($($reward => $reward_create),*)?);
            $crate::__constructor!(create_policy, policy, "policy", v1::policy::PolicyBox, $($($policy => $policy_create),*)?);

            extern "C" fn create_algorithm(
                name: RStr<'_>,
                config: RStr<'_>,
                services: v1::HostServices,
                policy: v1::policy::DifferentiableBox,
            ) -> RResult<v1::algorithm::AlgorithmBox, v1::Error> {
                let _ = (&config, &services, &policy);
                match name.as_str() {
                    $($($algorithm => guard(|| {
                        ($algorithm_create)(v1::ComponentConfig::new(config.as_str()), services, policy).map(v1::algorithm::boxed)
                    }),)*)?
                    other => module::no_such_component("algorithm", other, &[$($($algorithm),*)?]),
                }
            }

            fn module() -> module::PluginModuleRef {
                module::PluginModule {
                    create_env,
                    create_robot,
                    create_camera,
                    create_teleop,
                    create_reward,
                    create_policy,
                    create_algorithm,
                }
                .into_ref()
            }

            extern "C" fn root_module() -> exports::RootModuleResult {
                exports::call_root_module_loader(module)
            }

            // The name and type that `abi_stable` looks up; written out here so that a plugin crate needs no dependency on it.
            #[unsafe(export_name = "_1as_0lib_1header_0root_bmodule_bloader")]
            static HEADER: exports::LibHeader = {
                // SAFETY: `root_module` returns the module type it is declared with.
                unsafe { exports::LibHeader::from_constructor::<exports::Constructed>(root_module, exports::CheckTypeLayout::Yes) }
            };
        };
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __constructor {
    ($function:ident, $kind:ident, $word:literal, $boxed:ty, $($name:literal => $create:expr),*) => {
        extern "C" fn $function(
            name: $crate::v1::module::exports::RStr<'_>,
            config: $crate::v1::module::exports::RStr<'_>,
            services: $crate::v1::HostServices,
        ) -> $crate::v1::module::exports::RResult<$boxed, $crate::v1::Error> {
            let _ = (&config, &services);
            match name.as_str() {
                $($name => $crate::v1::guard::guard(|| {
                    ($create)($crate::v1::ComponentConfig::new(config.as_str()), services).map($crate::v1::$kind::boxed)
                }),)*
                other => $crate::v1::module::no_such_component($word, other, &[$($name),*]),
            }
        }
    };
}
