//! `cargo xtask bench`: runs the benchmarks that the crates register and prints one table.
//!
//! A crate registers a benchmark by having an example named `bench_<name>`. What it measured it prints as lines
//! `measure<TAB>value<TAB>unit`, with a fourth column for the aim where there is one; all other lines pass through to stderr.

use crate::failure::{During, Failure, Result};
use crate::plugins;
use crate::workspace::Workspace;
use std::process::Stdio;

const EXAMPLE_PREFIX: &str = "bench_";

/// One line of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    bench: String,
    measure: String,
    value: String,
    unit: String,
    aim: String,
}

/// Runs the named benchmark, or all of them.
pub fn bench(workspace: &Workspace, wanted: Option<&str>) -> Result<()> {
    let registered = registered(workspace)?;
    let names: Vec<&str> = registered.iter().map(|(_, name)| name.as_str()).collect();
    if let Some(wanted) = wanted.filter(|wanted| !names.contains(wanted)) {
        return Err(Failure::new(format!("there is no benchmark `{wanted}`; there are: {}", names.join(", "))));
    }
    // Some benchmarks load plugin libraries or start the host.
    plugins::build_with_host(workspace)?;
    let mut rows = Vec::new();
    for (package, name) in registered.iter().filter(|(_, name)| wanted.is_none_or(|wanted| wanted == name)) {
        eprintln!("running {name} ...");
        let output = workspace
            .cargo()
            .args(["run", "--quiet", "--package", package, "--example", &format!("{EXAMPLE_PREFIX}{name}")])
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

/// Package and name of every benchmark.
fn registered(workspace: &Workspace) -> Result<Vec<(String, String)>> {
    let packages = workspace.packages()?;
    let of_package = |package: &crate::workspace::Package| {
        let names = package.examples.iter().filter_map(|example| example.strip_prefix(EXAMPLE_PREFIX));
        names.map(|name| (package.name.clone(), name.to_owned())).collect::<Vec<_>>()
    };
    Ok(packages.iter().flat_map(of_package).collect())
}

fn row(bench: &str, line: &str) -> Option<Row> {
    let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
    let (measure, value, unit, aim) = match columns.as_slice() {
        [measure, value, unit] => (*measure, *value, *unit, ""),
        [measure, value, unit, aim] => (*measure, *value, *unit, *aim),
        _ => return None,
    };
    Some(Row { bench: bench.to_owned(), measure: measure.to_owned(), value: value.to_owned(), unit: unit.to_owned(), aim: aim.to_owned() })
}

/// A Markdown table with aligned columns.
fn table(rows: &[Row]) -> String {
    let head = ["bench", "measure", "value", "unit", "aim"].map(str::to_owned);
    let body = rows.iter().map(|row| [&row.bench, &row.measure, &row.value, &row.unit, &row.aim].map(String::clone));
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
    fn lines_with_tabs_become_rows_of_one_aligned_table() {
        let lines = ["a remark", "steps, no images\t31200\tsteps/s", "call\t9.7\tns\tat most 20 ns", "a\tb"];
        let rows: Vec<Row> = lines.iter().filter_map(|line| row("sim", line)).collect();
        assert_eq!(rows.len(), 2);
        let expect = "\
| bench | measure          | value | unit    | aim           |
| ----- | ---------------- | ----: | ------- | ------------- |
| sim   | steps, no images | 31200 | steps/s |               |
| sim   | call             |   9.7 | ns      | at most 20 ns |
";
        assert_eq!(table(&rows), expect);
    }
}
