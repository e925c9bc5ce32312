//! `host explain`: the page of an error code; and which code an error has.

use clap::Args;
use std::error::Error as StdError;
use twinhost_plugin_api::{Error as ComponentError, ErrorKind};

use super::Failure;
use crate::codes::Code;
use crate::{authoring, data, loader, observe, pipeline};

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The code that stands beside an error, e.g. T102; all codes when left out.
    code: Option<String>,
}

/// # Errors
/// If there is no such code.
pub fn run(args: &ExplainArgs) -> Result<(), Failure> {
    match &args.code {
        None => Code::ALL.iter().for_each(|code| println!("{code}  {}", code.title())),
        Some(text) => {
            let code =
                Code::find(text).ok_or_else(|| Failure::user(format!("there is no error code `{text}`; `host explain` lists all")))?;
            print!("{}", code.page());
        }
    }
    Ok(())
}

/// The code of an error; none for what is no mistake (a stop on request) and for what carries its codes itself (a recipe's errors).
pub fn code_of(error: &(dyn StdError + 'static)) -> Option<Code> {
    use crate::codes::Code::*;
    if let Some(error) = error.downcast_ref::<pipeline::Error>() {
        return match error {
            pipeline::Error::Component(e) => code_of(e),
            pipeline::Error::Storage(e) => code_of(e),
            pipeline::Error::Data(e) => code_of(e),
            pipeline::Error::Unfit(_) => Some(Unfit),
            pipeline::Error::Recipe(_) | pipeline::Error::Stopped => None,
        };
    }
    if let Some(error) = error.downcast_ref::<data::Error>() {
        return match error {
            data::Error::Io { .. } => Some(Io),
            data::Error::Format { .. } => Some(Damaged),
            data::Error::Refused(_) => Some(WrongFolder),
            data::Error::Storage(e) => code_of(e),
            data::Error::TooFewSuccesses(_) => Some(TooFewSuccesses),
            data::Error::Component(e) => code_of(e),
            data::Error::Cancelled => None,
        };
    }
    if let Some(error) = error.downcast_ref::<observe::Error>() {
        return Some(match error {
            observe::Error::Io { .. } => Io,
            observe::Error::InUse { .. } => InUse,
            observe::Error::Format { .. } => Damaged,
            observe::Error::Refused(_) => WrongFolder,
        });
    }
    if let Some(error) = error.downcast_ref::<authoring::Error>() {
        return Some(match error {
            authoring::Error::Project(_) => Project,
            authoring::Error::Missing { .. } => MissingTool,
            authoring::Error::Tool { .. } => ToolFailed,
            authoring::Error::Artefact { .. } => WrongArtefact,
            authoring::Error::Io { .. } => Io,
        });
    }
    if let Some(error) = error.downcast_ref::<ComponentError>() {
        return match error.kind {
            ErrorKind::InvalidConfig => Some(RefusedConfig),
            ErrorKind::InvalidInput => Some(WrongInput),
            ErrorKind::Io => Some(ComponentIo),
            ErrorKind::Numerical => Some(NotANumber),
            ErrorKind::Unsupported => Some(Unsupported),
            ErrorKind::Panic => Some(Panicked),
            ErrorKind::Internal => Some(Failed),
            ErrorKind::Cancelled => None,
        };
    }
    error.is::<loader::Refusal>().then_some(RefusedPlugin)
}
