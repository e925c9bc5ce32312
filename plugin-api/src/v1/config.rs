//! A component's own configuration: the RON text under its name in the recipe, untouched by the host.

use serde::de::DeserializeOwned;

use super::error::{Error, ErrorKind, Result};
use abi_stable::std_types::ROption;

/// RON text of one component's configuration; empty text means "all defaults" and reads as `()`.
#[derive(Clone, Copy, Debug)]
pub struct ComponentConfig<'a> {
    pub ron: &'a str,
}

impl<'a> ComponentConfig<'a> {
    pub fn new(ron: &'a str) -> Self {
        Self { ron }
    }

    /// Parses into the component's own struct (use `#[serde(default, deny_unknown_fields)]`).
    ///
    /// # Errors
    /// `InvalidConfig` with the field path, line and column of the first problem.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        let text = if self.ron.trim().is_empty() { "()" } else { self.ron };
        let options = ron::Options::default().with_default_extension(ron::extensions::Extensions::IMPLICIT_SOME);
        let mut de = ron::de::Deserializer::from_str_with_options(text, &options).map_err(|e| Error {
            line: e.span.start.line as u32,
            column: e.span.start.col as u32,
            ..Error::new(ErrorKind::InvalidConfig, e.code.to_string())
        })?;
        let mut track = serde_path_to_error::Track::new();
        let parsed = T::deserialize(serde_path_to_error::Deserializer::new(&mut de, &mut track));
        parsed.and_then(|v| de.end().map(|()| v)).map_err(|code| {
            let spanned = de.span_error(code);
            let path = track.path().to_string();
            Error {
                field: if path == "." { ROption::RNone } else { ROption::RSome(path.into()) },
                line: spanned.span.start.line as u32,
                column: spanned.span.start.col as u32,
                ..Error::new(ErrorKind::InvalidConfig, spanned.code.to_string())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize, Debug, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        rate: f64,
    }
    #[derive(serde::Deserialize, Debug, Default)]
    #[serde(default, deny_unknown_fields)]
    struct Outer {
        inner: Inner,
        count: u32,
    }

    #[test]
    fn empty_text_means_defaults() {
        assert_eq!(ComponentConfig::new("").parse::<Outer>().unwrap().count, 0);
    }

    #[test]
    fn errors_carry_path_and_position() {
        let e = ComponentConfig::new("(\n  count: 3,\n  inner: (rate: \"fast\"),\n)").parse::<Outer>().unwrap_err();
        assert_eq!(e.field, ROption::RSome("inner.rate".into()), "{e}");
        assert_eq!(e.line, 3);
        let e = ComponentConfig::new("(cuont: 3)").parse::<Outer>().unwrap_err();
        assert!(e.to_string().contains("cuont") && e.to_string().contains("count"), "{e}");
    }
}
