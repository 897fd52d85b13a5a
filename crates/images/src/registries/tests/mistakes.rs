//! What is wrong with a file: the line, the key and the message.

use std::path::Path;

use super::super::*;

#[test]
fn mistakes_name_line_and_key() {
    let search = "1: unqualified-search-registries: ";
    let location = "2: registry.location: ";
    let cases: &[(&str, &str, &str)] = &[
        ("a = ", "1: ", ""),
        ("a = 1\na = 2", "2: ", ""),
        ("\n\nunqualified = []", "3: unqualified: unknown key", ""),
        (
            "unqualified-search-registry = []",
            "1: unqualified-search-registry: unknown key",
            "unqualified-search-registries?",
        ),
        (
            "[registries.search]\nregistries = ['a.org']",
            "1: registries: this is version 1 of the format",
            "write unqualified-search-registries",
        ),
        (
            "unqualified-search-registries = 'a.org'",
            &format!("{search}expected a list of strings, found a string"),
            "",
        ),
        (
            "unqualified-search-registries = [1]",
            &format!("{search}expected a string, found a number"),
            "",
        ),
        (
            "unqualified-search-registries = [\n'a.org',\n'a.org/x']",
            "3: unqualified-search-registries: \"a.org/x\" is no registry",
            "",
        ),
        (
            "unqualified-search-registries = ['registry1']",
            &format!("{search}\"registry1\" is no registry"),
            "",
        ),
        ("unqualified-search-registries = ['']", &format!("{search}\"\" is no registry"), ""),
        (
            "unqualified-search-registries = ['https://a.org']",
            &format!("{search}\"https://a.org\" is no registry"),
            "",
        ),
        (
            "unqualified-search-registries = ['*.a.org']",
            &format!("{search}\"*.a.org\" is no registry"),
            "",
        ),
        (
            "unqualified-search-registries = [\"a.org\\n\"]",
            &format!("{search}\"a.org\\n\" is no registry"),
            "",
        ),
        (
            "short-name-mode = 'strict'",
            "1: short-name-mode: \"strict\" is not one of enforcing, permissive, disabled",
            "",
        ),
        (
            "short-name-mode = true",
            "1: short-name-mode: expected a string, found true or false",
            "",
        ),
        (
            "credential-helpers = ['../evil']",
            "1: credential-helpers: \"../evil\" is no name of a credential helper",
            "",
        ),
        ("credential-helpers = ['']", "1: credential-helpers: \"\" is no name", ""),
        ("credential-helpers = ['a b']", "1: credential-helpers: \"a b\" is no name", ""),
        ("additional-layer-store-auth-helper = 1", "expected a string, found a number", ""),
        (
            "[registry]\nlocation = 'a.org'",
            "1: registry: expected a list of tables, found a table",
            "write [[registry]]",
        ),
        ("registry = [1]", "1: registry: expected a table, found a number", ""),
        (
            "[[registry]]\ninsecure = true",
            "1: registry: a [[registry]] needs a prefix or a location",
            "",
        ),
        ("[[registry]]\nlocation = ''", "1: registry: a [[registry]] needs", ""),
        (
            "[[registry]]\nlocatoin = 'a.org'",
            "2: registry.locatoin: unknown key",
            "did you mean location?",
        ),
        ("[[registry]]\nurl = 'a.org'", "2: registry.url: unknown key", ""),
        (
            "[[registry]]\nlocation = 'https://a.org'",
            &format!(
                "{location}\"https://a.org\" is no registry and no name below one: names have no scheme"
            ),
            "",
        ),
        (
            "[[registry]]\nlocation = 'mirror/x'",
            &format!("{location}\"mirror/x\" is no registry"),
            "",
        ),
        ("[[registry]]\nlocation = 'a.org/X'", "must be in lower case", ""),
        ("[[registry]]\nlocation = 'a.org//x'", "a component of the path is empty", ""),
        (
            "[[registry]]\nlocation = '/etc/passwd'",
            &format!("{location}\"/etc/passwd\" is no registry"),
            "",
        ),
        (
            "[[registry]]\nlocation = '*.a.org'",
            &format!("{location}\"*.a.org\" is no registry"),
            "",
        ),
        (
            "[[registry]]\nprefix = 'a.*.org'",
            "2: registry.prefix: \"a.*.org\": a wildcard may only be",
            "",
        ),
        ("[[registry]]\nprefix = '*.a.org/x'", "a wildcard may only be the first label", ""),
        ("[[registry]]\nprefix = '*.a.org:5000'", "a wildcard may only be the first label", ""),
        ("[[registry]]\nprefix = '*'", "a wildcard may only be the first label", ""),
        ("[[registry]]\nprefix = '*.'", "a wildcard may only be the first label", ""),
        ("[[registry]]\nprefix = '*a.org'", "a wildcard may only be the first label", ""),
        (
            "[[registry]]\nlocation = 'a.org'\ninsecure = 'yes'",
            "3: registry.insecure: expected true or false, found a string",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\nblocked = 1",
            "3: registry.blocked: expected true or false, found a number",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\n\n[[registry]]\nprefix='A.org/'",
            "4: registry: the prefix \"a.org\" has been used on line 1",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\n[[registry]]\nprefix='b.org'\nlocation = 'a.org'\ninsecure = true",
            "3: registry.insecure: \"a.org\" has another value on line 1",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\nblocked = true\n[[registry]]\nprefix='b.org'\nlocation = 'a.org'",
            "4: registry.blocked: \"a.org\" has another value on line 1",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\npull-from-mirror = 'all'",
            "3: registry.pull-from-mirror: belongs into [[registry.mirror]]",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\nmirror = ['m.org']",
            "3: registry.mirror: expected a table, found a string",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\n[registry.mirror]\nlocation = 'm.org'",
            "registry.mirror: expected a list of tables, found a table",
            "write [[registry.mirror]]",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\n[[registry.mirror]]\ninsecure = true",
            "3: registry.mirror: a mirror needs a location",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\n[[registry.mirror]]\nlocation = 'm.org'\nblocked = true",
            "5: registry.mirror.blocked: unknown key",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\n[[registry.mirror]]\nlocation = 'm.org'\npull-from-mirror = 'digests'",
            "5: registry.mirror.pull-from-mirror: \"digests\" is not one of all, digest-only, tag-only",
            "",
        ),
        (
            "[[registry]]\nlocation = 'a.org'\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = 'm.org'\npull-from-mirror = 'all'",
            "6: registry.mirror.pull-from-mirror: cannot be set together with mirror-by-digest-only",
            "",
        ),
        ("aliases = 1", "1: aliases: expected a table, found a number", ""),
        (
            "[aliases]\n'a.org/x' = 'b.org/x'",
            "2: aliases.a.org/x: no short name: \"a.org/x\" is no image name: a short name names no registry",
            "",
        ),
        ("[aliases]\n'x:1' = 'b.org/x'", "2: aliases.x:1: an alias has neither tag nor digest", ""),
        ("[aliases]\nx = 'b.org/x:1'", "2: aliases.x: an alias has neither tag nor digest", ""),
        ("[aliases]\nx = 'y'", "2: aliases.x: \"y\" names no registry", ""),
        (
            "[aliases]\nx = 'b.org/X'",
            "2: aliases.x: no complete name: \"b.org/X\" is no image name",
            "",
        ),
        ("[aliases]\nx = true", "2: aliases.x: expected a string, found true or false", ""),
        ("[aliases]\n\"\\u001b[31m\" = 'b.org/x'", "2: aliases.\\x1b[31m: no short name", ""),
    ];
    for (text, message, hint) in cases {
        let error = Registries::parse(Path::new("/r.conf"), text).expect_err(text);
        let shown = error.to_string();
        let place = if message.as_bytes()[0].is_ascii_digit() { "/r.conf:" } else { "" };
        assert!(shown.contains(&format!("{place}{message}")), "{text:?}: {shown}");
        let hints = error.hints().join("");
        assert!(hints.contains(*hint) && hints.is_empty() == hint.is_empty(), "{text:?}: {hints}");
        assert!(!shown.chars().any(char::is_control) && shown.starts_with("/r.conf"), "{shown}");
    }
}

