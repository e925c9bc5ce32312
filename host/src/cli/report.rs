//! `host report`: the report of one run, or a comparison of several (arms over seeds).

use clap::Args;
use std::path::PathBuf;

use super::Failure;
use crate::observe::report::{compare::write_comparison, write_report};

#[derive(Args, Debug)]
pub struct ReportArgs {
    /// Run folders. One: its report is rebuilt. Several: their arms are compared, with mean and spread over runs.
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// Where to write the comparison.
    #[arg(long, value_name = "FILE", default_value = "comparison.html")]
    output: PathBuf,
}

/// # Errors
/// If a folder is not a run folder, a file in it is damaged, or writing fails.
pub fn run(args: &ReportArgs) -> Result<(), Failure> {
    if let [run] = args.runs.as_slice() {
        println!("report: {}", write_report(run)?.display());
        return Ok(());
    }
    let comparison = write_comparison(&args.runs, &args.output)?;
    print!("{}", comparison.to_markdown());
    println!("report: {}", args.output.display());
    Ok(())
}
