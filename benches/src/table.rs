//! Tables that read the same in a terminal, in the source of a text and on a code host: Markdown with
//! aligned columns.

use std::fmt;

/// Rows under one head.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        let rows = vec![head.into_iter().map(Into::into).collect()];
        Self { rows }
    }

    /// Appends a row, of as many cells as the head has.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(3)
    }

    /// Whether a column holds figures, which are aligned by their ends.
    fn is_of_figures(&self, column: usize) -> bool {
        let mut cells = self.rows[1..].iter().map(|row| &row[column]);
        column > 0 && cells.all(|cell| cell.is_empty() || cell == "-" || is_figure(cell))
    }
}

fn is_figure(cell: &str) -> bool {
    let digits = cell.trim_start_matches(['<', '>', '=', '-', ' ']);
    digits.starts_with(|letter: char| letter.is_ascii_digit()) && cell.chars().count() < 40
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.len() < 2 {
            return Ok(());
        }
        let columns = 0..self.rows[0].len();
        let columns: Vec<(usize, bool)> = columns
            .map(|column| (self.width(column), self.is_of_figures(column)))
            .collect();
        for (at, row) in self.rows.iter().enumerate() {
            for (cell, &(width, right)) in row.iter().zip(&columns) {
                if right {
                    write!(f, "| {cell:>width$} ")?;
                } else {
                    write!(f, "| {cell:<width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if at == 0 {
                for &(width, right) in &columns {
                    let end = if right { ":" } else { "-" };
                    write!(f, "| {}{end} ", "-".repeat(width - 1))?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_figures_end_together() {
        let mut table = Table::new(["", "median", "verdict"]);
        assert_eq!(table.to_string(), "", "a table of nothing");
        table.row(["a long name", "1.5", "met"]);
        table.row(["short", "1000.5", ""]);
        let expected = [
            "|             | median | verdict |\n",
            "| ----------- | -----: | ------- |\n",
            "| a long name |    1.5 | met     |\n",
            "| short       | 1000.5 |         |\n",
        ];
        assert_eq!(table.to_string(), expected.concat());
    }
}
