//! The texts that clients of OCI runtimes match, word for word (docs/reference/errors.md).

use lxcri_testkit::Finished;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::skip;

use crate::registry::cases;

cases!("contract": texts_of_the_life_cycle, texts_of_programs, document_lists_them);

const DOCUMENT: &str = include_str!("../../../docs/reference/errors.md");

/// Texts that these cases provoke; the document must list exactly these.
const TEXTS: [&str; 10] = [
    "container does not exist",
    "container with given ID already exists",
    "container not running",
    "cannot start an already running container",
    "cannot start a container that has stopped",
    "cannot exec in a stopped container",
    "cannot exec in a paused container",
    "executable file not found in $PATH",
    "no such file or directory",
    "permission denied",
];

fn says(finished: &Finished, text: &str) -> Verdict {
    ensure!(finished.code != 0, "{finished}");
    ensure!(finished.stderr.contains(text), "{text:?} is not in {finished}");
    ensure!(TEXTS.contains(&text), "{text:?} is not in the list");
    Ok(())
}

fn only_ours(room: &Room) -> Verdict {
    if !room.runtime.ours {
        skip!("the words of peers are their own");
    }
    Ok(())
}

fn texts_of_the_life_cycle(room: &Room) -> Verdict {
    only_ours(room)?;
    for verb in ["state", "start", "kill", "delete", "pause", "resume", "ps"] {
        says(&room.call(&[verb, "nobody"])?, "container does not exist")?;
    }
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    says(&container.create_with(&[])?, "container with given ID already exists")?;
    says(&container.call("start")?, "cannot start an already running container")?;
    container.call("pause")?.ok()?;
    says(&container.exec(&["true"])?, "cannot exec in a paused container")?;
    container.call("resume")?.ok()?;
    container.kill("KILL")?;
    container.becomes("stopped")?;
    says(&container.call("start")?, "cannot start a container that has stopped")?;
    says(&container.exec(&["true"])?, "cannot exec in a stopped container")?;
    for verb in ["kill", "pause", "ps"] {
        says(&container.call(verb)?, "container not running")?;
    }
    container.wait()?;
    container.delete()
}

fn texts_of_programs(room: &Room) -> Verdict {
    only_ours(room)?;
    for (program, text) in [
        ("no-such-program", "executable file not found in $PATH"),
        ("/no/such/program", "no such file or directory"),
        ("/etc/passwd", "permission denied"),
    ] {
        let mut bundle = room.bundle()?;
        bundle.args(&[program]);
        says(&room.run(&bundle)?, text)?;
        let sleeper = room.script("exec sleep 1000")?;
        let container = room.running(&sleeper)?;
        let finished = container.exec(&[program])?;
        ensure!(finished.code == 255, "{finished}");
        says(&finished, text)?;
        container.end()?;
    }
    Ok(())
}

fn document_lists_them(_room: &Room) -> Verdict {
    for text in TEXTS {
        ensure!(DOCUMENT.contains(&format!("`{text}`")), "{text:?} is not in errors.md");
    }
    let table = DOCUMENT.split("Texts that are contract").nth(1).unwrap_or_default();
    let listed = table.lines().filter(|line| line.starts_with("| `"));
    let cells = listed.filter_map(|line| line.split('|').nth(1)).flat_map(|cell| cell.split(','));
    for cell in cells {
        let text = cell.trim().trim_matches('`');
        ensure!(TEXTS.contains(&text), "errors.md lists {text:?}, which no case provokes");
    }
    Ok(())
}
