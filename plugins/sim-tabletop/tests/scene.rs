//! The ingredients of the scene: gap parameters and the catalogue of objects.
// A test that cannot unwrap has failed.
#![allow(clippy::unwrap_used)]

use twinhost_sim_tabletop::gap::{Gap, GapOverride};
use twinhost_sim_tabletop::objects::{Shape, Split, catalogue};

#[test]
fn nan_and_out_of_range_values_are_refused_by_name() {
    let cases: [(GapOverride, &str); 5] = [
        (GapOverride { friction: Some(f64::NAN), ..Default::default() }, "gap.friction"),
        (GapOverride { mass: Some(0.0), ..Default::default() }, "gap.mass"),
        (GapOverride { table_rgb: Some([0.1, f64::NAN, 0.0]), ..Default::default() }, "gap.table_rgb"),
        (GapOverride { action_delay: Some(-1.0), ..Default::default() }, "gap.action_delay"),
        (GapOverride { camera_offset: Some([f64::INFINITY, 0.0, 0.0]), ..Default::default() }, "gap.camera_offset"),
    ];
    for (overrides, field) in cases {
        let e = Gap::neutral().with(&overrides).unwrap_err().to_string();
        assert!(e.contains(field), "{e}");
    }
}

#[test]
fn an_override_changes_that_field_only() {
    let changed = Gap::real().with(&GapOverride { friction: Some(0.9), ..Default::default() }).unwrap();
    assert_eq!(changed, Gap { friction: 0.9, ..Gap::real() });
}

#[test]
fn every_object_fits_the_gripper_and_its_bounding_box() {
    for object in catalogue() {
        assert!(object.half[1] <= 0.035, "{} is too wide to grasp", object.name);
        for p in &object.parts {
            let (radial, height) = match p.shape {
                Shape::Box => ([p.size[0], p.size[1]], p.size[2]),
                Shape::Cylinder => ([p.size[0]; 2], p.size[1]),
                Shape::Sphere => ([p.size[0]; 2], p.size[0]),
            };
            assert!(radial[0] <= object.half[0] + 1e-12 && radial[1] <= object.half[1] + 1e-12, "{}", object.name);
            assert!(p.z.abs() + height <= object.half[2] + 1e-12, "{}", object.name);
        }
        let lowest = object.parts.iter().map(|p| {
            p.z - if p.shape == Shape::Box {
                p.size[2]
            } else if p.shape == Shape::Sphere {
                p.size[0]
            } else {
                p.size[1]
            }
        });
        let lowest = lowest.fold(f64::INFINITY, f64::min);
        assert!((lowest + object.half[2]).abs() < 1e-12, "{} floats or sinks: {lowest}", object.name);
    }
}

#[test]
fn names_are_unique_and_splits_are_disjoint() {
    let all = catalogue();
    let mut names: Vec<_> = all.iter().map(|o| o.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len());
    assert!(all.iter().filter(|o| o.split == Split::Train).count() >= 10);
    assert!(all.iter().filter(|o| o.split == Split::OutOfDistribution).count() >= 6);
}
