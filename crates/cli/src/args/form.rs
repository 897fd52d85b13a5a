//! Which form of `run` and `create` is meant: a bundle, as runc has it, or an image.
//!
//! `--bundle` and `--image` settle it. So does every other option that only one form has. What is
//! left is decided by runc's own habit: one word that is a container id, with a `config.json` of a
//! bundle in the working directory, is a bundle. `create` is about an image only with `--image`.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use clap::{Arg, Command};
use lxcri_core::id::ContainerId;

/// The option that names an image.
const IMAGE: &str = "image";

/// The most bytes of a `config.json` that are looked at.
const CONFIG_MAX: u64 = 16 << 20;

/// Whether argv, from the program's name on, is about an image. `global` has the options before the
/// command; `bundle` and `image` give the two forms of a command that has two.
pub(super) fn is_image(
    argv: &[OsString],
    global: &Command,
    forms: impl Fn(&str) -> Option<(Command, Command)>,
    directory: &Path,
) -> bool {
    let Some((name, words)) = command_of(argv, global) else { return false };
    if name == "help" {
        return true;
    }
    let Some((bundle, image)) = forms(name) else { return false };
    let mut walk = Walk { known: [&bundle, &image], words, positional: None };
    let options = walk.options();
    // `run -d nginx` means an image, where nothing else says that it does not.
    let tells = |word: &&String| !["d", "detach"].contains(&word.as_str());
    let only = |form: &Command, other: &Command| {
        options.iter().filter(tells).any(|word| has(form, word) && !has(other, word))
    };
    // Help of the form that people want tells of the other, too.
    if options.iter().any(|word| [IMAGE, "help", "h"].contains(&word.as_str())) {
        return true;
    }
    if name != "run" || only(&bundle, &image) {
        return false;
    }
    match walk.positional {
        _ if only(&image, &bundle) => true,
        None => true,
        Some([id]) => !(is_id(id) && is_bundle(directory)),
        Some([_, next, ..]) => {
            // Options of a bundle may stand behind the id, those of an image are its command's.
            let next = next.to_str().and_then(|word| word.strip_prefix("--")).unwrap_or_default();
            let next = next.split('=').next().unwrap_or_default();
            !has(&bundle, next) || has(&image, next)
        }
        Some([]) => true,
    }
}

/// The command's name and its words.
fn command_of<'w>(argv: &'w [OsString], global: &'w Command) -> Option<(&'w str, &'w [OsString])> {
    let words = argv.get(1..)?;
    let mut walk = Walk { known: [global, global], words, positional: None };
    walk.options();
    let (name, words) = walk.positional?.split_first()?;
    Some((name.to_str()?, words))
}

/// Goes over words until the first that is no option.
struct Walk<'w> {
    known: [&'w Command; 2],
    words: &'w [OsString],
    /// The first word that is no option, and all that follow it.
    positional: Option<&'w [OsString]>,
}

impl Walk<'_> {
    /// The long names, or the single letters, of the options before it.
    fn options(&mut self) -> Vec<String> {
        let mut found = Vec::new();
        let mut rest = self.words;
        while let [word, after @ ..] = rest {
            let text = word.to_string_lossy();
            if text == "--" {
                rest = after;
                break;
            }
            let takes_next = if let Some(long) = text.strip_prefix("--") {
                let (name, value) =
                    long.split_once('=').map_or((long, None), |(n, v)| (n, Some(v)));
                found.push(name.to_owned());
                value.is_none() && self.takes_value(name)
            } else if let Some(letters) = text.strip_prefix('-').filter(|word| !word.is_empty()) {
                self.cluster(letters, &mut found)
            } else {
                break;
            };
            rest = if takes_next { after.get(1..).unwrap_or_default() } else { after };
        }
        self.positional = (!rest.is_empty()).then_some(rest);
        found
    }

    /// Letters behind one dash. True where the last one wants the next word.
    fn cluster(&self, letters: &str, found: &mut Vec<String>) -> bool {
        for (at, letter) in letters.char_indices() {
            let name = letter.to_string();
            let takes = self.takes_value(&name);
            found.push(name);
            if takes {
                return at + letter.len_utf8() == letters.len();
            }
        }
        false
    }

    fn takes_value(&self, name: &str) -> bool {
        let args = self.known.iter().flat_map(|command| command.get_arguments());
        args.filter(|arg| is_called(arg, name)).any(|arg| arg.get_action().takes_values())
    }
}

