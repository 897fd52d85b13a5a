//! The tables on a terminal.

use std::io;
use std::io::Write;

use super::machine::Facts;
use crate::figures::Row;
use crate::figures::Table;
use crate::figures::Who;
use crate::promises::Judged;

/// Prints all tables and what became of the promises.
pub(super) fn print(
    out: &mut impl Write,
    facts: &Facts,
    tables: &[Table],
    judged: &[Judged],
) -> io::Result<()> {
    for (label, value) in &facts.machine {
        writeln!(out, "{label}: {value}")?;
    }
    for (name, version) in &facts.programs {
        writeln!(out, "{name}: {version}")?;
    }
    for table in tables {
        print_table(out, table)?;
    }
    writeln!(out, "\npromises (design, binding in the v2 view)")?;
    for one in judged {
        let (text, place, found) = (&one.text, &one.place, &one.found);
        writeln!(out, "  {place:28} {text:30} {found:>10}  {}", one.verdict())?;
    }
    Ok(())
}

fn print_table(out: &mut impl Write, table: &Table) -> io::Result<()> {
    writeln!(out, "\n{} view, {}: median [minimum, p90]", table.view, table.bundle.name())?;
    write!(out, "{:24}", "")?;
    let (columns, others) = (table.columns(), table.others());
    for who in &columns {
        write!(out, "{:>34}", who.name())?;
    }
    for who in &others {
        write!(out, "{:>20}", format!("ours/{}", who.name()))?;
    }
    writeln!(out)?;
    for row in table.rows() {
        write!(out, "{:24}", label(row))?;
        for who in &columns {
            write!(out, "{:>34}", figure(table, row, *who))?;
        }
        for who in &others {
            write!(out, "{:>20}", ratio(table, row, *who))?;
        }
        writeln!(out)?;
    }
    for note in &table.notes {
        writeln!(out, "{note}")?;
    }
    if let Some(spread) = table.noise() {
        writeln!(out, "{}", noise(spread))?;
    }
    Ok(())
}

/// Row and unit.
pub(super) fn label(row: Row) -> String {
    match row.unit().name() {
        "" => row.name().to_owned(),
        unit => format!("{}, {unit}", row.name()),
    }
}

/// Median, minimum and p90; of a count, which does not vary, the number alone.
fn figure(table: &Table, row: Row, who: Who) -> String {
    let Some(summary) = table.get(row, who) else { return "-".to_owned() };
    let show = |value| row.unit().show(value);
    if summary.samples == 1 {
        return show(summary.median);
    }
    format!("{} [{}, {}]", show(summary.median), show(summary.minimum), show(summary.p90))
}

/// A ratio of medians.
pub(super) fn ratio(table: &Table, row: Row, to: Who) -> String {
    table.ratio(row, to).map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

/// What to think of figures from a busy machine.
pub(super) fn noise(spread: f64) -> String {
    format!(
        "The machine was busy: of the floor, the slowest tenth took {spread:.1} times the median \
         or more."
    )
}
