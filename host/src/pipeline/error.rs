//! Everything that can end a run before its end.

use crate::observe;
use crate::recipe::RecipeErrors;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A component failed; the message names it.
    #[error("{0}")]
    Component(#[from] twinhost_plugin_api::Error),
    /// A component refuses its configuration, shown in the recipe's own text.
    #[error("{0}")]
    Recipe(#[from] RecipeErrors),
    /// A run folder could not be written or read.
    #[error("{0}")]
    Storage(#[from] observe::Error),
    #[error("{0}")]
    Data(#[from] crate::data::Error),
    /// The recipe asks for something that its parts do not offer.
    #[error("{0}")]
    Unfit(String),
    /// The user asked to stop; everything up to here is saved.
    #[error("stopped as asked; everything up to here is saved")]
    Stopped,
}
