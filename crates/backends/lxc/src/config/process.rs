//! The user's process: all of it is lxcri-init's work. What only the host's root may do, raising a
//! hard limit or lowering oom_score_adj, LXC does before.

use lxcri_core::oci::Process;
use lxcri_linux::rlimit;

use super::file::Group;
use super::inside::Rlimit;
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::text;

/// File mode creation mask where the bundle has none, as runc has it.
const DEFAULT_UMASK: u32 = 0o022;

/// Persona numbers of personality(2).
const PERSONAS: [(&str, u64); 2] = [("LINUX", 0x0), ("LINUX32", 0x8)];

/// The range of `/proc/PID/oom_score_adj`.
const OOM_SCORES: std::ops::RangeInclusive<i32> = -1000..=1000;

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let process = planner.spec.process.as_ref();
    let process = process.ok_or_else(|| Problem::field("process", "property is missing"))?;
    check(process)?;
    rlimits(planner, process)?;
    oom_score(planner, process)?;
    personality(planner)?;
    paths(planner)?;
    let keyring = planner.how.new_keyring.then(|| format!("_ses.{}", planner.host.name));
    let inside = &mut planner.inside;
    inside.session_keyring = keyring;
    inside.args.clone_from(&process.args);
    inside.env.clone_from(&process.env);
    inside.cwd.clone_from(&process.cwd);
    (inside.uid, inside.gid) = (process.user.uid, process.user.gid);
    inside.groups.clone_from(&process.user.additional_gids);
    inside.umask = process.user.umask.unwrap_or(DEFAULT_UMASK) & 0o777;
    inside.terminal = process.terminal;
    let size = process.console_size.filter(|size| size.height > 0 && size.width > 0);
    inside.console_size = size.map(|size| (size.height, size.width));
    inside.no_new_privileges = process.no_new_privileges;
    Ok(())
}

fn check(process: &Process) -> Result<()> {
    if process.args.is_empty() {
        return Err(Problem::field("process.args", "must name a program"));
    }
    let no_nul = |name: &str, list: &[String]| {
        let wrong = list.iter().enumerate().find_map(|(index, text)| {
            let problem = text::check_no_nul(text.as_bytes()).err()?;
            Some(Problem::field(format!("process.{name}[{index}]"), problem))
        });
        wrong.map_or(Ok(()), Err)
    };
    no_nul("args", &process.args)?;
    no_nul("env", &process.env)?;
    let cwd = |problem: String| Problem::field("process.cwd", problem);
    text::path(&process.cwd).map_err(cwd)?;
    if !process.cwd.is_absolute() {
        return Err(cwd(format!("{} is not an absolute path", process.cwd.display())));
    }
    Ok(())
}

fn rlimits(planner: &mut Planner<'_>, process: &Process) -> Result<()> {
    for (index, limit) in process.rlimits.iter().enumerate() {
        let field = format!("process.rlimits[{index}]");
        let problem = |problem: String| Err(Problem::field(&field, problem));
        if let Err(error) = rlimit::parse(&limit.kind) {
            return problem(error.to_string());
        }
        let (kind, soft, hard) = (limit.kind.clone(), limit.soft, limit.hard);
        if soft > hard {
            return problem(format!("soft limit {soft} is above hard limit {hard}"));
        }
        if planner.inside.rlimits.iter().any(|other| other.kind == kind) {
            return problem(format!("{kind} is set twice"));
        }
        let name = kind.strip_prefix("RLIMIT_").unwrap_or(&kind).to_ascii_lowercase();
        let shown =
            if hard == rlimit::INFINITY { "unlimited".to_owned() } else { hard.to_string() };
        // One number is both limits: the ceiling, which nobody inside may raise. The soft limit is set
        // exactly, later.
        let key = format!("lxc.prlimit.{name}");
        planner.file.add(Group::Kernel, &key, &shown, &field)?;
        planner.inside.rlimits.push(Rlimit { kind, soft, hard });
    }
    Ok(())
}

fn oom_score(planner: &mut Planner<'_>, process: &Process) -> Result<()> {
    const FIELD: &str = "process.oomScoreAdj";
    let Some(score) = process.oom_score_adj else { return Ok(()) };
    if !OOM_SCORES.contains(&score) {
        return Err(Problem::field(FIELD, format!("{score} is not between -1000 and 1000")));
    }
    planner.inside.oom_score_adj = Some(score);
    if score < 0 {
        let key = "lxc.proc.oom_score_adj";
        planner.file.add(Group::Kernel, key, &score.to_string(), FIELD)?;
    }
    Ok(())
}

fn personality(planner: &mut Planner<'_>) -> Result<()> {
    let wanted = planner.linux.personality.as_ref().filter(|wanted| !wanted.domain.is_empty());
    let Some(wanted) = wanted else { return Ok(()) };
    let persona = PERSONAS.iter().find(|(name, _)| *name == wanted.domain);
    let (_, persona) = persona.ok_or_else(|| {
        let problem = format!("{:?} is neither LINUX nor LINUX32", wanted.domain);
        Problem::field("linux.personality.domain", problem)
    })?;
    planner.inside.personality = Some(*persona);
    Ok(())
}

fn paths(planner: &mut Planner<'_>) -> Result<()> {
    let linux = planner.linux.clone();
    let lists = [
        ("linux.maskedPaths", &linux.masked_paths),
        ("linux.readonlyPaths", &linux.readonly_paths),
    ];
    for (name, list) in lists {
        for (index, path) in list.iter().enumerate() {
            let field = format!("{name}[{index}]");
            let problem = |problem: String| Problem::field(&field, problem);
            text::path(path).map_err(problem)?;
            if !path.is_absolute() {
                return Err(problem(format!("{} is not absolute", path.display())));
            }
        }
    }
    planner.inside.masked_paths.clone_from(&linux.masked_paths);
    planner.inside.readonly_paths.clone_from(&linux.readonly_paths);
    Ok(())
}
