//! Contact sheets of expert episodes on both twins, for looking at: `cargo run --example tabletop_shots -- FOLDER`.
//!
//! Per task one PNG: a row of 64-pixel observations (enlarged) and a row of film frames for each twin.

use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};
use std::path::Path;
use twinhost_plugin_api::{ActMode, ActRequest, ComponentConfig, Env, Error, HostServices, Policy, ResetRequest, Result, Tensor, names};
use twinhost_sim_tabletop::{Expert, Tabletop};

const TILE: u32 = 256;
const COLUMNS: usize = 6;

fn picture(tensor: &Tensor, row: usize) -> Result<RgbImage> {
    let shape = tensor.shape();
    let (height, width) = (shape[shape.len() - 3], shape[shape.len() - 2]);
    let size = height * width * 3;
    let pixels = tensor.as_slice::<u8>()?[row * size..(row + 1) * size].to_vec();
    RgbImage::from_raw(width as u32, height as u32, pixels).ok_or_else(|| Error::internal("the tensor has not the image's size"))
}

/// Frames of one expert episode per environment: observations and film pictures at evenly spaced control steps.
fn episode(task: &str, twin: &str, seed: u64) -> Result<Vec<(RgbImage, RgbImage)>> {
    let text = format!("(task: {task}, twin: {twin}, num_envs: 1, terminate_on_success: false, max_episode_steps: 30)");
    let services = HostServices::standalone(1, 0);
    let mut env = Tabletop::create(ComponentConfig::new(&text), services)?;
    let mut expert = Expert::create(ComponentConfig::new(""), services)?;
    expert.reset(&[0], &[seed])?;
    let mut observed = env.reset(&ResetRequest::new(vec![seed]).privileged())?;
    println!("{task} {twin}: {}", observed.texts("task")?[0]);
    let request = ActRequest { mode: ActMode::Sample, temperature: 1.0, seed: 0, training: false };
    let mut frames = Vec::new();
    for step in 0..=5 * (COLUMNS - 1) {
        if step % 5 == 0 {
            frames.push((picture(observed.get("observation.images.base")?, 0)?, picture(&env.render(0, "base", 256, 256)?, 0)?));
        }
        let action = expert.act(&observed, &request)?;
        observed = env.step(action.get(names::ACTION)?)?;
    }
    Ok(frames)
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "shots".into());
    let only = std::env::args().nth(2);
    std::fs::create_dir_all(&folder)?;
    for task in ["PickPlace", "PushCube", "OpenDrawer", "CloseDrawer"] {
        if only.as_ref().is_some_and(|o| o != task) {
            continue;
        }
        let mut sheet = RgbImage::from_pixel(TILE * COLUMNS as u32, TILE * 4, Rgb([0; 3]));
        for (row, twin) in ["Sim", "Real"].iter().enumerate() {
            for (column, (seen, film)) in episode(task, twin, 3)?.iter().enumerate() {
                let x = i64::from(TILE) * column as i64;
                let enlarged = resize(seen, TILE, TILE, FilterType::Nearest);
                overlay(&mut sheet, &enlarged, x, i64::from(TILE) * (2 * row) as i64);
                overlay(&mut sheet, film, x, i64::from(TILE) * (2 * row + 1) as i64);
            }
        }
        let path = Path::new(&folder).join(format!("{task}.png"));
        sheet.save(&path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
    }
    Ok(())
}
