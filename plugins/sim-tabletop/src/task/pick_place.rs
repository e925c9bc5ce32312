//! Pick an object up and put it into the tray (RL-Co's digital-twin task).

use super::{Judgement, Progress, nearness};
use crate::measure::Measured;
use crate::objects::Object;
use crate::scene::TRAY_HALF;

pub const FULL_REWARD: f64 = 5.0;
/// Slack around the tray and largest height over it, metres.
const MARGIN: f64 = 0.01;
const MAX_HEIGHT: f64 = 0.05;
/// Least force with which the tray carries the object, newtons.
const SUPPORT_FORCE: f64 = 0.03;
/// Height of the object's underside over the table that counts as lifted, metres.
const LIFTED: f64 = 0.03;

/// Success: the object lies over the tray (half its size plus 1 cm in x and y, less than 5 cm in z), the tray carries it with more
/// than 0.03 N, and the gripper has let go of it. The published task does not ask for the last; without it an arm that holds
/// the object down would count.
///
/// Dense reward: 1 - tanh(10 |tcp - object|) + grasp + grasp (1 - tanh(10 |object - tray|_xy)).
pub fn judge(m: &Measured, object: &Object) -> Judgement {
    let local = m.place.inverse() * m.thing;
    let offset = local.translation.vector;
    let over = offset.x.abs() <= TRAY_HALF + MARGIN && offset.y.abs() <= TRAY_HALF + MARGIN && offset.z.abs() < MAX_HEIGHT;
    let success = over && m.support_force > SUPPORT_FORCE && m.finger_force < SUPPORT_FORCE;
    let grasp = f64::from(u8::from(m.grasped));
    let to_object = (m.tcp.translation.vector - m.thing.translation.vector).norm();
    let dense = nearness(10.0, to_object) + grasp + grasp * nearness(10.0, offset.xy().norm());
    let lifted = m.thing.translation.z - object.half[2] > LIFTED;
    Judgement { success, dense, first_done: m.grasped && lifted }
}

/// +1 for the first grasp, +5 for the first success, -2 once when success is lost; divided by 5.
pub fn sparse(success: bool, grasped: bool, before: &Progress) -> f64 {
    let mut events = 0.0;
    if grasped && !before.grasped_once {
        events += 1.0;
    }
    if success && !before.succeeded_once {
        events += 5.0;
    }
    if !success && before.succeeded_once && !before.lost_once {
        events -= 2.0;
    }
    events / FULL_REWARD
}
