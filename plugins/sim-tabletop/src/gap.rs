//! The gap between the twins: every parameter in which the stand-in for the real cell differs from the simulated one.
//!
//! The simulated twin uses the neutral values, the stand-in those of [`Gap::real`]; a recipe may override each of them.

use serde::Deserialize;
use twinhost_plugin_api::{Error, Result};

/// Declares [`Gap`] with its neutral and its real values, and [`GapOverride`], where every field is optional.
macro_rules! gap {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $neutral:expr => $real:expr, $check:expr;)*) => {
        /// One twin's appearance, dynamics, timing and sensing.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Gap { $($(#[$doc])* pub $name: $type,)* }

        /// The fields of [`Gap`] that a configuration replaces.
        #[derive(Clone, Debug, Default, Deserialize, PartialEq)]
        #[serde(default, deny_unknown_fields)]
        pub struct GapOverride { $(pub $name: Option<$type>,)* }

        impl Gap {
            /// No gap: the simulated twin.
            pub fn neutral() -> Self {
                Self { $($name: $neutral,)* }
            }

            /// The stand-in for the real cell.
            pub fn real() -> Self {
                Self { $($name: $real,)* }
            }

            /// # Errors
            /// If a value is not finite or out of range; the field is named `gap.<name>`.
            pub fn with(mut self, overrides: &GapOverride) -> Result<Self> {
                $(if let Some(value) = overrides.$name {
                    let check: fn($type) -> Option<&'static str> = $check;
                    if let Some(rule) = check(value) {
                        return Err(Error::config(concat!("gap.", stringify!($name)), format!("must be {rule}, got {value:?}")));
                    }
                    self.$name = value;
                })*
                Ok(self)
            }
        }
    };
}

fn colour(value: [f64; 3]) -> Option<&'static str> {
    (!value.iter().all(|v| (0.0..=1.0).contains(v))).then_some("three numbers from 0 to 1")
}
fn scale(value: f64) -> Option<&'static str> {
    (!(0.05..=20.0).contains(&value)).then_some("a factor from 0.05 to 20")
}
fn channel_gain(value: [f64; 3]) -> Option<&'static str> {
    (!value.iter().all(|v| (0.1..=3.0).contains(v))).then_some("three factors from 0.1 to 3")
}
fn offset(value: [f64; 3]) -> Option<&'static str> {
    (!value.iter().all(|v| v.abs() <= 0.5)).then_some("three lengths of at most 0.5 m")
}
fn tilt(value: [f64; 3]) -> Option<&'static str> {
    (!value.iter().all(|v| v.abs() <= 45.0)).then_some("three angles of at most 45 degrees")
}
fn noise(value: f64) -> Option<&'static str> {
    (!(0.0..=0.2).contains(&value)).then_some("a standard deviation from 0 to 0.2")
}

