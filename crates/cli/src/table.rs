//! Columns of text.

use lxcri_core::logging::printable;

/// Blanks between two columns.
const GAP: usize = 3;

/// Rows of cells; the first is the heading.
#[derive(Debug)]
pub(crate) struct Table {
    least_width: usize,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table whose columns are at least `least_width` characters wide, gap included.
    pub(crate) fn new(least_width: usize, heading: &[&str]) -> Self {
        let heading = heading.iter().map(|name| (*name).to_owned()).collect();
        Self { least_width, rows: vec![heading] }
    }

    /// Adds a row. Cells come from configurations and names of others, so they are made printable.
    pub(crate) fn push(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| printable(&cell).into_owned()).collect());
    }

    /// The lines. The last column is not padded.
    pub(crate) fn text(&self) -> String {
        let widths = self.widths();
        let mut text = String::new();
        for row in &self.rows {
            for (number, cell) in row.iter().enumerate() {
                text.push_str(cell);
                if number + 1 < row.len() {
                    let blanks = widths[number] - cell.chars().count();
                    text.extend(std::iter::repeat_n(' ', blanks));
                }
            }
            text.push('\n');
        }
        text
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            let longest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
            self.least_width.max(longest + GAP)
        };
        (0..columns).map(width).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_longest_cell() {
        let mut table = Table::new(6, &["ID", "PID", "END"]);
        table.push(["a".to_owned(), "1".to_owned(), "x".to_owned()]);
        table.push(["ärger-1".to_owned(), String::new(), String::new()]);
        table.push(["\x1b[31m".to_owned(), "2".to_owned(), "a\nb".to_owned()]);
        let wanted = "ID         PID   END\n\
                      a          1     x\n\
                      ärger-1          \n\
                      \\x1b[31m   2     a\\nb\n";
        assert_eq!(table.text(), wanted);
    }

    #[test]
    fn a_heading_alone() {
        assert_eq!(Table::new(4, &["A", "B"]).text(), "A   B\n");
    }
}
