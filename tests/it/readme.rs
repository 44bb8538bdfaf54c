//! The README's story "Why was my origin refused": its configuration, its change and its commands are
//! taken from the README itself and run; what the README shows is what the commands say.

use std::fs;
use std::process::{Command, Stdio};

use crate::harness::node::{Scratch, binary, workspace};

/// The fenced blocks of one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let behind = text.split(&fence).skip(1);
    behind
        .filter_map(|rest| rest.split("```").next())
        .map(str::to_owned)
        .collect()
}

/// The story's section.
fn story() -> (String, String) {
    let readme = fs::read_to_string(workspace().join("README.md")).expect("readable");
    let (_, behind) = readme
        .split_once("## Why was my origin refused")
        .expect("the README tells the story");
    let story = behind.split("\n## ").next().expect("a first part");
    (readme.clone(), story.to_owned())
}

/// Runs one command of the README where its files lie; what it says on both outputs.
fn say(scratch: &Scratch, command: &str) -> String {
    let mut words = Vec::new();
    for (number, part) in command.split('\'').enumerate() {
        match number % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    assert_eq!(words.remove(0), "corsair", "{command}");
    let output = Command::new(binary())
        .args(&words)
        .current_dir(&scratch.0)
        .stdin(Stdio::null())
        .output()
        .expect("the binary under test starts");
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code();
    let wanted = if words[0] == "diff" { 3 } else { 0 };
    assert_eq!(code, Some(wanted), "{command}");
    String::from_utf8(text).expect("text")
}

/// Without the moment at which a command ran.
fn timeless(text: &str) -> Vec<String> {
    let line = |line: &str| match line.split_once("Date: ") {
        Some((before, _)) => format!("{before}Date: …"),
        None => line.to_owned(),
    };
    text.trim_end().lines().map(line).collect()
}

#[test]
fn the_story_of_a_refused_origin_is_true() {
    let (readme, story) = story();
    let scratch = Scratch::new();
    let config = blocks(&readme, "toml").remove(0);
    scratch.write("bucket.toml", &config);
    let changes = blocks(&story, "diff");
    let line = |sign: char| {
        let mut lines = changes[0].lines();
        let found = lines.find_map(|line| line.strip_prefix(sign));
        found.expect("a changed line").to_owned()
    };
    assert!(config.contains(&line('-')), "the change is of another file");
    scratch.write("next.toml", &config.replace(&line('-'), &line('+')));
    let consoles = blocks(&story, "console");
    assert!(consoles.len() >= 3, "the story has lost its commands");
    for console in consoles {
        let (command, shown) = console.split_once('\n').expect("a command and its output");
        // A command may go on below.
        let (more, shown) = match command.strip_suffix('\\') {
            Some(begin) => {
                let (end, shown) = shown.split_once('\n').expect("the rest of the command");
                (format!("{begin}{}", end.trim()), shown)
            }
            None => (command.to_owned(), shown),
        };
        let command = more.strip_prefix("$ ").expect("a prompt");
        let said = say(&scratch, command);
        assert_eq!(timeless(&said), timeless(shown), "{command}\n{said}");
    }
}
