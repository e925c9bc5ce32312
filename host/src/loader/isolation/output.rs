//! What a child prints becomes part of the host's log, under the component's name.

use std::io::{BufRead as _, BufReader, Read};
use tracing::Level;

/// The level and text of a line: the child logs as the host does, level first; whatever else it or a library prints is information.
fn told(line: &str) -> (Level, &str) {
    let line = line.trim_end();
    let (word, rest) = line.trim_start().split_once(' ').unwrap_or((line, ""));
    match word.parse::<Level>() {
        Ok(level) if word.chars().all(|c| c.is_ascii_uppercase()) => (level, rest.trim_start()),
        _ => (Level::INFO, line),
    }
}

/// Passes lines on until the stream ends, on a thread of its own. Without that thread the stream is closed, and only the lines are lost.
pub fn forward(stream: impl Read + Send + 'static, component: String) {
    let pass_on = move || {
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line);
            match told(&line) {
                (_, "") => {}
                (Level::ERROR, text) => tracing::error!("{component}: {text}"),
                (Level::WARN, text) => tracing::warn!("{component}: {text}"),
                (Level::INFO, text) => tracing::info!("{component}: {text}"),
                (Level::DEBUG, text) => tracing::debug!("{component}: {text}"),
                (Level::TRACE, text) => tracing::trace!("{component}: {text}"),
            }
        }
    };
    if let Err(e) = std::thread::Builder::new().name("child output".to_owned()).spawn(pass_on) {
        tracing::warn!("what a component's process prints is not shown: {e}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_the_childs_own() {
        assert_eq!(told(" WARN the physics of seed 3 diverged\n"), (Level::WARN, "the physics of seed 3 diverged"));
        assert_eq!(told("ERROR lost"), (Level::ERROR, "lost"));
        assert_eq!(told("info is no level of ours"), (Level::INFO, "info is no level of ours"));
        assert_eq!(told("thread 'main' panicked at src/lib.rs:3:5:"), (Level::INFO, "thread 'main' panicked at src/lib.rs:3:5:"));
        assert_eq!(told(""), (Level::INFO, ""));
    }
}
