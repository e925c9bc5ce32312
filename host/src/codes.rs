//! Stable names for what can go wrong, each with a page in `docs/errors/` that `host explain` shows.
//!
//! A code names a kind of mistake, not a sentence: sentences carry the values and may be improved, codes stay what they are. T1 is about recipes, T2
//! about plugins and their components, T3 about files and data, T4 about building plugins.

/// Declares the codes; the page of `T101` is `docs/errors/T101.md`.
macro_rules! codes {
    ($($(#[doc = $doc:literal])* $name:ident = $text:literal,)*) => {
        /// A kind of mistake.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])* $name,)*
        }

        impl Code {
            /// All of them, in order.
            pub const ALL: &[Code] = &[$(Code::$name),*];

            pub fn text(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// What it means and what to do about it, Markdown.
            pub fn page(self) -> &'static str {
                match self { $(Code::$name => include_str!(concat!("../../docs/errors/", $text, ".md")),)* }
            }
        }
    };
}

codes! {
    Syntax = "T101",
    UnknownField = "T102",
    WrongType = "T103",
    OutOfRange = "T104",
    MissingField = "T105",
    /// Fields that do not go together.
    Contradiction = "T106",
    Unreadable = "T107",
    /// `--set`, `--grant`, `--arm`.
    Override = "T108",
    NoSuchComponent = "T109",
    RefusedConfig = "T110",
    /// Components that do not go together.
    Misfit = "T111",

    /// A file that is not loaded.
    RefusedPlugin = "T201",
    WrongInput = "T202",
    NotANumber = "T203",
    Unsupported = "T204",
    Panicked = "T205",
    Failed = "T206",
    ComponentIo = "T207",

    Io = "T301",
    InUse = "T302",
    Damaged = "T303",
    WrongFolder = "T304",
    TooFewSuccesses = "T305",
    /// A recipe asks for something that its parts turn out not to offer.
    Unfit = "T306",

    Project = "T401",
    MissingTool = "T402",
    ToolFailed = "T403",
    WrongArtefact = "T404",
}

impl Code {
    /// The one with this text, in either case.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.text().eq_ignore_ascii_case(text))
    }

    /// The page's heading without the code.
    pub fn title(self) -> &'static str {
        let heading = self.page().lines().next().unwrap_or_default();
        heading.split_once(": ").map_or(heading, |(_, title)| title)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors");
        let pages: BTreeSet<String> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        let codes: BTreeSet<String> = Code::ALL.iter().map(|code| format!("{code}.md")).collect();
        assert_eq!(codes.len(), Code::ALL.len(), "a code is there twice");
        assert_eq!(pages, codes);
        for code in Code::ALL {
            let page = code.page();
            assert!(page.starts_with(&format!("# {code}: ")) && !code.title().is_empty(), "{code}: {page}");
            for part in ["\n```text\n", "\n## What to do\n"] {
                assert!(page.contains(part), "{code} lacks {part:?}");
            }
        }
    }

    #[test]
    fn codes_are_found_by_their_text() {
        assert_eq!(Code::find("t102"), Some(Code::UnknownField));
        assert_eq!(Code::find("T999"), None);
    }
}
