//! Prompts as the decoder receives them.

use twinhost_policies::openvla::prompt::PromptTokenizer;

const PAD: i64 = 320;

fn instructions() -> Vec<String> {
    ["Pick up the red cube", "push the cube, gently"].map(String::from).into()
}

#[test]
fn bos_comes_first_then_padding_then_text() {
    let mut tokenizer = PromptTokenizer::from_instructions(&instructions(), 64).unwrap();
    let prompts = tokenizer.batch(["push the cube", "pick up the red cube"].into_iter(), PAD).unwrap();
    // BOS, "In: ... to", five words, "?\nOut:", lone space.
    assert_eq!(prompts.width, 9);
    let rows: Vec<&[i64]> = prompts.ids.chunks(9).collect();
    assert_eq!(rows[0][..3], [1, PAD, PAD]);
    assert_eq!(prompts.valid[..9], [true, false, false, true, true, true, true, true, true]);
    assert!(prompts.valid[9..].iter().all(|&v| v));
    for row in rows {
        assert_eq!(row[8], 3, "the lone space ends every prompt");
        assert_eq!(row[7], 5, "the template's end is one token");
    }
}

#[test]
fn words_keep_their_identity_and_unknown_ones_share_one() {
    let mut tokenizer = PromptTokenizer::from_instructions(&instructions(), 64).unwrap();
    let ids = |t: &mut PromptTokenizer, text: &str| t.encode(text).unwrap().to_vec();
    let known = ids(&mut tokenizer, "pick up the red cube");
    assert_eq!(known, ids(&mut tokenizer, "Pick UP the red cube"), "case does not matter");
    assert!(!known.contains(&0));
    let unknown = ids(&mut tokenizer, "pick up the blue cube");
    assert_eq!(unknown[5], 0, "an unseen word is <unk>");
    assert_eq!((unknown[4], unknown[6]), (known[4], known[6]));
    // The comma of the second instruction is a word of its own.
    assert_eq!(ids(&mut tokenizer, "push the cube, gently").len(), ids(&mut tokenizer, "push the cube gently").len() + 1);
}

#[test]
fn the_order_of_instructions_does_not_matter() {
    let mut reversed = instructions();
    reversed.reverse();
    let one = PromptTokenizer::from_instructions(&instructions(), 64).unwrap().to_json().unwrap();
    assert_eq!(one, PromptTokenizer::from_instructions(&reversed, 64).unwrap().to_json().unwrap());
}

#[test]
fn a_saved_tokeniser_gives_the_same_ids() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let mut tokenizer = PromptTokenizer::from_instructions(&instructions(), 64).unwrap();
    std::fs::write(&path, tokenizer.to_json().unwrap()).unwrap();
    let mut loaded = PromptTokenizer::from_file(&path, tokenizer.width()).unwrap();
    for text in ["push the cube", "pick up the purple thing", "PICK up, gently"] {
        assert_eq!(tokenizer.encode(text).unwrap(), loaded.encode(text).unwrap());
    }
    assert_eq!(loaded.batch(["push"].into_iter(), PAD).unwrap().width, 9);
}

#[test]
fn too_many_words_name_the_remedy() {
    let e = PromptTokenizer::from_instructions(&instructions(), 10).err().unwrap().to_string();
    assert!(e.contains("real_vocab") && e.contains("8 different words"), "{e}");
}
