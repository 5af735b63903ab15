//! Tables of figures on a terminal.

use std::fmt;

use crate::Spread;

/// Rows under one head; the first column is text, the others are figures.
#[derive(Debug, Clone)]
pub struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new<T: Into<String>>(head: impl IntoIterator<Item = T>) -> Self {
        Self {
            rows: vec![head.into_iter().map(Into::into).collect()],
        }
    }

    /// Appends a row.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Appends a row of a spread's five figures.
    pub fn row_of(&mut self, name: &str, spread: Spread, decimals: usize) {
        let Spread {
            min,
            q1,
            median,
            q3,
            max,
        } = spread;
        let figures = [min, q1, median, q3, max].map(|figure| format!("{figure:.decimals$}"));
        self.row([name.to_owned()].into_iter().chain(figures));
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            let mut line = String::new();
            for (column, cell) in row.iter().enumerate() {
                let width = self.width(column);
                line += &match column {
                    0 => format!("{cell:<width$}"),
                    _ => format!("  {cell:>width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new(["", "median", "x"]);
        table.row(["a long name", "1.5", "10.25"]);
        table.row(["short", "1000.5", ""]);
        let expected = [
            "             median      x\n",
            "a long name     1.5  10.25\n",
            "short        1000.5\n",
        ];
        assert_eq!(table.to_string(), expected.concat());
    }
}
