//! Success predicates and rewards, each expected number derived beside it from the published formula.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use nalgebra::{Isometry3, Translation3};
use twinhost_sim_tabletop::config::{RewardMode, TaskKind};
use twinhost_sim_tabletop::kinematics::pointing_down;
use twinhost_sim_tabletop::measure::Measured;
use twinhost_sim_tabletop::objects::{Object, catalogue};
use twinhost_sim_tabletop::scene::{DRAWER_TRAVEL, TRAY_HALF};
use twinhost_sim_tabletop::task::{Progress, Verdict, judge};

fn at(x: f64, y: f64, z: f64) -> Isometry3<f64> {
    Isometry3::translation(x, y, z)
}

fn cube() -> Object {
    catalogue().into_iter().find(|o| o.name == "red cube").unwrap()
}

/// An object far from hand and tray, nothing touched.
fn idle() -> Measured {
    Measured {
        tcp: Isometry3::from_parts(Translation3::new(0.0, 0.0, 0.2), pointing_down()),
        thing: at(-0.1, -0.2, 0.021),
        place: at(-0.15, 0.06, 0.0),
        grasped: false,
        finger_force: 0.0,
        support_force: 0.0,
        drawer: (0.0, 0.0),
        fingers: [0.04, 0.04],
    }
}

