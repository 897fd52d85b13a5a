//! `docs/reference/performance.md`.

use std::fmt::Write;

use super::machine::Facts;
use super::text::label;
use super::text::noise;
use super::text::ratio;
use crate::figures::Row;
use crate::figures::Table;
use crate::figures::Who;
use crate::promises::Judged;

const HEAD: &str = "# Performance\n\n\
<!-- Written by `make bench`; changes made here are lost. -->\n\n\
What commands cost beside crun, runc and the kernel alone, and images beside Podman, Docker, skopeo and \
umoci. Every program is started directly, in \
interleaved rounds in one run; the figures are medians, with the minimum and the 90th percentile in \
brackets. Times depend on the machine; the ratios are what to look at.\n\n\
![Median times of life and run](performance.svg)\n\n";

const METHOD: &str = "\n## What is measured\n\n\
- **life** is create, start, waiting for the exit, and delete as separate processes, as container engines \
call a runtime; create, start and delete are its parts. The payload is busybox's `true`.\n\
- **floor** is a static program that makes exactly the system calls the bundle asks for in that view of \
the cgroup file systems, from a list prepared beforehand; nothing is parsed, checked or recorded. Before \
anything is measured, a payload that looks around must see the same in the floor as in a container of ours. \
In the row *life* this column is F: the floor and two more starts of a static program. In the row \
*--version* it is the start of a static program that does nothing.\n\
- **exec** runs `true` in a container that is running already.\n\
- **100 parallel creates** starts a hundred creates at once and waits for all.\n\
- **list of 1,000** lists one running container and 999 copies of its state, which the runtime itself \
wrote, with other ids.\n\
- **peak memory of run** adds up, over every process of the runtime that there was before the payload was \
executed, the largest `VmHWM` it ever had (of a process that executes another program, the larger one). It \
is read under ptrace(2), at each execve(2) and at each end of a process. Forked processes share pages, \
which are counted in each.\n\
- **system calls of run** are those of all its processes, by strace(1), the payload's own included.\n\
- **archive to root** takes an image from an archive to a root file system: ours imports and makes a \
container, Podman and Docker load, skopeo copies to an image layout and umoci unpacks that. Docker gets the \
same compressed layers as a `docker save` archive. `gzip | tar` unpacks layers beside each other, one pair for \
each processor, and does nothing else. Everybody starts with an empty store on a new ext4 of its own, the archive \
is in the page cache, what was written before has been synced, and nobody is asked to sync. Removal does not \
count.\n\
- **pull to root** is the same from Debian's docker-registry on loopback, without TLS.\n\
- **peak memory of import** adds up the largest `VmHWM` of the processes of an import that lived at one \
time.\n\
- **run IMAGE** is `run --rm --network none IMAGE true` of the large image, which is there already; *our \
bundle* is run of the plain busybox bundle.\n\
- **second container** makes one more container of an image that has one already; *our 5 MB image* has as many \
layers.\n\
- **v1** and **v2** are private views of `/sys/fs/cgroup`: the v1 hierarchies alone, or one v2 tree. State is kept on \
a tmpfs, as in /run. crun's and our caches of compiled seccomp filters are warm.\n\n\
## To repeat it\n\n\
```sh\n\
make bench               # as root on Debian, on a machine that does nothing else\n\
make bench ROUNDS=100    # more rounds than 30\n\
make bench IMAGE_ROUNDS=9 # more rounds than 5 of what takes seconds\n\
make bench ONLY=images   # one part: v1, v2 or images; writes no document\n\
make bench OURS=FILE     # another build; promises that break make it fail\n\
```\n";

/// The whole document.
pub(super) fn markdown(
    facts: &Facts,
    rounds: usize,
    tables: &[Table],
    judged: &[Judged],
) -> String {
    let mut out = HEAD.to_owned();
    for (label, value) in &facts.machine {
        line(&mut out, &format!("- {label}: {value}"));
    }
    line(
        &mut out,
        &format!(
            "- proxmox-lxcri {}, crun {}, runc {} (crun and runc of Debian sid)",
            facts.version("ours"),
            facts.version("crun"),
            facts.version("runc")
        ),
    );
    line(&mut out, &format!("- {rounds} rounds"));
    for table in tables {
        section(&mut out, table);
    }
    line(&mut out, "\n## Promises\n");
    line(
        &mut out,
        "A promise that is kept binds: in the v2 view `make bench` fails when it breaks.\n",
    );
    line(&mut out, "| view, bundle | promise | found | |\n| --- | --- | --- | --- |");
    for one in judged {
        let (place, text, found) = (&one.place, &one.text, &one.found);
        line(&mut out, &format!("| {place} | {text} | {found} | {} |", one.verdict()));
    }
    out.push_str(METHOD);
    floors(&mut out, tables);
    out
}

