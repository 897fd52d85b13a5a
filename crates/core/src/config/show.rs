//! Prints the configuration that holds, as TOML.

use std::fmt::Write;

use super::{Config, Setting, Value, route};
use crate::logging::printable;
use crate::routing::Route;

impl Config {
    /// The configuration that holds as a TOML document that [`load`](super::load) reads back to the
    /// same values, with the origin of each in a comment. Keys that are not set are comments.
    pub fn to_toml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in &self.settings {
            if setting.section != section {
                let gap = if section.is_empty() { "" } else { "\n" };
                section = setting.section;
                push(&mut text, format_args!("{gap}[{section}]\n"));
            }
            push_setting(&mut text, setting);
        }
        for route in &self.routes {
            push_route(&mut text, route);
        }
        text
    }
}

fn push_setting(text: &mut String, setting: &Setting) {
    let name = setting.key.name;
    match &setting.value {
        Some(value) => {
            // A path may hold a line feed, which would end the comment.
            let origin = setting.origin.to_string();
            push(text, format_args!("{name} = {value}  # {}\n", printable(&origin)));
        }
        None => push(text, format_args!("# {name} is not set\n")),
    }
}

fn push_route(text: &mut String, rule: &Route) {
    push(text, format_args!("\n[[{}]]  # {}\n", route::NAME, printable(&rule.place)));
    let annotation = rule.annotation.as_ref().map(|(key, pattern)| format!("{key}={pattern}"));
    let entries = [
        ("id", rule.id.as_ref().map(ToString::to_string)),
        ("bundle", rule.bundle.as_ref().map(ToString::to_string)),
        ("annotation", annotation),
        ("backend", Some(rule.backend.clone())),
    ];
    for (name, value) in entries {
        if let Some(value) = value {
            push(text, format_args!("{name} = {}\n", Value::String(value)));
        }
    }
}

/// Writing to a string cannot fail, so that there is no error to hand on.
pub(super) fn push(text: &mut String, piece: std::fmt::Arguments<'_>) {
    let _: std::fmt::Result = text.write_fmt(piece);
}
