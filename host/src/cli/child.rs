//! `host child ...`: what the host starts itself as, to do in a process of its own what could take the process down.

use clap::Subcommand;
use std::path::PathBuf;

use super::Failure;
use crate::loader;

#[derive(Subcommand, Debug)]
pub enum ChildCommand {
    /// Open a plugin library and say so.
    Open { library: PathBuf },
    /// Be the process of one component.
    Component {
        /// Number of the host's process; without it, there is nothing to do.
        #[arg(long)]
        parent: u32,
    },
}

/// # Errors
/// Never: a child tells its parent what happened, and ends.
pub fn run(command: &ChildCommand) -> Result<(), Failure> {
    match command {
        ChildCommand::Open { library } => loader::open_and_tell(library),
        ChildCommand::Component { parent } => {
            loader::serve(*parent);
            Ok(())
        }
    }
}
