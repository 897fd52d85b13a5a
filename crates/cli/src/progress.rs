//! Long work, told on standard error: bars with rates on a terminal, a plain line at the end of each
//! piece in a pipe, nothing where the user asked for quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use lxcri_core::logging::printable;
use lxcri_images::progress::{Ended, Progress, Silent, Stage, Task};

use crate::output;

/// How often bars are drawn anew, per second.
const FRAMES: u8 = 10;

/// The listener for this call: bars, lines, or silence.
pub(crate) fn listener(quiet: bool) -> Box<dyn Progress> {
    if quiet {
        Box::new(Silent)
    } else if std::io::stderr().is_terminal() {
        let target = ProgressDrawTarget::stderr_with_hz(FRAMES);
        Box::new(Bars(MultiProgress::with_draw_target(target)))
    } else {
        Box::new(Lines)
    }
}

fn doing(stage: Stage) -> &'static str {
    match stage {
        Stage::Pull => "pulling",
        Stage::Push => "pushing",
        Stage::Import => "importing",
        Stage::Export => "exporting",
        Stage::Unpack => "unpacking",
        Stage::Verify => "verifying",
    }
}

fn done(stage: Stage) -> &'static str {
    match stage {
        Stage::Pull => "pulled",
        Stage::Push => "pushed",
        Stage::Import => "imported",
        Stage::Export => "exported",
        Stage::Unpack => "unpacked",
        Stage::Verify => "verified",
    }
}

/// Bars on a terminal.
struct Bars(MultiProgress);

impl Progress for Bars {
    fn begin(&self, stage: Stage, name: &str, total: Option<u64>) -> Box<dyn Task> {
        let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
        let shape = if total.is_some() {
            "{prefix:<24} [{bar:24}] {bytes:>10}/{total_bytes:<10} {bytes_per_sec:>12} {eta:>4}"
        } else {
            "{prefix:<24} {spinner} {bytes:>10} {bytes_per_sec:>12}"
        };
        // A shape that is not right would show in every test of this module.
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(format!("{} {}", doing(stage), printable(name)));
        Box::new(Bar { bar: self.0.add(bar), bars: self.0.clone(), stage, name: name.to_owned() })
    }

    fn note(&self, line: &str) {
        self.0.suspend(|| output::note(line));
    }
}

/// One of the bars.
struct Bar {
    bar: ProgressBar,
    bars: MultiProgress,
    stage: Stage,
    name: String,
}

impl Task for Bar {
    fn advance(&mut self, bytes: u64) {
        self.bar.inc(bytes);
    }

    fn end(self: Box<Self>, how: Ended) {
        if how == Ended::Done {
            let line = summary(self.stage, &self.name, self.bar.position(), self.bar.elapsed());
            self.bar.finish_and_clear();
            self.bars.suspend(|| output::progress(&line));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        self.bars.remove(&self.bar);
    }
}

/// A line at the end of each piece.
struct Lines;

impl Progress for Lines {
    fn begin(&self, stage: Stage, name: &str, _total: Option<u64>) -> Box<dyn Task> {
        Box::new(Line { stage, name: name.to_owned(), bytes: 0, begun: Instant::now() })
    }

    fn note(&self, line: &str) {
        output::note(line);
    }
}

/// A piece that is told of when it has ended.
struct Line {
    stage: Stage,
    name: String,
    bytes: u64,
    begun: Instant,
}

impl Task for Line {
    fn advance(&mut self, bytes: u64) {
        self.bytes += bytes;
    }

    fn end(self: Box<Self>, how: Ended) {
        if how == Ended::Done {
            output::progress(&summary(self.stage, &self.name, self.bytes, self.begun.elapsed()));
        }
    }
}

fn summary(stage: Stage, name: &str, bytes: u64, took: Duration) -> String {
    format!(
        "{} {}: {} in {:.1} s",
        done(stage),
        printable(name),
        crate::size::people(bytes),
        took.as_secs_f64()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_what_was_done() {
        let took = Duration::from_millis(1500);
        let line = summary(Stage::Pull, "0123\u{1b}[2J", 5 << 20, took);
        assert_eq!(line, "pulled 0123\\x1b[2J: 5.0 MiB in 1.5 s");
    }

    #[test]
    fn bars_have_shapes_that_exist() {
        let bars = Bars(MultiProgress::with_draw_target(ProgressDrawTarget::hidden()));
        for total in [Some(10), None] {
            let mut task = bars.begin(Stage::Unpack, "x", total);
            task.advance(10);
            task.end(Ended::Present);
        }
    }
}
