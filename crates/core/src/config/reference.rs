//! Writes the reference of all keys, `docs/reference/config.md`, from the schema.

use super::route;
use super::schema::{Key, Kind, Schema, Section, variable};
use super::show::push;

const INTRODUCTION: &str = "\
# Configuration

<!-- Generated from the schema in the program; do not edit. -->

No file is needed: every key has a default or may be left out. Values come from, later ones winning:

1. the defaults below;
2. `/etc/proxmox-lxcri/config.toml`, then `/etc/proxmox-lxcri/conf.d/*.toml` in lexical order; for
   users other than root the same names below `$XDG_CONFIG_HOME/proxmox-lxcri` (where that is not
   set: `~/.config/proxmox-lxcri`). With `--config FILE` or `PROXMOX_LXCRI_CONFIG=FILE` that file
   alone;
3. environment variables `PROXMOX_LXCRI_<SECTION>_<KEY>`, in lists with commas between the items;
4. options of the command line.

Unknown sections, keys and variables, and values that do not fit, are errors. `proxmox-lxcri config
show` prints what holds and where each value came from; `proxmox-lxcri config check` finds mistakes.
";

const ROUTES: &str = "
## `[[route]]`

Rules that choose a backend. The order is: `--backend`, then the routes, then (where
`runtime.backend_annotation` allows it) the bundle's annotation `io.proxmox-lxcri.backend`, then
`runtime.default_backend`. The first route whose given patterns all match wins; the routes of all
files are tried in the order in which the files are read. A route needs `backend` and at least one
pattern. In patterns `*` stands for any run of characters, `/` included, and `?` for exactly one.

```toml
[[route]]
id = \"web-*\"
annotation = \"tier=front-*\"
backend = \"native\"
```

| key | value | meaning |
| --- | --- | --- |
";

impl Schema {
    /// The reference of all keys in Markdown, for `docs/reference/config.md`.
    pub fn to_markdown(&self) -> String {
        let mut text = INTRODUCTION.to_owned();
        for section in self.sections() {
            push_section(&mut text, section, self.backends());
        }
        text.push_str(ROUTES);
        for key in route::KEYS {
            let kind = kind_in_markdown(&key.kind, self.backends());
            push(&mut text, format_args!("| `{}` | {kind} | {} |\n", key.name, key.doc));
        }
        text
    }
}

fn push_section(text: &mut String, section: &Section, backends: &[&str]) {
    push(text, format_args!("\n## `[{}]`\n\n{}\n", section.name, section.doc));
    for key in section.keys {
        push_key(text, section.name, key, backends);
    }
}

fn push_key(text: &mut String, section: &str, key: &Key, backends: &[&str]) {
    let default = key.default.map_or("not set".to_owned(), |default| format!("`{default}`"));
    let kind = kind_in_markdown(&key.kind, backends);
    let variable = variable(section, key.name);
    push(text, format_args!("\n### `{section}.{}`\n\n{}\n\n", key.name, key.doc));
    push(text, format_args!("- value: {kind}\n- default: {default}\n- variable: `{variable}`\n"));
}

fn kind_in_markdown(kind: &Kind, backends: &[&str]) -> String {
    let words = |words: &[&str]| {
        words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
    };
    match kind {
        Kind::Choice(choices) => format!("one of {}", words(choices)),
        Kind::Backend => format!("one of {}", words(backends)),
        Kind::Duration => {
            "a duration: numbers with `d`, `h`, `m`, `s`, `ms`, such as `\"1h30m\"`".to_owned()
        }
        other => other.to_string(),
    }
}
