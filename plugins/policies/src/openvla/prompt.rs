//! Instructions to token ids: OpenVLA's prompt template, a `tokenizers` tokeniser, BOS first and padding behind it.

use serde_json::json;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use tokenizers::Tokenizer;
use twinhost_plugin_api::{Error, Result};

const BEFORE: &str = "In: What action should the robot take to";
const AFTER: &str = "?\nOut:";
/// Sentencepiece's lone space. OpenVLA's prompts end with it (id 29871 in Llama's vocabulary).
const SPACE: &str = "▁";
const BOS: &str = "<s>";
const UNKNOWN: &str = "<unk>";
/// `</s>`, in Llama's vocabulary and in ours.
pub const END_TOKEN: i64 = 2;

/// Token ids of N prompts, padded to one width: `[BOS, padding, text]`.
pub struct Prompts {
    /// i64 `[N, T]`, row-major.
    pub ids: Vec<i64>,
    /// `[N, T]`, false on padding.
    pub valid: Vec<bool>,
    /// T.
    pub width: usize,
}

/// A tokeniser with the template around it; remembers what it has tokenised.
pub struct PromptTokenizer {
    tokenizer: Tokenizer,
    bos: u32,
    space: u32,
    known: HashMap<String, Vec<i64>>,
    /// Prompts are padded to at least this many tokens, so that shapes do not depend on which rows share a batch.
    width: usize,
}

impl PromptTokenizer {
    /// A word-level tokeniser for a set of instructions: each half of the template is one token, every word has its own, unknown ones
    /// become `<unk>`. Equal sets of instructions give equal ids, in whatever order they come.
    ///
    /// # Errors
    /// If the words do not fit into `capacity` ids.
    pub fn from_instructions(instructions: &[String], capacity: usize) -> Result<Self> {
        let lower: Vec<String> = instructions.iter().map(|text| text.to_lowercase()).collect();
        let words: BTreeSet<&str> = lower.iter().flat_map(|text| words(text)).collect();
        let special = [UNKNOWN, BOS, "</s>", SPACE, BEFORE, AFTER];
        let needed = special.len() + words.len();
        if needed > capacity {
            return Err(Error::input(format!(
                "the instructions have {} different words, but only {} token ids are free; set `real_vocab` to at least {}",
                words.len(),
                capacity.saturating_sub(special.len()),
                needed + super::architecture::ACTION_BINS as usize
            )));
        }
        let vocabulary: serde_json::Map<String, serde_json::Value> =
            special.iter().copied().chain(words).enumerate().map(|(id, token)| (token.to_string(), json!(id))).collect();
        let added: Vec<serde_json::Value> = special
            .iter()
            .enumerate()
            .map(|(id, token)| json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}))
            .collect();
        let bos = json!({"SpecialToken": {"id": BOS, "type_id": 0}});
        let first = json!({"Sequence": {"id": "A", "type_id": 0}});
        let description = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null, "decoder": null,
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": {
                "type": "TemplateProcessing", "single": [bos, first], "pair": [bos, first, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {BOS: {"id": BOS, "ids": [1], "tokens": [BOS]}},
            },
            "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": UNKNOWN},
        });
        let tokenizer =
            Tokenizer::from_bytes(description.to_string()).map_err(|e| Error::internal(format!("building the tokeniser: {e}")))?;
        let mut prompts = Self::new(tokenizer, "the instructions' tokeniser")?;
        for text in instructions {
            let length = prompts.encode(text)?.len();
            prompts.width = prompts.width.max(length);
        }
        Ok(prompts)
    }

    /// Reads a `tokenizer.json`; prompts are padded to at least `width` tokens.
    ///
    /// # Errors
    /// If the file is missing, malformed, or lacks `<s>` or the lone space.
    pub fn from_file(path: &Path, width: usize) -> Result<Self> {
        let text = std::fs::read(path).map_err(|e| Error::io(format!("{}: {e}", path.display())))?;
        let tokenizer = Tokenizer::from_bytes(text).map_err(|e| Error::input(format!("{}: not a tokeniser: {e}", path.display())))?;
        Ok(Self { width, ..Self::new(tokenizer, &path.display().to_string())? })
    }

    fn new(tokenizer: Tokenizer, source: &str) -> Result<Self> {
        let id = |token: &str| {
            tokenizer.token_to_id(token).ok_or_else(|| Error::input(format!("{source}: the vocabulary has no token `{token}`")))
        };
        let (bos, space) = (id(BOS)?, id(SPACE)?);
        Ok(Self { tokenizer, bos, space, known: HashMap::new(), width: 0 })
    }

    /// The text of `tokenizer.json`.
    ///
    /// # Errors
    /// If the tokeniser cannot be written.
    pub fn to_json(&self) -> Result<String> {
        self.tokenizer.to_string(true).map_err(|e| Error::internal(format!("writing the tokeniser: {e}")))
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// Ids of one prompt: BOS, the text, the lone space.
    ///
    /// # Errors
    /// If the tokeniser refuses the text.
    pub fn encode(&mut self, instruction: &str) -> Result<&[i64]> {
        if !self.known.contains_key(instruction) {
            let text = format!("{BEFORE} {}{AFTER}", instruction.to_lowercase());
            let encoding = self.tokenizer.encode(text, true).map_err(|e| Error::input(format!("tokenising `{instruction}`: {e}")))?;
            let mut ids = encoding.get_ids().to_vec();
            if ids.first() != Some(&self.bos) {
                ids.insert(0, self.bos);
            }
            if ids.last() != Some(&self.space) {
                ids.push(self.space);
            }
            self.known.insert(instruction.to_string(), ids.into_iter().map(i64::from).collect());
        }
        Ok(&self.known[instruction])
    }

    /// Prompts of N instructions with `pad` between BOS and text.
    ///
    /// # Errors
    /// As [`PromptTokenizer::encode`].
    pub fn batch<'a>(&mut self, instructions: impl Iterator<Item = &'a str>, pad: i64) -> Result<Prompts> {
        let rows: Vec<Vec<i64>> = instructions.map(|text| self.encode(text).map(<[i64]>::to_vec)).collect::<Result<_>>()?;
        let width = rows.iter().map(Vec::len).max().unwrap_or(0).max(self.width);
        let (mut ids, mut valid) = (Vec::with_capacity(rows.len() * width), Vec::with_capacity(rows.len() * width));
        for row in &rows {
            let padding = width - row.len();
            ids.push(row[0]);
            ids.extend(std::iter::repeat_n(pad, padding));
            ids.extend(&row[1..]);
            valid.push(true);
            valid.extend(std::iter::repeat_n(false, padding));
            valid.extend(std::iter::repeat_n(true, row.len() - 1));
        }
        Ok(Prompts { ids, valid, width })
    }
}

/// Splits as the tokeniser does: runs of word characters, and runs of anything else that is not a space.
fn words(text: &str) -> Vec<&str> {
    let class = |c: char| {
        if c.is_whitespace() {
            0
        } else if c.is_alphanumeric() || c == '_' {
            1
        } else {
            2
        }
    };
    let mut found = Vec::new();
    let mut start = 0;
    let mut previous = 0;
    for (at, c) in text.char_indices() {
        if class(c) != previous {
            if previous != 0 {
                found.push(&text[start..at]);
            }
            (start, previous) = (at, class(c));
        }
    }
    if previous != 0 {
        found.push(&text[start..]);
    }
    found
}
