//! What a camera cannot see need not be drawn: on a CPU an arm outside the picture costs as much as one in it.
//!
//! MuJoCo hides geoms by group, so the arm's links are spread over groups, and a group whose every geom lies outside the camera's
//! view is switched off. Bounding spheres decide, so the image never changes.

use mujoco_rs::prelude::MjvOption;

use crate::measure::Data;

/// Groups that may be switched off; group 0 is always drawn.
pub const LINK_GROUPS: std::ops::Range<usize> = 1..5;

/// The group of an arm link's shell (0 is the base).
pub fn link_group(link: usize) -> usize {
    match link {
        1 | 2 => 1,
        3 | 4 => 2,
        5 => 3,
        6 => 4,
        _ => 0,
    }
}

/// True if a sphere lies wholly outside the view; `local` is its centre in the camera's frame (x right, y up, -z ahead).
fn outside(local: [f64; 3], radius: f64, tangents: [f64; 2]) -> bool {
    let depth = -local[2];
    // Distance from the side planes, which pass through the eye: positive is outside.
    depth < -radius || (0..2).any(|i| (local[i].abs() - depth * tangents[i]) / (1.0 + tangents[i] * tangents[i]).sqrt() > radius)
}

/// Draws the link groups that the camera may see and no others. Positions in `data` must be current.
pub fn cull(data: &Data, camera: usize, width: usize, height: usize, options: &mut MjvOption) {
    let model = data.model();
    let vertical = (model.cam_fovy()[camera].to_radians() / 2.0).tan();
    let tangents = [vertical * width as f64 / height as f64, vertical];
    let (eye, axes) = (data.cam_xpos()[camera], data.cam_xmat()[camera]);
    options.geomgroup.fill(0);
    options.geomgroup[0] = 1;
    for (geom, group) in model.geom_group().iter().enumerate() {
        let group = *group as usize;
        if !LINK_GROUPS.contains(&group) {
            continue;
        }
        let offset: [f64; 3] = std::array::from_fn(|i| data.geom_xpos()[geom][i] - eye[i]);
        let local = std::array::from_fn(|axis| (0..3).map(|i| offset[i] * axes[3 * i + axis]).sum());
        if !outside(local, model.geom_rbound()[geom], tangents) {
            options.geomgroup[group] = 1;
        }
    }
}
