//! No text, path or `--set` argument makes the recipe layer panic, and every refusal says something.

use proptest::prelude::*;

use super::{BASE, findings, load};

/// The base recipe with some bytes' worth of damage: pieces cut out, doubled, or replaced by other tokens.
fn damaged() -> impl Strategy<Value = String> {
    let tokens = [
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "\"",
        "'",
        "r#\"",
        "//",
        "/*",
        "*/",
        "NaN",
        "None",
        "Some(",
        "-",
        "1e999",
        "é",
        "\u{0}",
        "#![enable(",
        "\\",
        "()",
    ];
    let token = proptest::sample::select(tokens.to_vec());
    let damage = (0.0..1.0f64, 0usize..12, token, any::<bool>());
    proptest::collection::vec(damage, 1..6).prop_map(|damages| {
        damages.into_iter().fold(BASE.to_owned(), |text, (place, length, token, cut)| {
            let chars: Vec<char> = text.chars().collect();
            let start = (place * chars.len() as f64) as usize;
            let end = if cut { (start + length).min(chars.len()) } else { start };
            chars[..start].iter().collect::<String>() + token + &chars[end..].iter().collect::<String>()
        })
    })
}

fn survives(text: &str, sets: &[&str], arm: Option<&str>) -> Result<(), TestCaseError> {
    match load(text, sets, arm) {
        Ok(loaded) => {
            let again = load(&loaded.text, &[], None);
            prop_assert!(again.is_ok_and(|a| a.hash == loaded.hash), "the resolved text is not the same recipe:\n{}", loaded.text);
        }
        Err(errors) => {
            prop_assert!(!errors.findings.is_empty());
            prop_assert!(findings(&errors).iter().all(|f| !f.is_empty()));
            let (plain, fancy) = (errors.render(false), errors.render(true));
            prop_assert!(
                errors.findings.iter().all(|f| plain.contains(f.message.split_whitespace().next().unwrap_or_default()))
                    && !fancy.is_empty()
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_text(text in ".{0,200}") {
        survives(&text, &[], None)?;
    }

    #[test]
    fn damaged_recipes(text in damaged()) {
        survives(&text, &[], Some("rlco_no_anchor"))?;
    }

    #[test]
    fn random_overrides(path in "[a-z.\\[\\]0-9\"]{0,20}", value in ".{0,20}") {
        survives(BASE, &[&format!("{path}={value}")], None)?;
        for known in ["seed", "name", "stages.rl", "stages.eval.variants[0]", "envs.sim.config", "envs.sim.config.cameras[0]", "envs", "arms", "policy.init"] {
            survives(BASE, &[&format!("{known}={value}")], Some("rlco"))?;
        }
    }

    #[test]
    fn random_arms(name in ".{0,20}") {
        survives(BASE, &[], Some(&name))?;
    }
}
