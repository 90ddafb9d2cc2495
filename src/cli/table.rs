//! Tables for terminals: aligned, one row a line, no wider than the screen.

use std::io::{self, Write};

use crate::text::{aligned, display_width, fit};

const GAP: &str = "  ";

/// No flexible column becomes narrower than this, even if the screen is.
const NARROWEST: usize = 8;

const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// A column's header, and how its cells are set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    header: &'static str,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Left,
    Right,
    Flexible,
}

impl Column {
    /// Text that is always shown whole.
    pub const fn left(header: &'static str) -> Column {
        Column {
            header,
            kind: Kind::Left,
        }
    }

    /// Figures.
    pub const fn right(header: &'static str) -> Column {
        Column {
            header,
            kind: Kind::Right,
        }
    }

    /// Text that may lose its middle where the screen is too narrow, such as a path.
    pub const fn flexible(header: &'static str) -> Column {
        Column {
            header,
            kind: Kind::Flexible,
        }
    }
}

/// Rows under a header.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table.
    pub fn new(columns: &[Column]) -> Table {
        Table {
            columns: columns.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: a cell for each column. Control characters, those of writing direction included,
    /// are escaped.
    pub fn row(&mut self, cells: &[&str]) {
        let cells = cells.iter().map(|cell| aligned(cell));
        self.rows.push(cells.collect());
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Writes header and rows in at most `width` terminal columns (`None`: as wide as the
    /// cells are). Where even the narrowest columns do not fit, the rows are longer.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn write(&self, width: Option<usize>, colour: bool, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.widths(width);
        let headers: Vec<_> = self.columns.iter().map(|column| column.header).collect();
        let header = self.line(&headers, &widths);
        match colour {
            true => writeln!(out, "{BOLD}{header}{PLAIN}")?,
            false => writeln!(out, "{header}")?,
        }
        for row in &self.rows {
            let cells: Vec<_> = row.iter().map(String::as_str).collect();
            writeln!(out, "{}", self.line(&cells, &widths))?;
        }
        Ok(())
    }

    fn line(&self, cells: &[&str], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, &width), column) in cells.iter().zip(widths).zip(&self.columns) {
            if !line.is_empty() {
                line.push_str(GAP);
            }
            if column.kind == Kind::Right {
                let missing = width.saturating_sub(display_width(cell));
                line.extend(std::iter::repeat_n(' ', missing));
                line.push_str(cell);
            } else {
                line.push_str(&fit(cell, width));
            }
        }
        line.truncate(line.trim_end().len());
        line
    }

    fn widths(&self, limit: Option<usize>) -> Vec<usize> {
        let widest = |(index, column): (usize, &Column)| {
            let cells = self.rows.iter().map(|row| display_width(&row[index]));
            cells.max().unwrap_or(0).max(display_width(column.header))
        };
        let mut widths: Vec<usize> = self.columns.iter().enumerate().map(widest).collect();
        if let Some(limit) = limit {
            self.narrow(&mut widths, limit);
        }
        widths
    }

    /// Takes from the widest flexible column, one by one, until the row fits.
    fn narrow(&self, widths: &mut [usize], limit: usize) {
        let gaps = GAP.len() * self.columns.len().saturating_sub(1);
        let mut total = widths.iter().sum::<usize>() + gaps;
        while total > limit {
            let flexible = (widths.iter_mut().zip(&self.columns))
                .filter(|(_, column)| column.kind == Kind::Flexible)
                .map(|(width, _)| width);
            match flexible.max() {
                Some(widest) if *widest > NARROWEST => *widest -= 1,
                _ => return,
            }
            total -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(rows: &[[&str; 3]], width: Option<usize>, colour: bool) -> String {
        let mut table = Table::new(&[
            Column::left("Job"),
            Column::flexible("File"),
            Column::right("Size"),
        ]);
        for row in rows {
            table.row(row);
        }
        let mut out = Vec::new();
        table.write(width, colour, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn check(rows: &[[&str; 3]], width: Option<usize>, expected: &str) {
        let text = rendered(rows, width, false);
        assert_eq!(text, expected, "width {width:?}");
        for line in text.lines() {
            assert!(
                display_width(line) <= width.unwrap_or(usize::MAX).max(19),
                "{line}"
            );
        }
    }

    #[test]
    fn columns_line_up_and_only_the_flexible_one_is_shortened() {
        let rows = [
            ["backups", "/data/backups/week-1.dmbackup", "1.5 MiB"],
            ["漢字", "/data/記録/今日の記録.dmbackup", "9 B"],
        ];
        check(
            &rows,
            None,
            "\
Job      File                               Size
backups  /data/backups/week-1.dmbackup   1.5 MiB
漢字     /data/記録/今日の記録.dmbackup      9 B
",
        );
        check(
            &rows,
            Some(36),
            "\
Job      File                   Size
backups  /data/ba….dmbackup  1.5 MiB
漢字     /data/記….dmbackup      9 B
",
        );
    }

    #[test]
    fn a_screen_that_is_too_narrow_still_gets_the_narrowest_table() {
        check(
            &[["a", "/data/file.txt", "1 B"]],
            Some(3),
            "Job  File      Size\na    /da….txt   1 B\n",
        );
    }

    #[test]
    fn control_characters_cannot_reach_the_terminal() {
        check(
            &[["a\nb", "\x1b[2J\u{9b}", "\t"]],
            None,
            "\
Job     File             Size
a\\x0ab  \\x1b[2J\\xc2\\x9b  \\x09
",
        );
        // Shown as `gpj.exe`, the one before the other.
        check(
            &[["a", "\u{202e}exe.jpg\u{2066}", "1 B"]],
            None,
            "\
Job  File                             Size
a    \\xe2\\x80\\xaeexe.jpg\\xe2\\x81\\xa6   1 B
",
        );
    }

    #[test]
    fn only_the_header_is_bold() {
        let text = rendered(&[["a", "b", "c"]], None, true);
        assert_eq!(text, "\x1b[1mJob  File  Size\x1b[0m\na    b        c\n");
    }
}
