//! What a recipe may contain: every record states its fields once (type, default, range, documentation), and everything
//! else follows from that: decoding with all mistakes at once, defaults, `--set` paths, and the JSON schema.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::decode::Decoder;
use super::syntax::{Kind, Node, is_string};

/// The form of a value.
#[derive(Clone, Debug)]
pub enum Shape {
    Bool,
    Integer,
    Number,
    Text,
    /// Text that names a file or folder, relative to the text it is written in.
    Path,
    /// Text that names a plugin component, or a file that holds one, relative to the text it is written in.
    Component,
    /// One of the named words.
    Choice(&'static [(&'static str, &'static str)]),
    List(Box<Shape>),
    Pair(Box<Shape>),
    Map(Box<Shape>),
    Optional(Box<Shape>),
    Record(Record),
    /// Anything: a plugin's own configuration.
    Raw,
    /// Part of a recipe, laid over the rest later.
    Overlay,
}

/// A bracket with named fields.
#[derive(Clone, Debug)]
pub struct Record {
    pub doc: &'static [&'static str],
    pub fields: Vec<FieldShape>,
}

#[derive(Clone, Debug)]
pub struct FieldShape {
    pub name: &'static str,
    pub doc: &'static [&'static str],
    pub shape: Shape,
    /// RON text used when the field is left out; `None` if the field must be given.
    pub default: Option<&'static str>,
    pub check: Option<Check>,
}

/// A condition on one value. Ranges are written so that NaN is outside of each of them.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    /// `min <= x <= max`, or `min < x` if `open`.
    Range { min: f64, open: bool, max: f64 },
    /// At least one entry or character.
    NonEmpty,
    /// Letters, digits, `_`, `-` and `.`, not starting with a dot: usable as a folder name.
    Name,
}

pub const fn at_least(min: f64) -> Check {
    Check::Range { min, open: false, max: f64::INFINITY }
}
pub const fn above(min: f64) -> Check {
    Check::Range { min, open: true, max: f64::INFINITY }
}
pub const fn between(min: f64, max: f64) -> Check {
    Check::Range { min, open: false, max }
}
pub const fn non_empty() -> Check {
    Check::NonEmpty
}
pub const fn name() -> Check {
    Check::Name
}

impl Check {
    pub fn accepts(&self, node: &Node) -> bool {
        match *self {
            Check::Range { min, open, max } => {
                // Through `Value`, which also reads 0x10 and 1_000 as numbers; what is no number was refused by its type.
                let Some(Ok(ron::Value::Number(x))) = node.scalar().map(ron::from_str) else { return true };
                let x = x.into_f64();
                (if open { x > min } else { x >= min }) && x <= max && x.is_finite()
            }
            Check::NonEmpty => match node.scalar() {
                Some(_) => node.string().is_none_or(|s| !s.trim().is_empty()),
                None => !node.children().is_empty(),
            },
            Check::Name => node.string().is_none_or(|s| {
                let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
                !s.is_empty() && s.len() <= 100 && !s.starts_with('.') && s.chars().all(allowed)
            }),
        }
    }

    /// What the value must be, and what to write instead.
    pub fn requirement(&self) -> (String, String) {
        match *self {
            Check::Range { min, open, max } => {
                let range = match (open, max.is_finite()) {
                    (_, true) => format!("between {min} and {max}"),
                    (true, false) => format!("above {min}"),
                    (false, false) => format!("{min} or more"),
                };
                let comma = if range.ends_with("more") { "," } else { "" };
                (format!("must be {range}"), format!("write a number{comma} {range}"))
            }
            Check::NonEmpty => ("must not be empty".to_owned(), "list at least one".to_owned()),
            Check::Name => ("must be a name of letters, digits, `_`, `-` and `.`".to_owned(), "write another name".to_owned()),
        }
    }
}

/// A value of a recipe that can be read from its tree. Mistakes go into the decoder; `None` means there was one.
pub trait Decode: Sized {
    fn shape() -> Shape;
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self>;
}

impl Decode for bool {
    fn shape() -> Shape {
        Shape::Bool
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        decoder.token(node, "`true` or `false`", |t| ron::from_str(t).ok())
    }
}

/// `Config` numbers: whole ones of several widths, and f64.
macro_rules! numbers {
    ($($ty:ty => $shape:ident, $expected:literal;)*) => {$(
        impl Decode for $ty {
            fn shape() -> Shape {
                Shape::$shape
            }
            fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
                decoder.token(node, $expected, |t| ron::from_str(t).ok())
            }
        }
    )*};
}
numbers! {
    u64 => Integer, "a whole number, 0 or more";
    usize => Integer, "a whole number, 0 or more";
    f64 => Number, "a number";
}