#[test]
fn keys_without_a_use_here_are_known() {
    let registries = Registries::parse(
        Path::new("/r.conf"),
        "credential-helpers = ['pass', 'containers-auth.json']\n\
         additional-layer-store-auth-helper = 'helper'\nshort-name-mode = ''",
    );
    let registries = registries.unwrap();
    assert_eq!(registries.credential_helpers(), ["pass", AUTH_FILE_HELPER]);
    assert_eq!(registries.short_name_mode(), ShortNameMode::Permissive);
    let empty = Registries::parse(Path::new("/r.conf"), "credential-helpers = []").unwrap();
    assert_eq!(empty.credential_helpers(), [AUTH_FILE_HELPER]);
}

#[test]
fn large_files_are_no_trouble() {
    use std::fmt::Write;
    let mut text = String::new();
    for number in 0..20_000 {
        writeln!(text, "[[registry]]\nlocation = 'h{number}.org'").unwrap();
    }
    let registries = Registries::parse(Path::new("/r.conf"), &text).unwrap();
    let name: Reference = "h19999.org/x".parse().unwrap();
    assert_eq!(registries.endpoints(&name).unwrap().len(), 1);
    let deep = format!("aliases = {}", "[".repeat(100_000));
    assert!(Registries::parse(Path::new("/r.conf"), &deep).is_err());
}