fn line(out: &mut String, text: &str) {
    // Writing to a String cannot fail.
    let _infallible = writeln!(out, "{text}");
}

fn section(out: &mut String, table: &Table) {
    line(out, &format!("\n## {} view, {}\n", table.view, table.bundle.name()));
    for note in &table.notes {
        line(out, &format!("{note}\n"));
    }
    if let Some(spread) = table.noise() {
        line(out, &format!("**{}**\n", noise(spread)));
    }
    let cells = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let (columns, others) = (table.columns(), table.others());
    let heads = columns.iter().map(|who| who.name().to_owned());
    let ratios = others.iter().map(|who| format!("ours / {}", who.name()));
    line(out, &format!("| {}", cells(heads.chain(ratios).collect())));
    line(out, &format!("|{}", " --- |".repeat(1 + columns.len() + others.len())));
    for row in table.rows() {
        let figures = columns.iter().map(|who| figure(table, row, *who));
        let ratios = others.iter().map(|who| ratio(table, row, *who));
        let row = [label(row)].into_iter().chain(figures).chain(ratios);
        line(out, &cells(row.collect()));
    }
}

fn figure(table: &Table, row: Row, who: Who) -> String {
    let Some(summary) = table.get(row, who) else { return "-".to_owned() };
    let show = |value| row.unit().show(value);
    if summary.samples == 1 {
        return format!("**{}**", show(summary.median));
    }
    let (median, minimum, p90) = (summary.median, summary.minimum, summary.p90);
    format!("**{}** [{}, {}]", show(median), show(minimum), show(p90))
}

/// The system calls of each floor.
fn floors(out: &mut String, tables: &[Table]) {
    line(out, "\n## System calls of the floor\n");
    line(out, "By strace(1), its own start and the payload included.\n");
    for table in tables.iter().filter(|table| !table.floor_calls.is_empty()) {
        let calls: Vec<String> = table
            .floor_calls
            .iter()
            .map(|(name, calls)| if *calls == 1 { name.clone() } else { format!("{calls} {name}") })
            .collect();
        let place = format!("{} view, {}", table.view, table.bundle.name());
        line(out, &format!("- {place}: {}", calls.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::BundleKind;
    use crate::figures::Samples;
    use crate::promises;

    #[test]
    fn a_row_has_figures_ratios_and_the_verdict() {
        let mut samples = Samples::default();
        for (who, time) in [(Who::Ours, 4.0), (Who::Crun, 10.0), (Who::Floor, 2.0)] {
            samples.push(Row::Life, who, time);
            samples.push(Row::Life, who, time + 1.0);
        }
        samples.push(Row::Calls, Who::Ours, 990.0);
        let mut table = Table::new("v2".into(), BundleKind::Plain, &samples);
        table.floor_calls = vec![("mount".into(), 25), ("wait4".into(), 1)];
        table.notes = vec!["A note.".into()];
        let facts = Facts {
            machine: vec![("kernel", "6.18".into())],
            programs: vec![("ours", "0.5.0".into())],
        };
        let tables = [table];
        let text = markdown(&facts, 30, &tables, &promises::judge(&tables));
        for wanted in [
            "## v2 view, plain busybox bundle\n\nA note.\n",
            "| life, ms | **4.50** [4.00, 5.00] | **10.50** [10.00, 11.00] | **2.50** [2.00, 3.00] | 0.43 | 1.80 |",
            "| system calls of run | **990** | - | - | - | - |",
            "| v2, plain busybox bundle | life ≤ 1 × crun | 0.43 × | kept |",
            "25 mount, wait4",
            "- kernel: 6.18",
            "- 30 rounds",
        ] {
            assert!(text.contains(wanted), "{wanted}\nnot in\n{text}");
        }
    }
}
