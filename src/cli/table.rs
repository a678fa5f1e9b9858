//! Tables, as every command shows them: no lines, as wide as the terminal, and whole where nobody looks on (a pipe, a file).

use std::fmt;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Table, presets};

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

/// Lines of a row of a listing at most: of a longer text the beginning is shown.
const MAX_LINES: usize = 3;
/// A column of words that has no less room than this can be read.
const ROOM: u16 = 16;
/// A word that is longer than this is broken where it has to be; a time to the microsecond is not.
const LONG_WORD: u16 = 28;
/// Between two columns.
const PADDING: u16 = 2;

/// A table with a row for each thing. On a narrow terminal it has fewer columns, rather than columns that nobody can read.
pub struct Listing<const N: usize> {
    columns: [(&'static str, u16); N],
    rows: Vec<[String; N]>,
    /// Columns of numbers.
    right: Vec<&'static str>,
    /// The number of the first row, where they have numbers.
    first: Option<usize>,
    width: Width,
}

/// A listing with these columns: the name of each, and how wide a terminal has to be for it to be shown. Where what is in them takes more room
/// than there is, those go first that need the widest; those with 0 never do. With `first`, the rows have numbers from there on.
pub fn listing<const N: usize>(columns: [(&'static str, u16); N], first: Option<usize>, width: Width) -> Listing<N> {
    Listing { columns, rows: Vec::new(), right: Vec::new(), first, width }
}

impl<const N: usize> Listing<N> {
    /// With these columns to the right, as numbers are.
    #[must_use]
    pub fn right(self, columns: &[&'static str]) -> Listing<N> {
        Listing { right: columns.to_vec(), ..self }
    }

    /// Adds a row; what would steer a terminal is shown escaped.
    pub fn add(&mut self, cells: [String; N]) {
        self.rows.push(cells.map(|cell| visible(&cell)));
    }

    /// The lines that it is shown as, the names of the columns first.
    pub fn lines(&self) -> Vec<String> {
        let lines = self.arranged().to_string();
        lines.lines().map(|line| line.trim_end().to_owned()).collect()
    }

    fn arranged(&self) -> Table {
        let least = |n: usize| self.columns[n].1;
        let mut shown: Vec<usize> = (0..N).filter(|n| least(*n) < Width::NEVER).collect();
        if let Width::Columns(there) = self.width {
            shown.retain(|n| least(*n) <= there);
            let needed = self.of(&(0..N).collect::<Vec<_>>()).1;
            let numbers = self.first.map_or(0, |first| usize::from(PADDING) + (first + self.rows.len()).to_string().len());
            let fits = |shown: &[usize]| {
                let wide: usize = shown.iter().map(|n| usize::from(needed[*n] + PADDING)).sum();
                numbers + wide <= usize::from(there)
            };
            // The last one of those that need the widest.
            while !fits(&shown)
                && let Some(at) = (0..shown.len()).filter(|at| least(shown[*at]) > 0).max_by_key(|at| least(shown[*at]))
            {
                shown.remove(at);
            }
        }
        self.of(&shown).0
    }

    /// The table with these columns, and how wide each of them is at least.
    fn of(&self, shown: &[usize]) -> (Table, Vec<u16>) {
        let mut table = plain(self.width);
        let numbered = usize::from(self.first.is_some());
        table.set_header(self.first.map(|_| "#").into_iter().chain(shown.iter().map(|n| self.columns[*n].0)));
        for (place, cells) in self.rows.iter().enumerate() {
            let number = self.first.map(|first| (first + place).to_string());
            table.add_row(number.into_iter().chain(shown.iter().map(|n| cells[*n].clone())));
        }
        for name in &self.right {
            let at = shown.iter().position(|n| self.columns[*n].0 == *name);
            if let Some(column) = at.and_then(|at| table.column_mut(at + numbered)) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let mut needed = settle(&mut table, self.width);
        needed.drain(..numbered);
        if self.width != Width::Unlimited {
            table.set_truncation_indicator("\u{2026}");
            for row in table.row_iter_mut() {
                row.max_height(MAX_LINES);
            }
        }
        (table, needed)
    }
}

impl<const N: usize> fmt::Display for Listing<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// Columns of single words are as wide as these, where there is room for that; texts share what is left. Returns how wide each column is at
/// least.
pub fn settle(table: &mut Table, width: Width) -> Vec<u16> {
    let widest = table.column_max_content_widths();
    let needed: Vec<(u16, bool)> = widest.iter().enumerate().map(|(n, widest)| room(table, n, *widest)).collect();
    let least = needed.iter().map(|(least, _)| *least).collect();
    let Width::Columns(there) = width else { return least };
    if needed.iter().map(|(least, _)| usize::from(least + PADDING)).sum::<usize>() <= usize::from(there) {
        for (n, (least, is_text)) in needed.into_iter().enumerate() {
            let constraint = match is_text {
                true => ColumnConstraint::LowerBoundary(comfy_table::Width::Fixed(least + PADDING)),
                false => ColumnConstraint::ContentWidth,
            };
            if let Some(column) = table.column_mut(n) {
                column.set_constraint(constraint);
            }
        }
    }
    least
}

/// How wide a column is at least, and whether there is text in it, for which more is better.
fn room(table: &Table, column: usize, widest: u16) -> (u16, bool) {
    let cells = table.row_iter().filter_map(|row| row.cell_iter().nth(column)).map(comfy_table::Cell::content);
    let (mut is_text, mut longest) = (widest > LONG_WORD, 0);
    for cell in cells {
        is_text |= cell.contains(' ');
        let words = cell.split(' ').map(|word| u16::try_from(word.chars().count()).unwrap_or(u16::MAX));
        longest = words.filter(|word| *word <= LONG_WORD).fold(longest, u16::max);
    }
    (if is_text { longest.max(ROOM).min(widest) } else { widest }, is_text)
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

    #[test]
    fn words_are_whole_texts_have_room_and_what_does_not_fit_goes_by_rank() {
        let number = "INC-2026-000123";
        let shown = |width: u16| {
            let columns = [("number", 0), ("status", 60), ("who", 50), ("rows", 0), ("title", 0)];
            let mut table = listing(columns, None, Width::Columns(width)).right(&["rows"]);
            table.add([number.into(), "false_positive".into(), "somebody".into(), "7".into(), "words and words ".repeat(40)]);
            table.lines()
        };
        for (width, columns) in [
            (100, "number status who rows title"),
            (66, "number who rows title"),
            (60, "number who rows title"),
            (52, "number who rows title"),
            (45, "number rows title"),
        ] {
            let lines = shown(width);
            assert_eq!(lines[0].split_whitespace().collect::<Vec<_>>().join(" "), columns, "{width}");
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(width)), "{width}: {lines:#?}");
            assert!(lines[1].contains(number) && lines.len() == 1 + MAX_LINES, "{width}: {lines:#?}");
            assert!(lines.last().unwrap().ends_with('\u{2026}'), "{lines:#?}");
        }
        assert!(shown(10).iter().all(|line| line.chars().count() <= 10), "even where nothing can be read");
    }
}
