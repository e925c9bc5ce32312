//! Augmentation: what it changes, what it leaves alone, and that it repeats.

use tch::{Kind, Tensor};
use twinhost_plugin_torch::TorchPolicy;
use twinhost_policies::openvla::augmentation::Augmentation;

use super::episodes::{demonstrations, policy};

/// Rows of one pattern each, in 0..1, away from both ends.
fn images() -> Tensor {
    let x = Tensor::arange(16, (Kind::Float, tch::Device::Cpu)) / 40.0 + 0.3;
    let pattern = x.view([1, 1, 1, 16]) * Tensor::from_slice(&[1.0f32, 0.8, 0.6]).view([1, 3, 1, 1]) * (x.view([1, 1, 16, 1]) + 0.3);
    pattern.expand([3, 3, 16, 16], false).contiguous()
}

fn check_close(found: &Tensor, expected: &Tensor, tolerance: f64) {
    let error = (found - expected).abs().max().double_value(&[]);
    assert!(error < tolerance, "{error}");
}

#[test]
fn nothing_is_the_default() {
    assert!(Augmentation::default().images(&images(), 3).equal(&images()));
    assert!(Augmentation::default().centre(&images()).equal(&images()));
    let mut state = [0.25f32, -0.5];
    Augmentation::default().state(&mut state, 3);
    assert_eq!(state, [0.25, -0.5]);
}

#[test]
fn brightness_shifts_and_contrast_scales_each_image() {
    let (before, mean) = (images(), images().mean_dim([2i64, 3].as_slice(), true, Kind::Float));
    let shifted = Augmentation { brightness: 0.1, ..Augmentation::default() }.images(&before, 5) - &before;
    // One number per image. The colour matrix is the identity up to the four digits of the YIQ tables.
    let per_image = shifted.mean_dim([1i64, 2, 3].as_slice(), true, Kind::Float);
    check_close(&shifted, &per_image.expand_as(&shifted), 2e-3);
    assert!(per_image.abs().max().double_value(&[]) <= 0.1 + 2e-3);
    assert!((per_image.get(0) - per_image.get(1)).abs().max().double_value(&[]) > 1e-3, "rows draw for themselves");

    let scaled = Augmentation { contrast: 0.3, ..Augmentation::default() }.images(&before, 5);
    check_close(&scaled.mean_dim([2i64, 3].as_slice(), true, Kind::Float), &mean, 2e-3);
    let spread = |x: &Tensor| {
        (x - x.mean_dim([2i64, 3].as_slice(), true, Kind::Float))
            .square()
            .sum_dim_intlist([1i64, 2, 3].as_slice(), false, Kind::Float)
            .sqrt()
    };
    let factors = spread(&scaled) / spread(&before);
    assert!(factors.min().double_value(&[]) >= 0.69 && factors.max().double_value(&[]) <= 1.31, "{factors}");
}

#[test]
fn saturation_and_hue_leave_grey_alone() {
    let grey = images().narrow(1, 0, 1).expand([3, 3, 16, 16], false).contiguous();
    let colours = Augmentation { saturation: 1.0, hue: 0.5, ..Augmentation::default() };
    check_close(&colours.images(&grey, 7), &grey, 2e-3);
    let changed = (colours.images(&images(), 7) - images()).abs().max().double_value(&[]);
    assert!(changed > 0.02, "{changed}");
}

#[test]
fn a_crop_shows_a_window_of_its_area() {
    let cropping = Augmentation { crop: 0.81, ..Augmentation::default() };
    // A ramp keeps its slope times the window's side, 0.9, and the centre crop its middle value.
    let ramp = (Tensor::arange(16, (Kind::Float, tch::Device::Cpu)) / 16.0).view([1, 1, 1, 16]).expand([2, 3, 16, 16], false).contiguous();
    let centre = cropping.centre(&ramp);
    check_close(&centre.mean_dim([3i64].as_slice(), false, Kind::Float), &ramp.mean_dim([3i64].as_slice(), false, Kind::Float), 1e-5);
    let slope = |x: &Tensor| (x.narrow(3, 12, 1) - x.narrow(3, 3, 1)) / 9.0;
    check_close(&slope(&centre), &(slope(&ramp) * 0.9), 1e-5);
    let moved = cropping.images(&ramp, 4);
    check_close(&slope(&moved), &(slope(&ramp) * 0.9), 1e-5);
    let shift = (moved - centre).narrow(3, 8, 1).abs().max().double_value(&[]);
    // The window's centre moves by at most (1 - 0.9) / 2 of the image's width.
    assert!(shift > 1e-3 && shift <= 0.05 + 1e-6, "{shift}");
}

#[test]
fn a_batch_repeats_its_own_augmentation_and_no_other() {
    let mut augmented = policy("", 5);
    assert_eq!(loss(&mut augmented, 4), loss(&mut augmented, 4), "augmentation is switched off in the small policy");
    let mut one = varied();
    let mut two = varied();
    assert_eq!(loss(&mut one, 4), loss(&mut two, 4));
    assert_eq!(loss(&mut one, 4), loss(&mut two, 4), "no hidden state");
    assert_ne!(loss(&mut one, 4), loss(&mut augmented, 4));
    // Acting and scoring see plain images.
    let mut scored = demonstrations(4);
    scored.insert("action.tokens", twinhost_plugin_api::Tensor::from_vec(vec![100i64; 32], &[4, 2, 4]));
    assert!(one.evaluate(&scored).unwrap().log_prob.equal(&augmented.evaluate(&scored).unwrap().log_prob));
}

fn loss(policy: &mut twinhost_policies::Openvla, rows: usize) -> f64 {
    policy.sft_loss(&demonstrations(rows)).unwrap().double_value(&[])
}

fn varied() -> twinhost_policies::Openvla {
    use twinhost_plugin_api::{ComponentConfig, HostServices};
    let config = super::episodes::SMALL.replacen("augmentation: ()", "augmentation: (brightness: 0.2, hue: 0.05, state_noise: 0.05)", 1);
    let mut policy =
        twinhost_policies::Openvla::new(ComponentConfig::new(&config).parse().unwrap(), HostServices::standalone(1, 5)).unwrap();
    policy.set_statistics(&super::episodes::statistics(3, 4)).unwrap();
    policy
}

#[test]
fn settings_out_of_range_are_named() {
    let check = |augmentation: Augmentation, field: &str| {
        let e = augmentation.validate().unwrap_err();
        assert_eq!(e.field.as_ref().map(|f| f.as_str()).unwrap_or(""), field, "{e}");
    };
    check(Augmentation { crop: 0.0, ..Augmentation::default() }, "augmentation.crop");
    check(Augmentation { hue: f64::NAN, ..Augmentation::default() }, "augmentation.hue");
    check(Augmentation { state_noise: -0.1, ..Augmentation::default() }, "augmentation.state_noise");
}