impl Decode for String {
    fn shape() -> Shape {
        Shape::Text
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        decoder.token(node, "text in double quotes", |t| if is_string(t) { ron::from_str(t).ok() } else { None })
    }
}

impl Decode for PathBuf {
    fn shape() -> Shape {
        Shape::Path
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        String::decode(node, decoder).map(PathBuf::from)
    }
}

impl<T: Decode> Decode for Option<T> {
    fn shape() -> Shape {
        Shape::Optional(Box::new(T::shape()))
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        if node.is_none() { Some(None) } else { T::decode(node.without_some(), decoder).map(Some) }
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn shape() -> Shape {
        Shape::List(Box::new(T::shape()))
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Kind::List(items) = &node.kind else { return decoder.wrong_type(node, "a list in square brackets") };
        let decoded: Vec<_> = items.iter().enumerate().map(|(i, item)| decoder.inside(format!("[{i}]"), |d| T::decode(item, d))).collect();
        decoded.into_iter().collect()
    }
}

impl<T: Decode> Decode for (T, T) {
    fn shape() -> Shape {
        Shape::Pair(Box::new(T::shape()))
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        match &node.kind {
            Kind::Tuple { name: None, items } if items.len() == 2 => {
                let first = decoder.inside("[0]".to_owned(), |d| T::decode(&items[0], d));
                let second = decoder.inside("[1]".to_owned(), |d| T::decode(&items[1], d));
                first.zip(second)
            }
            _ => decoder.wrong_type(node, "two values in round brackets"),
        }
    }
}

impl<T: Decode> Decode for BTreeMap<String, T> {
    fn shape() -> Shape {
        Shape::Map(Box::new(T::shape()))
    }
    fn decode(node: &Node, decoder: &mut Decoder<'_>) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else { return decoder.wrong_type(node, "a map in curly brackets") };
        let mut decoded = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let name = String::decode(key, decoder);
            let segment = name.clone().map_or_else(String::new, |n| format!(".{n}"));
            let value = decoder.inside(segment, |d| T::decode(value, d));
            decoded.push(name.zip(value));
        }
        decoded.into_iter().collect()
    }
}

/// Declares a record: the struct, its shape and its decoder, from one list of fields
/// `name: Type [= default] [where check];`. A field without a default must be given.
macro_rules! record {
    ($(#[doc = $doc:literal])* pub struct $record:ident {
        $($(#[doc = $field_doc:literal])* $field:ident : $ty:ty $(= $default:tt)? $(where $check:expr)?;)*
    }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $record {
            $($(#[doc = $field_doc])* pub $field: $ty,)*
        }

        impl $crate::recipe::shape::Decode for $record {
            fn shape() -> $crate::recipe::shape::Shape {
                let fields = vec![$($crate::recipe::shape::FieldShape {
                    name: stringify!($field),
                    doc: &[$($field_doc),*],
                    shape: <$ty as $crate::recipe::shape::Decode>::shape(),
                    default: record!(@optional $(stringify!($default))?),
                    check: record!(@optional $($check)?),
                }),*];
                $crate::recipe::shape::Shape::Record($crate::recipe::shape::Record { doc: &[$($doc),*], fields })
            }
            fn decode(node: &$crate::recipe::syntax::Node, decoder: &mut $crate::recipe::decode::Decoder<'_>) -> Option<Self> {
                if !decoder.record(node, &[$(stringify!($field)),*]) {
                    return None;
                }
                $(let $field = decoder.field::<$ty>(node, stringify!($field), record!(@optional $(stringify!($default))?), record!(@optional $($check)?));)*
                Some(Self { $($field: $field?),* })
            }
        }
    };
    (@optional $value:expr) => { Some($value) };
    (@optional) => { None };
}

/// Declares an enum of bare words.
macro_rules! choice {
    ($(#[doc = $doc:literal])* pub enum $choice:ident { $($(#[doc = $word_doc:literal])* $word:ident,)* }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum $choice {
            $($(#[doc = $word_doc])* $word,)*
        }

        impl $choice {
            /// Every word, in order.
            pub const ALL: &'static [Self] = &[$(Self::$word),*];
        }

        impl $crate::recipe::shape::Decode for $choice {
            fn shape() -> $crate::recipe::shape::Shape {
                $crate::recipe::shape::Shape::Choice(&[$((stringify!($word), concat!($($word_doc),*))),*])
            }
            fn decode(node: &$crate::recipe::syntax::Node, decoder: &mut $crate::recipe::decode::Decoder<'_>) -> Option<Self> {
                let word = decoder.word(node, &[$(stringify!($word)),*])?;
                $(if word == stringify!($word) { return Some(Self::$word); })*
                None
            }
        }
    };
}

pub(super) use {choice, record};