fn has(command: &Command, name: &str) -> bool {
    command.get_arguments().any(|arg| is_called(arg, name))
}

fn is_called(arg: &Arg, name: &str) -> bool {
    let mut letters = name.chars();
    match (letters.next(), letters.next()) {
        (Some(letter), None) => arg.get_short() == Some(letter),
        _ => {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
        }
    }
}

fn is_id(word: &OsStr) -> bool {
    word.to_str().is_some_and(|word| word.parse::<ContainerId>().is_ok())
}

/// Whether a directory holds a `config.json` that says it is of the runtime specification.
fn is_bundle(directory: &Path) -> bool {
    use std::io::Read;
    #[derive(serde::Deserialize)]
    struct Config {
        #[serde(rename = "ociVersion")]
        _version: String,
    }
    let path = directory.join("config.json");
    if !std::fs::metadata(&path).is_ok_and(|metadata| metadata.is_file()) {
        return false;
    }
    let mut text = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(CONFIG_MAX).read_to_end(&mut text));
    read.is_ok() && serde_json::from_slice::<Config>(&text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(name: &str) -> Option<(Command, Command)> {
        let flag = |name: &'static str| Arg::new(name).long(name).action(clap::ArgAction::SetTrue);
        let value = |name: &'static str| Arg::new(name).long(name).value_name("X");
        let bundle = || {
            let command = Command::new("b").arg(value("bundle").short('b')).arg(flag("keep"));
            command.arg(value("pid-file")).arg(flag("detach").short('d'))
        };
        let image = || {
            let command = Command::new("i").arg(value("image")).arg(flag("rm"));
            command.arg(value("env").short('e')).arg(flag("tty").short('t'))
        };
        ["run", "create"].contains(&name).then(|| (bundle(), image()))
    }

    #[test]
    fn the_form_is_told_by_options_and_the_working_directory() {
        let (bundle, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(bundle.path().join("config.json"), r#"{"ociVersion": "1.0.2"}"#).unwrap();
        std::fs::write(other.path().join("config.json"), r#"{"Env": []}"#).unwrap();
        let global = Command::new("x").arg(Arg::new("root").long("root"));
        // (words, image form in a bundle's directory, image form elsewhere)
        let cases = [
            ("run nginx", false, true),
            ("run docker.io/nginx", true, true),
            ("run nginx sh", true, true),
            ("run --rm nginx", true, true),
            ("run --bundle . nginx", false, false),
            ("run -b . nginx", false, false),
            ("run nginx --bundle /x", false, false),
            ("run nginx sh --bundle /x", true, true),
            ("run --keep nginx", false, false),
            ("run -d nginx", false, true),
            ("run -d --rm nginx", true, true),
            ("run -d --keep nginx", false, false),
            ("run -te A=b nginx", true, true),
            ("run -e --keep nginx", true, true),
            ("run --image nginx", true, true),
            ("run", true, true),
            ("--root /run run nginx sh", true, true),
            ("--root run create x", false, false),
            ("create x", false, false),
            ("create --help", true, true),
            ("create --image nginx x", true, true),
            ("create --image=nginx x", true, true),
            ("create --bundle b x", false, false),
            ("list run", false, false),
            ("help run", true, true),
            ("", false, false),
        ];
        for (words, in_bundle, elsewhere) in cases {
            let argv: Vec<OsString> =
                std::iter::once("x").chain(words.split_whitespace()).map(Into::into).collect();
            let image = |directory: &Path| is_image(&argv, &global, forms, directory);
            assert_eq!(image(bundle.path()), in_bundle, "{words}, in a bundle");
            assert_eq!(image(other.path()), elsewhere, "{words}, elsewhere");
        }
    }
}
