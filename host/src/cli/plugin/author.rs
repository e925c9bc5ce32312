//! `host plugin new|build|pack`: the author's side, from an empty folder to a file that can be handed on.

use clap::Args;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::super::Failure;
use crate::authoring::{Artefact, Language, Project, build, pack, write};

#[derive(Args, Debug)]
pub struct NewArgs {
    /// What the component is: reward, filter, policy, env, robot, camera, teleop or algorithm.
    #[arg(long, value_name = "KIND")]
    kind: String,
    /// What it is written in; all but `native` run in the sandbox.
    #[arg(long = "lang", value_enum, value_name = "LANGUAGE")]
    language: Language,
    /// Name of the plugin and of its component.
    name: String,
    /// Make the project in this folder instead of one with the plugin's name.
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct BuildArgs {
    /// The project's folder, the one with `plugin.ron`.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
}

#[derive(Args, Debug)]
pub struct PackArgs {
    /// The project's folder, the one with `plugin.ron`.
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Folder for the finished file.
    #[arg(long, value_name = "DIR", default_value = ".")]
    into: PathBuf,
}

/// # Errors
/// If there is no such template, or something is in the way.
pub fn new(args: &NewArgs) -> Result<(), Failure> {
    let folder = args.into.clone().unwrap_or_else(|| PathBuf::from(&args.name));
    for file in write(&args.kind, args.language, &args.name, &folder)? {
        println!("{}", folder.join(file).display());
    }
    println!("next: host plugin build {}", folder.display());
    Ok(())
}

/// # Errors
/// If a tool is missing or refuses the source.
pub fn build_project(args: &BuildArgs) -> Result<(), Failure> {
    built(&Project::open(&args.folder)?)?;
    Ok(())
}

/// # Errors
/// As [`build_project`], or if the file cannot be written.
pub fn pack_project(args: &PackArgs) -> Result<(), Failure> {
    let project = Project::open(&args.folder)?;
    let file = pack(&project, &built(&project)?, &args.into)?;
    println!("packed {} ({})", shown(&file), size(std::fs::metadata(&file)?.len()));
    Ok(())
}

fn built(project: &Project) -> Result<Artefact, Failure> {
    eprintln!("building `{}`", project.manifest.name);
    let start = Instant::now();
    let artefact = build(project)?;
    println!("built {} ({}, {:.1} s)", shown(&artefact.path), size(artefact.bytes), start.elapsed().as_secs_f64());
    Ok(artefact)
}

/// From the working folder where that is shorter.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

fn size(bytes: u64) -> String {
    if bytes < 1 << 20 { format!("{:.1} KiB", bytes as f64 / 1024.0) } else { format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)) }
}
