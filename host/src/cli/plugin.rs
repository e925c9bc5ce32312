//! `host plugin list|info|why`: what was found, what it contains, and why something is not used; and the author's side in [`author`] and [`test`].

use clap::Subcommand;
use std::path::PathBuf;

mod author;
mod test;
mod trust;

use super::{Failure, PluginPaths};
use crate::codes::Code;
use crate::loader::{Bundle, Candidate, Catalog, NOT_OURS, inspect, open_in_child};

#[derive(Subcommand, Debug)]
pub enum PluginCommand {
    /// List the bundles and components that recipes can use.
    List {
        #[command(flatten)]
        paths: PluginPaths,
    },
    /// Show one bundle: manifest, file, hash, ABI stamp.
    Info {
        /// Name of a bundle or of one of its components.
        name: String,
        #[command(flatten)]
        paths: PluginPaths,
    },
    /// Explain why a bundle or file is used or not, with everything that was looked at.
    Why {
        /// Name of a bundle, name of a component, or path of a library.
        name: String,
        #[command(flatten)]
        paths: PluginPaths,
    },
    /// Begin a plugin of your own: a project that builds as it is.
    New(author::NewArgs),
    /// Build a project into what the host loads.
    Build(author::BuildArgs),
    /// Try out a plugin: conformance checks, one score card for each component.
    Test(test::TestArgs),
    /// Allow a plugin, or an author's key, where a recipe says `trust: Locked`.
    Trust(trust::TrustArgs),
    /// Build a project and make one file of it to hand on.
    Pack(author::PackArgs),
}

/// # Errors
/// If the named bundle does not exist or is refused; as the author's commands say.
pub fn run(command: &PluginCommand) -> Result<(), Failure> {
    match command {
        PluginCommand::List { paths } => {
            list(&Catalog::discover(&paths.plugin_dir));
            Ok(())
        }
        PluginCommand::Info { name, paths } => {
            let catalog = Catalog::discover(&paths.plugin_dir);
            let bundle = find(&catalog, name).ok_or_else(|| {
                Failure::user(format!("no bundle or component is named `{name}`: see `host plugin list`")).under(Code::NoSuchComponent)
            })?;
            info(bundle);
            Ok(())
        }
        PluginCommand::Why { name, paths } => why(&Catalog::discover(&paths.plugin_dir), name),
        PluginCommand::New(args) => author::new(args),
        PluginCommand::Build(args) => author::build_project(args),
        PluginCommand::Test(args) => test::run(args),
        PluginCommand::Trust(args) => trust::run(args),
        PluginCommand::Pack(args) => author::pack_project(args),
    }
}

fn find<'a>(catalog: &'a Catalog, name: &str) -> Option<&'a Bundle> {
    let by_component = || catalog.bundles.iter().find(|b| b.manifest.components.iter().any(|c| c.name == name));
    catalog.bundles.iter().find(|b| b.manifest.name == name).or_else(by_component)
}

fn list(catalog: &Catalog) {
    for bundle in &catalog.bundles {
        println!("{} {}  {}", bundle.manifest.name, bundle.manifest.version, bundle.manifest.description);
        for component in &bundle.manifest.components {
            println!("  {:<9} {:<20} {}", component.kind.word(), component.name, component.description);
        }
    }
    if catalog.bundles.is_empty() {
        println!("no plugins found; `cargo xtask build-plugins` builds those of this repository");
    }
    for candidate in &catalog.candidates {
        if !matches!(candidate, Candidate::Accepted { .. }) {
            println!("{}", describe(candidate));
        }
    }
}

fn info(bundle: &Bundle) {
    println!("name      {} {}", bundle.manifest.name, bundle.manifest.version);
    println!("about     {}", bundle.manifest.description);
    println!("library   {}", bundle.library.display());
    println!("found     {}", bundle.origin);
    println!("sha256    {}", bundle.sha256);
    println!("stamp     {}", bundle.stamp);
    for requirement in &bundle.manifest.requires {
        match crate::loader::locate(requirement) {
            Ok(library) => println!("requires  {requirement:?}: {} ({})", library.folder.display(), library.origin),
            Err(missing) => println!("requires  {requirement:?}: MISSING, {missing}"),
        }
    }
    match open_in_child(&bundle.library) {
        Ok(()) => println!("opens     yes"),
        Err(reason) => println!("opens     NO: {reason}"),
    }
    for component in &bundle.manifest.components {
        println!("{:<9} {:<20} {}", component.kind.word(), component.name, component.description);
    }
}

fn why(catalog: &Catalog, name: &str) -> Result<(), Failure> {
    let path = PathBuf::from(name);
    if path.is_file() {
        return match inspect(&path) {
            Ok(Some(found)) => {
                if !found.sandboxed {
                    open_in_child(&path)
                        .map_err(|reason| Failure::user(format!("{}: {reason}", path.display())).under(Code::RefusedPlugin))?;
                }
                println!(
                    "{}: a usable plugin, bundle `{}` {} (sha256 {})",
                    path.display(),
                    found.manifest.name,
                    found.manifest.version,
                    found.sha256
                );
                Ok(())
            }
            Ok(None) => Err(Failure::user(format!("{}: {NOT_OURS}", path.display())).under(Code::RefusedPlugin)),
            Err(refusal) => Err(refusal.into()),
        };
    }
    let bundle = find(catalog, name).map(|b| b.manifest.name.clone());
    let mut mentioned = false;
    for candidate in &catalog.candidates {
        let about = match candidate {
            Candidate::Accepted { name: n, .. } | Candidate::Shadowed { name: n, .. } => bundle.as_deref() == Some(n),
            Candidate::Refused(refusal) => bundle.is_none() || refusal.path.to_string_lossy().contains(name),
            Candidate::NoSuchFolder(_) => true,
        };
        if about {
            println!("{}", describe(candidate));
            mentioned = true;
        }
    }
    if bundle.is_none() {
        let places: Vec<String> = crate::loader::search_order(&[]).iter().map(|s| s.path.display().to_string()).collect();
        let refused = if mentioned { " (see above for what was refused)" } else { "" };
        return Err(
            Failure::user(format!("no plugin provides `{name}`{refused}; looked in: {}", places.join(", "))).under(Code::NoSuchComponent)
        );
    }
    Ok(())
}

fn describe(candidate: &Candidate) -> String {
    match candidate {
        Candidate::Accepted { name, path } => format!("used: {name} from {}", path.display()),
        Candidate::Shadowed { name, path, by } => {
            format!("shadowed: {name} at {} (the one at {} comes first)", path.display(), by.display())
        }
        Candidate::Refused(refusal) => format!("refused: {refusal} ({})", Code::RefusedPlugin),
        Candidate::NoSuchFolder(search) => format!("missing: {} ({}) does not exist", search.path.display(), search.origin),
    }
}
