//! What a plugin author needs on his side of the boundary: a project to begin with, a build that yields what the loader accepts, and a file
//! to hand on.
//!
//! A project is a folder with a `plugin.ron`. A *native* one is a crate of type cdylib. A *guest* has one source in Python, Rust, C or
//! JavaScript and becomes a WebAssembly component for the sandbox; it imports nothing but what its manifest asks for, whatever its language. The
//! tools that do the compiling are the languages' own; none is part of the host, and a missing one is named together with the command that installs it.

mod cache;
mod cases;
mod component;
mod error;
mod guest;
mod pack;
mod project;
mod recorded;
mod sdk;
mod templates;
mod tools;
mod wit;

pub use error::{Error, Result};
pub use guest::{Guest, ready};
pub use pack::pack;
pub use project::{Artefact, Project, build, component_file, source_hash};
pub use recorded::play_cases;
pub use templates::{Language, available, write};
