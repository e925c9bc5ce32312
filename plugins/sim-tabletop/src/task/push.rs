//! Push a cube onto a target disc (ManiSkill's PushCube-v1).

use super::{Judgement, nearness};
use crate::measure::Measured;
use crate::objects::Object;
use crate::scene::GOAL_RADIUS;

pub const FULL_REWARD: f64 = 4.0;
/// Gap between the cube and the point to push from, metres.
const PUSH_GAP: f64 = 0.005;
const REACHED: f64 = 0.01;
/// Distance from the push point at which the reaching subtask ends, metres.
const NEAR: f64 = 0.03;

/// Success: the cube's centre is over the disc and the cube lies flat.
///
/// Dense reward: (1 - tanh(5 |tcp - p|)) + reached (1 - tanh(5 d_xy)) (1 + (1 - tanh(5 |z - half|))) with the push point
/// p = cube - (half + 5 mm) in x and reached = |tcp - p| < 1 cm.
pub fn judge(m: &Measured, object: &Object) -> Judgement {
    let cube = m.thing.translation.vector;
    let half = object.half[2];
    let distance = (cube - m.place.translation.vector).xy().norm();
    let success = distance < GOAL_RADIUS && cube.z < half + 0.005;
    let mut push_point = cube;
    push_point.x -= half + PUSH_GAP;
    let to_point = (m.tcp.translation.vector - push_point).norm();
    let mut dense = nearness(5.0, to_point);
    if to_point < REACHED {
        dense += nearness(5.0, distance) * (1.0 + nearness(5.0, (cube.z - half).abs()));
    }
    Judgement { success, dense, first_done: to_point < NEAR }
}
