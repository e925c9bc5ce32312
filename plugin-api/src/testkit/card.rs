//! The score card: what was checked, and how it went.

/// How one check went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With what was measured, if anything.
    Passed(String),
    Failed(String),
    /// Does not apply, and why.
    Skipped(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    pub outcome: Outcome,
}

/// All checks of one component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreCard {
    /// Kind and name, e.g. "env `tabletop`".
    pub component: String,
    pub checks: Vec<Check>,
}

impl ScoreCard {
    /// No check failed, and one passed.
    pub fn passed(&self) -> bool {
        self.count(|o| matches!(o, Outcome::Failed(_))) == 0 && self.count(|o| matches!(o, Outcome::Passed(_))) > 0
    }

    pub fn outcome(&self, check: &str) -> Option<&Outcome> {
        self.checks.iter().find(|c| c.name == check).map(|c| &c.outcome)
    }

    fn count(&self, which: impl Fn(&Outcome) -> bool) -> usize {
        self.checks.iter().filter(|c| which(&c.outcome)).count()
    }

    /// # Panics
    /// With the whole card, if a check failed.
    #[track_caller]
    pub fn assert_passed(&self) {
        assert!(self.passed(), "{self}");
    }
}

impl std::fmt::Display for ScoreCard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let passed = self.count(|o| matches!(o, Outcome::Passed(_)));
        let skipped = self.count(|o| matches!(o, Outcome::Skipped(_)));
        let not_applicable = if skipped == 0 { String::new() } else { format!(", {skipped} skipped") };
        writeln!(f, "{}: {passed} of {} checks passed{not_applicable}", self.component, self.checks.len() - skipped)?;
        for check in &self.checks {
            let (word, remark) = match &check.outcome {
                Outcome::Passed(remark) => ("passed ", remark),
                Outcome::Failed(remark) => ("FAILED ", remark),
                Outcome::Skipped(remark) => ("skipped", remark),
            };
            let colon = if remark.is_empty() { "" } else { ": " };
            writeln!(f, "  {word}  {}{colon}{remark}", check.name)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_card_counts_what_applied() {
        let check = |name, outcome| Check { name, outcome };
        let mut card = ScoreCard {
            component: "env `x`".into(),
            checks: vec![
                check("specification", Outcome::Passed(String::new())),
                check("rendering", Outcome::Skipped("does not render".into())),
            ],
        };
        assert!(card.passed());
        card.checks.push(check("memory", Outcome::Failed("8 bytes per call".into())));
        assert!(!card.passed());
        assert_eq!(
            card.to_string(),
            "env `x`: 1 of 2 checks passed, 1 skipped\n  passed   specification\n  skipped  rendering: does not render\n  \
             FAILED   memory: 8 bytes per call\n"
        );
    }
}