fn dense(task: TaskKind, measured: &Measured) -> Verdict {
    judge(task, RewardMode::Dense, measured, &cube(), &mut Progress::default())
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

#[test]
fn pick_place_succeeds_only_in_the_tray_carried_and_released() {
    let placed = Measured { thing: at(-0.15, 0.06, 0.025), support_force: 0.5, ..idle() };
    assert!(dense(TaskKind::PickPlace, &placed).success);
    let edge = TRAY_HALF + 0.01;
    for (what, measured, expected) in [
        ("just inside the margin", Measured { thing: at(-0.15 + edge - 1e-6, 0.06, 0.025), ..placed.clone() }, true),
        ("just outside in x", Measured { thing: at(-0.15 + edge + 1e-6, 0.06, 0.025), ..placed.clone() }, false),
        ("just outside in y", Measured { thing: at(-0.15, 0.06 - edge - 1e-6, 0.025), ..placed.clone() }, false),
        ("too high", Measured { thing: at(-0.15, 0.06, 0.0501), ..placed.clone() }, false),
        ("not carried by the tray", Measured { support_force: 0.029, ..placed.clone() }, false),
        ("still held", Measured { finger_force: 1.0, ..placed.clone() }, false),
    ] {
        assert_eq!(dense(TaskKind::PickPlace, &measured).success, expected, "{what}");
    }
}

#[test]
fn pick_place_dense_reward_follows_the_formula() {
    // 3-4-5: the hand is 0.05 m from the object; the object is 0.2 m from the tray in the plane.
    let m = Measured { thing: at(-0.15, 0.26, 0.3), tcp: at(-0.12, 0.26, 0.34), ..idle() };
    close(dense(TaskKind::PickPlace, &m).reward, 1.0 - 0.5f64.tanh());
    let held = Measured { grasped: true, finger_force: 10.0, ..m };
    close(dense(TaskKind::PickPlace, &held).reward, (1.0 - 0.5f64.tanh()) + 1.0 + (1.0 - 2.0f64.tanh()));
    let placed = Measured { thing: at(-0.15, 0.06, 0.025), support_force: 0.5, ..idle() };
    close(dense(TaskKind::PickPlace, &placed).reward, 5.0);
    let normalized = judge(TaskKind::PickPlace, RewardMode::NormalizedDense, &placed, &cube(), &mut Progress::default());
    close(normalized.reward, 1.0);
}

/// +1 for the first grasp, +5 for the first success, -2 once when it is lost, all divided by 5.
#[test]
fn pick_place_sparse_reward_counts_each_event_once() {
    let held = Measured { grasped: true, finger_force: 10.0, ..idle() };
    let placed = Measured { thing: at(-0.15, 0.06, 0.025), support_force: 0.5, ..idle() };
    let mut progress = Progress::default();
    let story = [&idle(), &held, &held, &placed, &placed, &idle(), &placed, &idle()];
    let rewards = story.map(|m| judge(TaskKind::PickPlace, RewardMode::Sparse, m, &cube(), &mut progress).reward);
    assert_eq!(rewards, [0.0, 0.2, 0.0, 1.0, 0.0, -0.4, 0.0, 0.0]);
    assert!(progress.succeeded_once && progress.lost_once);
}

/// Events as in the sparse reward, and the change of the normalised dense reward, so that the shaping of a whole episode is its last value
/// less its first one, whatever lies between.
#[test]
fn shaped_reward_adds_what_the_dense_one_gained() {
    let near = Measured { thing: at(-0.15, 0.26, 0.3), tcp: at(-0.12, 0.26, 0.34), ..idle() };
    let held = Measured { grasped: true, finger_force: 10.0, ..near.clone() };
    let placed = Measured { thing: at(-0.15, 0.06, 0.025), support_force: 0.5, ..idle() };
    let mut progress = Progress::default();
    let story = [&near, &held, &held, &near, &placed];
    let rewards = story.map(|m| judge(TaskKind::PickPlace, RewardMode::Shaped, m, &cube(), &mut progress).reward);
    let (reached, carried) = (1.0 - 0.5f64.tanh(), (1.0 - 0.5f64.tanh()) + 1.0 + (1.0 - 2.0f64.tanh()));
    let expected = [0.0, 0.2 + (carried - reached) / 5.0, 0.0, (reached - carried) / 5.0, 1.0 + (5.0 - reached) / 5.0];
    for (reward, expected) in rewards.into_iter().zip(expected) {
        close(reward, expected);
    }
}

#[test]
fn lifting_ends_the_grasp_subtask() {
    let mut progress = Progress::default();
    let on_table = Measured { grasped: true, finger_force: 10.0, ..idle() };
    judge(TaskKind::PickPlace, RewardMode::Sparse, &on_table, &cube(), &mut progress);
    assert!(!progress.first_done);
    let lifted = Measured { thing: at(-0.1, -0.2, 0.021 + 0.031), ..on_table };
    judge(TaskKind::PickPlace, RewardMode::Sparse, &lifted, &cube(), &mut progress);
    assert!(progress.first_done);
}

#[test]
fn push_follows_the_formula() {
    let half = cube().half[2];
    let goal = at(0.1, 0.0, 0.0);
    // The hand is exactly at the push point, the cube 0.15 m from the target's centre and flat on the table.
    let m = Measured { thing: at(-0.05, 0.0, half), place: goal, tcp: at(-0.05 - half - 0.005, 0.0, half), ..idle() };
    let verdict = dense(TaskKind::PushCube, &m);
    close(verdict.reward, 1.0 + (1.0 - 0.75f64.tanh()) * 2.0);
    assert!(!verdict.success);
    // 0.3 m away from the push point: only the reaching term.
    let far = Measured { tcp: at(-0.05 - half - 0.005, 0.3, half), ..m.clone() };
    close(dense(TaskKind::PushCube, &far).reward, 1.0 - 1.5f64.tanh());
    for (x, z, expected) in [(0.0 + 1e-6, half, true), (0.0 - 1e-6, half, false), (0.1, half + 0.0049, true), (0.1, half + 0.0051, false)] {
        let verdict = dense(TaskKind::PushCube, &Measured { thing: at(x, 0.0, z), ..m.clone() });
        assert_eq!(verdict.success, expected, "x {x} z {z}");
        assert!(!expected || verdict.reward == 4.0);
    }
    let sparse =
        judge(TaskKind::PushCube, RewardMode::Sparse, &Measured { thing: at(0.1, 0.0, half), ..m }, &cube(), &mut Progress::default());
    close(sparse.reward, 1.0);
}

#[test]
fn drawers_follow_the_formula_in_both_directions() {
    let enough = 0.9 * DRAWER_TRAVEL;
    let m = |opening: f64, speed: f64| Measured { thing: at(0.0, 0.0, 0.1), tcp: at(0.0, 0.0, 0.3), drawer: (opening, speed), ..idle() };
    // Untouched: 1 - tanh(5 * 0.2) for reaching, nothing moved.
    close(dense(TaskKind::OpenDrawer, &m(0.0, 0.0)).reward, 1.0 - 1.0f64.tanh());
    close(dense(TaskKind::CloseDrawer, &m(DRAWER_TRAVEL, 0.0)).reward, 1.0 - 1.0f64.tanh());
    // Half of what is needed: reaching counts 2, moving 2 * 0.5.
    close(dense(TaskKind::OpenDrawer, &m(0.5 * enough, 0.0)).reward, 3.0);
    close(dense(TaskKind::CloseDrawer, &m(DRAWER_TRAVEL - 0.5 * enough, 0.0)).reward, 3.0);
    for (task, far, short) in [
        (TaskKind::OpenDrawer, enough + 1e-9, enough - 1e-6),
        (TaskKind::CloseDrawer, DRAWER_TRAVEL - enough - 1e-9, DRAWER_TRAVEL - enough + 1e-6),
    ] {
        assert!(dense(task, &m(far, 0.05)).success);
        assert!(!dense(task, &m(far, 0.11)).success, "still moving");
        assert!(!dense(task, &m(short, 0.0)).success);
        close(dense(task, &m(far, 0.0)).reward, 5.0);
    }
}
