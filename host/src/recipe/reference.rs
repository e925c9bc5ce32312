//! How a recipe names a component: by the name a plugin gives it, or by the file that holds it.

use std::fmt;
use std::ops::Deref;
use std::path::Path;

use super::decode::Decoder;
use super::shape::{Decode, Shape};
use super::syntax::Node;

/// Files that hold one component each: sources that the host builds, and what others have built.
const EXTENSIONS: [&str; 4] = ["py", "c", "js", "wasm"];

/// `near_goal`, `my-rewards:near_goal`, or a file or project folder: `rewards/near_goal.py`, relative to the text it is written in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference(String);

/// True if the text names a file or folder, not a plugin's component.
pub fn is_file(text: &str) -> bool {
    text.contains('/') || Path::new(text).extension().is_some_and(|e| EXTENSIONS.iter().any(|x| e == *x))
}

impl Reference {
    /// The file or project folder.
    pub fn file(&self) -> Option<&Path> {
        is_file(&self.0).then_some(Path::new(&self.0))
    }

    /// What metrics and messages call it: a file without folders and extension.
    pub fn short(&self) -> &str {
        self.file().and_then(Path::file_stem).and_then(|stem| stem.to_str()).unwrap_or(&self.0)
    }
}

impl Deref for Reference {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Decode for Reference {
    fn shape() -> Shape {
        Shape::Component
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        String::decode(node, decoder).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_told_from_names() {
        for (text, file, short) in [
            ("near_goal", false, "near_goal"),
            ("my-rewards:near_goal", false, "my-rewards:near_goal"),
            ("near_goal.py", true, "near_goal"),
            ("/lab/rewards/near_goal.wasm", true, "near_goal"),
            ("./near-goal", true, "near-goal"),
            ("v1.2", false, "v1.2"),
        ] {
            let reference = Reference(text.into());
            assert_eq!((reference.file().is_some(), reference.short()), (file, short), "{text}");
        }
    }
}
