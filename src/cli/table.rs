//! Tables, as every command shows them: no lines, as wide as the terminal, and whole where nobody looks on (a pipe, a file).

use std::fmt;

use comfy_table::{ContentArrangement, Table, presets};

use crate::record::text::visible;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Width {
    /// So many characters.
    Columns(u16),
    /// As much as it takes.
    Unlimited,
}

impl Width {
    /// For a column that is not shown this time, however wide the terminal is.
    pub const NEVER: u16 = u16::MAX;

    /// That of the terminal which standard output is, if it is one.
    pub fn of_terminal() -> Width {
        Table::new().width().map_or(Width::Unlimited, Width::Columns)
    }
}

/// A table with a row for each thing. On a narrow terminal it has fewer columns, rather than columns that nobody can read.
pub struct Listing<const N: usize> {
    table: Table,
    shown: [bool; N],
    /// The number of the next row, where they have numbers.
    next: Option<usize>,
}

/// A listing with these columns: the name of each, and how wide a terminal has to be for it to be shown. With `first`, the rows have numbers
/// from there on.
pub fn listing<const N: usize>(columns: [(&str, u16); N], first: Option<usize>, width: Width) -> Listing<N> {
    let shown = columns.map(|(_, least)| match width {
        Width::Columns(there) => there >= least,
        Width::Unlimited => least < Width::NEVER,
    });
    let mut table = plain(width);
    let names = columns.iter().zip(shown).filter(|(_, shown)| *shown).map(|((name, _), _)| *name);
    table.set_header(first.map(|_| "#").into_iter().chain(names));
    Listing { table, shown, next: first }
}

impl<const N: usize> Listing<N> {
    /// Adds a row; what would steer a terminal is shown escaped.
    pub fn add(&mut self, cells: [String; N]) {
        let cells = cells.into_iter().zip(self.shown).filter(|(_, shown)| *shown).map(|(cell, _)| visible(&cell));
        self.table.add_row(self.next.map(|n| n.to_string()).into_iter().chain(cells));
        self.next = self.next.map(|n| n + 1);
    }

    /// The lines that it is shown as, the names of the columns first.
    pub fn lines(&self) -> Vec<String> {
        self.table.to_string().lines().map(|line| line.trim_end().to_owned()).collect()
    }
}

impl<const N: usize> fmt::Display for Listing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// A table of which every column is shown. Text from outside has to be made visible before.
pub fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = plain(Width::of_terminal());
    table.set_header(header);
    table
}

/// A table without names of columns.
pub fn plain(width: Width) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Width::Columns(columns) = width {
        table.set_width(columns);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_terminal_has_fewer_columns_and_no_line_is_wider_than_it() {
        let shown = |width: Width| {
            let mut table = listing([("id", 0), ("host", 100), ("message", 0)], Some(9), width);
            table.add(["7".into(), "web1".into(), "a message of several words, ".repeat(8)]);
            table.lines()
        };
        for width in [60, 80, 200] {
            let lines = shown(Width::Columns(width));
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{width}: {lines:#?}");
            assert_eq!((lines[0].contains("host"), lines[1].starts_with(" 9")), (width >= 100, true));
        }
        assert_eq!(shown(Width::Unlimited).len(), 2, "nothing is broken where nobody looks on");
    }
}