gap! {
    /// Main colour of the table top.
    table_rgb: [f64; 3] = [0.62, 0.58, 0.52] => [0.33, 0.28, 0.25], colour;
    /// Contrast of the table's texture: 0 is a plain surface, 1 a strong pattern.
    table_pattern: f64 = 0.0 => 0.25, |v| (!(0.0..=1.0).contains(&v)).then_some("a contrast from 0 to 1");
    /// Colour of everything behind the table.
    background_rgb: [f64; 3] = [0.75, 0.82, 0.90] => [0.20, 0.22, 0.20], colour;
    /// Colour of the arm's shells.
    robot_rgb: [f64; 3] = [0.92, 0.92, 0.92] => [0.80, 0.79, 0.74], colour;
    /// Colour of hand and fingers.
    hand_rgb: [f64; 3] = [0.25, 0.25, 0.28] => [0.12, 0.12, 0.12], colour;
    /// Colour of the tray.
    tray_rgb: [f64; 3] = [0.97, 0.97, 0.97] => [0.85, 0.84, 0.78], colour;
    /// Strength with which object colours are pulled towards grey.
    fading: f64 = 0.0 => 0.25, |v| (!(0.0..=0.9).contains(&v)).then_some("a share from 0 to 0.9");
    /// Where the lamp stands, metres.
    light_position: [f64; 3] = [0.4, -0.4, 1.6] => [-0.3, 1.0, 1.0], |v| (!v.iter().all(|c| c.abs() <= 10.0)).then_some("three lengths of at most 10 m");
    /// Brightness of the lamp.
    light_diffuse: f64 = 0.45 => 0.60, |v| (!(0.0..=2.0).contains(&v)).then_some("a brightness from 0 to 2");
    /// Brightness without the lamp.
    light_ambient: f64 = 0.45 => 0.32, |v| (!(0.0..=2.0).contains(&v)).then_some("a brightness from 0 to 2");
    /// Camera gain per colour channel (exposure and white balance).
    white_balance: [f64; 3] = [1.0, 1.0, 1.0] => [1.08, 1.0, 0.86], channel_gain;
    /// Camera: factor on the distance of every pixel from mid-grey.
    contrast: f64 = 1.0 => 1.0, |v| (!(0.1..=3.0).contains(&v)).then_some("a factor from 0.1 to 3");
    /// Camera: added to every pixel, as a share of full scale.
    brightness: f64 = 0.0 => 0.0, |v| (!(-0.5..=0.5).contains(&v)).then_some("a share from -0.5 to 0.5");
    /// Camera: factor on the distance of every pixel from its own grey.
    saturation: f64 = 1.0 => 1.0, |v| (!(0.0..=3.0).contains(&v)).then_some("a factor from 0 to 3");
    /// Camera: turn of the colour circle, in parts of it.
    hue: f64 = 0.0 => 0.0, |v| (!(-0.5..=0.5).contains(&v)).then_some("a part from -0.5 to 0.5");
    /// Displacement of the base camera in its own frame (right, up, back), metres.
    camera_offset: [f64; 3] = [0.0, 0.0, 0.0] => [0.03, -0.02, 0.03], offset;
    /// Rotation of the base camera about its own axes (pitch, yaw, roll), degrees.
    camera_tilt: [f64; 3] = [0.0, 0.0, 0.0] => [1.0, 1.5, -1.5], tilt;
    /// Displacement of the wrist camera on the hand, in its own frame (right, up, back), metres.
    wrist_offset: [f64; 3] = [0.0, 0.0, 0.0] => [0.0, 0.0, 0.0], offset;
    /// Rotation of the wrist camera about its own axes (pitch, yaw, roll), degrees.
    wrist_tilt: [f64; 3] = [0.0, 0.0, 0.0] => [2.0, 3.0, -3.0], tilt;
    /// Factor on every friction coefficient.
    friction: f64 = 1.0 => 0.65, scale;
    /// Factor on the masses of objects and on the drawer's inertia.
    mass: f64 = 1.0 => 1.6, scale;
    /// Factor on the drawer's own friction.
    drawer_friction: f64 = 1.0 => 1.8, scale;
    /// Factor on the stiffness of the arm's position controllers.
    stiffness: f64 = 1.0 => 0.75, scale;
    /// Factor on the damping of the arm's position controllers.
    damping: f64 = 1.0 => 1.0, scale;
    /// Time between a command and its effect, in control steps.
    action_delay: f64 = 0.0 => 0.4, |v| (!(0.0..=5.0).contains(&v)).then_some("a delay from 0 to 5 control steps");
    /// Constant error of the reported end-effector position, metres.
    calibration_offset: [f64; 3] = [0.0, 0.0, 0.0] => [0.004, -0.005, 0.003], offset;
    /// Standard deviation of the reported end-effector position, metres.
    position_noise: f64 = 0.0 => 0.001, noise;
    /// Standard deviation of the reported end-effector rotation, radians.
    rotation_noise: f64 = 0.0 => 0.005, noise;
    /// Standard deviation of the reported finger positions, metres.
    gripper_noise: f64 = 0.0 => 0.0003, noise;
    /// Standard deviation of every pixel value, as a share of full scale.
    pixel_noise: f64 = 0.0 => 0.015, noise;
}
