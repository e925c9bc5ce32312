//! `cargo xtask bench`: runs the benchmarks of the crates and prints one table.
//!
//! A benchmark is an example of a package, or several, listed in [`BENCHES`]. What it measured it prints as lines `name value unit`, with a remark
//! (an aim, a circumstance) behind them if it likes; all other lines pass through to stderr.

use crate::failure::{During, Failure, Result};
use crate::plugins;
use crate::workspace::Workspace;
use std::process::Stdio;

/// One example of a registered benchmark.
struct Bench {
    name: &'static str,
    package: &'static str,
    example: &'static str,
}

/// Those of one name follow each other.
const BENCHES: &[Bench] = &[
    Bench { name: "env", package: "twinhost-sim-tabletop", example: "tabletop_bench" },
    Bench { name: "policy", package: "twinhost-policies", example: "throughput" },
    Bench { name: "plugins", package: "twinhost", example: "plugin_call" },
    Bench { name: "plugins", package: "twinhost", example: "sandbox_call" },
    Bench { name: "recipe", package: "twinhost", example: "recipe_shares" },
];

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    bench: String,
    measure: String,
    value: String,
    unit: String,
    remark: String,
}

/// Runs the named benchmark, or all of them.
pub fn bench(workspace: &Workspace, wanted: Option<&str>) -> Result<()> {
    if let Some(wanted) = wanted.filter(|wanted| BENCHES.iter().all(|bench| bench.name != *wanted)) {
        let mut names: Vec<&str> = BENCHES.iter().map(|bench| bench.name).collect();
        names.dedup();
        return Err(Failure::new(format!("there is no benchmark `{wanted}`; there are: {}", names.join(", "))));
    }
    // Some benchmarks load plugin libraries or start the host.
    plugins::build_with_host(workspace)?;
    let mut rows = Vec::new();
    for Bench { name, package, example } in BENCHES.iter().filter(|bench| wanted.is_none_or(|wanted| wanted == bench.name)) {
        eprintln!("running {name} ({example}) ...");
        let output = workspace
            .cargo()
            .args(["run", "--quiet", "--package", package, "--example", example])
            .stderr(Stdio::inherit())
            .output()
            .during(|| format!("start the benchmark {name}"))?;
        if !output.status.success() {
            return Err(Failure::child(&format!("the benchmark {name}"), output.status));
        }
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            match row(name, line) {
                Some(row) => rows.push(row),
                None => eprintln!("{line}"),
            }
        }
    }
    print!("{}", table(&rows));
    Ok(())
}

/// Reads `name value unit remark ...`; a colon behind the name is left out.
fn row(bench: &str, line: &str) -> Option<Row> {
    let mut words = line.split_whitespace();
    let (measure, value, unit) = (words.next()?, words.next()?, words.next()?);
    value.parse::<f64>().ok()?;
    Some(Row {
        bench: bench.to_owned(),
        measure: measure.trim_end_matches(':').to_owned(),
        value: value.to_owned(),
        unit: unit.to_owned(),
        remark: words.collect::<Vec<_>>().join(" "),
    })
}

/// A Markdown table with aligned columns.
fn table(rows: &[Row]) -> String {
    let head = ["bench", "measure", "value", "unit", "remark"].map(str::to_owned);
    let body = rows.iter().map(|row| [&row.bench, &row.measure, &row.value, &row.unit, &row.remark].map(String::clone));
    let lines: Vec<[String; 5]> = std::iter::once(head).chain(body).collect();
    let widths: [usize; 5] = std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        let cells: Vec<String> = (0..5)
            .map(|column| match column {
                2 => format!("{:>width$}", line[column], width = widths[column]),
                _ => format!("{:<width$}", line[column], width = widths[column]),
            })
            .collect();
        text += &format!("| {} |\n", cells.join(" | "));
        if at == 0 {
            let rule: Vec<String> = widths
                .iter()
                .enumerate()
                .map(|(column, &width)| if column == 2 { "-".repeat(width.saturating_sub(1)) + ":" } else { "-".repeat(width) })
                .collect();
            text += &format!("| {} |\n", rule.join(" | "));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_become_rows_of_one_aligned_table_and_prose_does_not() {
        let lines =
            ["3 parameters, 2 rows", "blind_10hz 31200 control_steps/s", "call: 9.7 ns at most 20", "steps many of", "first loss 4.5"];
        let rows: Vec<Row> = lines.iter().filter_map(|line| row("sim", line)).collect();
        let expect = "\
| bench | measure    | value | unit            | remark     |
| ----- | ---------- | ----: | --------------- | ---------- |
| sim   | blind_10hz | 31200 | control_steps/s |            |
| sim   | call       |   9.7 | ns              | at most 20 |
";
        assert_eq!(table(&rows), expect);
    }

    #[test]
    fn every_registered_benchmark_exists() {
        let packages = Workspace::find().and_then(|workspace| workspace.packages()).expect("cargo knows the packages");
        for bench in BENCHES {
            let package = packages.iter().find(|package| package.name == bench.package).expect("a package of the workspace");
            let source = package.folder.join("examples").join(bench.example).with_extension("rs");
            assert!(source.is_file(), "{} is registered, and {} does not exist", bench.name, source.display());
        }
    }
}
