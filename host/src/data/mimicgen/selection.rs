//! Which demonstration a subtask is taken from.

use rand::RngCore;

use super::pose::{Pose, distance, transfer};
use super::source::SourceDemo;
use crate::data::draws;
use crate::recipe::{Selection, Strategy};

/// Weights of position (m) and angle (rad) in every distance.
const WEIGHTS: (f64, f64) = (1.0, 1.0);

/// The present situation of an attempt.
pub struct Situation<'a> {
    pub eef: &'a Pose,
    /// The subtask's object, `None` for a segment in the world frame.
    pub object: Option<(usize, &'a Pose)>,
    /// First step of the subtask in every demonstration.
    pub starts: &'a [usize],
    /// The segment begins at the demonstrated end-effector pose, not at the first goal.
    pub from_eef: bool,
}

/// Index of the chosen demonstration.
pub fn select(demos: &[SourceDemo], selection: &Selection, now: &Situation<'_>, random: &mut impl RngCore) -> usize {
    let costs: Option<Vec<f64>> = match selection.strategy {
        Strategy::Random => None,
        Strategy::NearestNeighborObject => now.object.map(|(k, object)| {
            let cost = |(demo, &start): (&SourceDemo, &usize)| distance(&demo.objects[start][k], object, WEIGHTS);
            demos.iter().zip(now.starts).map(cost).collect()
        }),
        Strategy::NearestNeighborRobotDistance => {
            let cost = |(demo, &start): (&SourceDemo, &usize)| {
                let first = if now.from_eef { demo.eef[start] } else { demo.goals[start] };
                let moved = now.object.map_or(first, |(k, object)| transfer(&[first], &demo.objects[start][k], object)[0]);
                distance(&moved, now.eef, WEIGHTS)
            };
            Some(demos.iter().zip(now.starts).map(cost).collect())
        }
    };
    let mut order: Vec<usize> = (0..demos.len()).collect();
    if let Some(costs) = costs {
        order.sort_by(|&a, &b| costs[a].total_cmp(&costs[b]));
        order.truncate(selection.k);
    }
    order[draws::below(random.next_u64(), order.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use std::collections::BTreeSet;

    /// Demonstration i: object at x = i, end effector 0.2 to the left of it except in demonstration 3, where it is 5 above.
    fn demos() -> Vec<SourceDemo> {
        let demo = |i: usize| {
            let object = Pose::translation(i as f64, 0.0, 0.0);
            let eef = object * if i == 3 { Pose::translation(0.0, 0.0, 5.0) } else { Pose::translation(-0.2, 0.0, 0.0) };
            SourceDemo {
                episode: i,
                eef: vec![eef],
                goals: vec![eef],
                grippers: vec![vec![1.0]],
                objects: vec![vec![object]],
                ends: vec![1],
                offsets: vec![(0, 0)],
            }
        };
        (0..6).map(demo).collect()
    }

    fn chosen(strategy: Strategy, object_x: f64, eef: Pose) -> BTreeSet<usize> {
        let (demos, object) = (demos(), Pose::translation(object_x, 0.0, 0.0));
        let selection = Selection { strategy, k: 3 };
        let now = Situation { eef: &eef, object: Some((0, &object)), starts: &[0; 6], from_eef: true };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        (0..200).map(|_| select(&demos, &selection, &now, &mut random)).collect()
    }

    #[test]
    fn each_strategy_picks_among_its_best_three() {
        let far = Pose::translation(40.0, 0.0, 5.0);
        assert_eq!(chosen(Strategy::Random, 4.9, far).len(), 6);
        assert_eq!(chosen(Strategy::NearestNeighborObject, 4.9, far), BTreeSet::from([3, 4, 5]));
        // Transferred to the object at 40, only demonstration 3 begins near the end effector, which hovers 5 above it; the other two places
        // go to the first of equals.
        assert_eq!(chosen(Strategy::NearestNeighborRobotDistance, 40.0, far), BTreeSet::from([0, 1, 3]));
    }
}
