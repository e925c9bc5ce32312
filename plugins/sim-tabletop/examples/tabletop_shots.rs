//! Writes pictures of every task on both twins, for looking at: `cargo run --example tabletop_shots -- FOLDER`.

use std::path::Path;
use twinhost_plugin_api::{ComponentConfig, Env, HostServices, ResetRequest, Result, Tensor};
use twinhost_sim_tabletop::Tabletop;

fn save(image: &Tensor, row: usize, path: &Path) -> Result<()> {
    let shape = image.shape();
    let (height, width) = (shape[shape.len() - 3], shape[shape.len() - 2]);
    let pixels = &image.as_slice::<u8>()?[row * height * width * 3..(row + 1) * height * width * 3];
    let picture = image::RgbImage::from_raw(width as u32, height as u32, pixels.to_vec()).expect("the tensor has the image's size");
    picture.save(path).map_err(|e| twinhost_plugin_api::Error::io(format!("{}: {e}", path.display())))
}

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "shots".into());
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    for task in ["PickPlace", "PushCube", "OpenDrawer", "CloseDrawer"] {
        for twin in ["Sim", "Real"] {
            let text = format!("(task: {task}, twin: {twin}, num_envs: 4, cameras: [\"base\", \"wrist\"])");
            let mut env = Tabletop::create(ComponentConfig::new(&text), HostServices::standalone(1, 0))?;
            for (variant, seed) in [("train", 0), ("ood_start", 10)] {
                let observed = env.reset(&ResetRequest::new((seed..seed + 4).collect()).variant(variant))?;
                println!("{task} {twin} {variant}: {:?}", observed.texts("task")?);
                for camera in ["base", "wrist"] {
                    let name = format!("{task}-{twin}-{variant}-{camera}");
                    save(&env.render(0, camera, 400, 400)?, 0, &folder.join(format!("{name}-film.png")))?;
                    for row in 0..2 {
                        let image = observed.get(&format!("observation.images.{camera}"))?;
                        save(image, row, &folder.join(format!("{name}-{row}.png")))?;
                    }
                }
            }
        }
    }
    Ok(())
}
