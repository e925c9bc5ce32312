//! Open or close a drawer (ManiSkill's OpenCabinetDrawer; closing mirrors it).

use super::{Judgement, nearness};
use crate::measure::Measured;
use crate::scene::DRAWER_TRAVEL;

pub const FULL_REWARD: f64 = 5.0;
/// Share of the travel that counts as open, and the rest that counts as closed.
const ENOUGH: f64 = 0.9;
/// Largest drawer speed on success, m/s.
const STILL: f64 = 0.1;
/// Distance of the hand from the handle that ends the reaching subtask of closing, metres.
const NEAR: f64 = 0.07;

/// Success: the drawer is open by 90 % of its travel (closed: by at most 10 %) and slower than 0.1 m/s.
///
/// Dense reward, with `left` the share of the way still to go: reach + move, where reach = 1 - tanh(5 |tcp - handle|), or 2
/// as soon as the drawer has moved (left < 0.999); move = 2 (1 - left), or 3 when the drawer is far enough.
pub fn judge(m: &Measured, open: bool) -> Judgement {
    let (opening, speed) = m.drawer;
    let travelled = if open { opening } else { DRAWER_TRAVEL - opening };
    let left = (1.0 - travelled / (ENOUGH * DRAWER_TRAVEL)).clamp(0.0, 1.0);
    let enough = left <= 0.0;
    let to_handle = (m.tcp.translation.vector - m.thing.translation.vector).norm();
    let reach = if left < 0.999 { 2.0 } else { nearness(5.0, to_handle) };
    let moved = if enough { 3.0 } else { 2.0 * (1.0 - left) };
    let first_done = if open { m.grasped } else { to_handle < NEAR };
    Judgement { success: enough && speed.abs() <= STILL, dense: reach + moved, first_done }
}
