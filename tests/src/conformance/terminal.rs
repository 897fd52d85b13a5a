//! Terminals.

use std::process::Stdio;

use lxcri_testkit::Bundle;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process::exit_code;
use lxcri_testkit::terminal::ConsoleSocket;
use lxcri_testkit::terminal::Terminal;
use serde_json::json;

use crate::registry::cases;

cases!("terminal": console_socket, console_size, controlling_terminal, owned_by_the_user,
    socket_is_required, no_terminal_without_request, foreground);

fn with_terminal(room: &Room, script: &str) -> Verdict<Bundle> {
    let mut bundle = room.script(script)?;
    bundle.set("/process/terminal", json!(true));
    Ok(bundle)
}

/// Creates and starts with a console socket, waits for the end, returns what the terminal showed.
fn shown(room: &Room, bundle: &Bundle) -> Verdict<String> {
    let socket = ConsoleSocket::bind(&room.dir().join("console"))?;
    let container = room.container(bundle);
    container.create_with(&["--console-socket", socket.path()])?.ok()?;
    let mut terminal = socket.receive()?;
    container.start()?;
    let text = terminal.read_to_end()?;
    container.finish()?;
    Ok(text.replace('\r', ""))
}

fn console_socket(room: &Room) -> Verdict {
    let bundle = with_terminal(
        room,
        "read line; echo \"got $line\"; tty; test -c /dev/console && echo console",
    )?;
    let socket = ConsoleSocket::bind(&room.dir().join("console"))?;
    let container = room.container(&bundle);
    container.create_with(&["--console-socket", socket.path()])?.ok()?;
    let mut terminal = socket.receive()?;
    container.start()?;
    terminal.send("hello\n")?;
    let text = terminal.read_to_end()?;
    ensure!(text.contains("got hello\r\n"), "what the terminal showed: {text:?}");
    ensure!(text.contains("/dev/pts/0\r\n") || text.contains("/dev/console"), "tty: {text:?}");
    ensure!(text.contains("console\r\n"), "/dev/console: {text:?}");
    ensure_eq!(container.finish()?, 0, "exit code");
    Ok(())
}

fn console_size(room: &Room) -> Verdict {
    let mut bundle = with_terminal(room, "stty size")?;
    bundle.set("/process/consoleSize", json!({ "height": 33, "width": 101 }));
    ensure_eq!(shown(room, &bundle)?, "33 101\n", "size of the terminal");
    Ok(())
}

fn controlling_terminal(room: &Room) -> Verdict {
    let script = "echo through-tty >/dev/tty; for n in 0 1 2; do test -t $n && echo $n; done; ps -o pid,sid | grep ' 1 .* 1$' >/dev/null || cut -d' ' -f6,7 /proc/self/stat";
    let text = shown(room, &with_terminal(room, script)?)?;
    ensure!(text.starts_with("through-tty\n0\n1\n2\n"), "what the terminal showed: {text:?}");
    Ok(())
}

fn owned_by_the_user(room: &Room) -> Verdict {
    let mut bundle = with_terminal(room, "stat -c %u $(tty); echo ok >$(tty)")?;
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    ensure_eq!(shown(room, &bundle)?, "1000\nok\n", "owner of the terminal");
    Ok(())
}

/// A terminal for a detached container has nowhere to go without a socket.
fn socket_is_required(room: &Room) -> Verdict {
    let bundle = with_terminal(room, "true")?;
    room.container(&bundle).create_with(&[])?.refuses(&["console", "terminal", "tty"])?;
    Ok(())
}

/// The opposite mistake: a socket, but no terminal in the configuration.
fn no_terminal_without_request(room: &Room) -> Verdict {
    let bundle = room.script("test -t 0 || echo none")?;
    ensure_eq!(room.output(&bundle)?, "none\n", "terminal on standard input");
    Ok(())
}

/// `run` in the foreground relays between its own terminal and the container's.
fn foreground(room: &Room) -> Verdict {
    let bundle = with_terminal(
        room,
        "until stty size 2>/dev/null | grep -q 41; do sleep 0.02; done; stty size; read line; echo \"got $line\"; exit 9",
    )?;
    bundle.write()?;
    let (mut outer, inner) = Terminal::new()?;
    outer.resize(41, 99)?;
    let dir = bundle.dir.to_string_lossy();
    let mut child = room
        .runtime
        .command(&room.root(), &["run", "--bundle", &dir, &room.id()])
        .stdin(Stdio::from(inner.try_clone()?))
        .stdout(Stdio::from(inner.try_clone()?))
        .stderr(Stdio::from(inner))
        .spawn()?;
    let talk = || -> Verdict {
        outer.expect("41 99")?;
        outer.send("hello\n")?;
        outer.expect("got hello")?;
        Ok(())
    };
    let result = { talk }();
    let pid = i32::try_from(child.id())?;
    if result.is_err()
        || !lxcri_testkit::process::ends_within(pid, lxcri_testkit::process::DEADLINE)
    {
        lxcri_testkit::process::kill_tree(pid);
    }
    let status = child.wait()?;
    result?;
    ensure_eq!(exit_code(status), 9, "exit code");
    Ok(())
}
