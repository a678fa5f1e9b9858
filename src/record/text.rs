//! Text from outside on its way to people.

/// A character that moves a cursor, changes colours, ends a line, hides, or turns the direction of text.
pub fn is_treacherous(c: char) -> bool {
    let directs =
        matches!(c, '\u{61C}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}');
    directs || c.is_control()
}

/// Text with every treacherous character written as an escape.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_treacherous(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// Appends text to an HTML document, as content or within a quoted attribute.
pub fn push_html(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if is_treacherous(c) => out.extend(c.escape_default()),
            c => out.push(c),
        }
    }
}

/// Appends text as a cell of a CSV file (RFC 4180), quoted, and such that no spreadsheet takes it for a formula.
///
/// Treacherous characters are written as escapes, so that a record is one line. A cell in which `=`, `+`, `-` or `@` comes first, or comes
/// first after white space and quotes, gets an apostrophe before it. Whoever wants the text back takes one apostrophe away from the cells
/// that begin with one and would be such a cell without it: no other cell looks like that.
pub fn push_csv(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if is_formula(text) {
        out.push(b'\'');
    }
    let bytes = text.as_bytes();
    let mut written = 0;
    while let Some(more) = bytes[written..].iter().position(|byte| !matches!(byte, b' '..=b'~') || *byte == b'"') {
        out.extend_from_slice(&bytes[written..written + more]);
        written += more;
        if bytes[written] == b'"' {
            out.extend_from_slice(b"\"\"");
            written += 1;
            continue;
        }
        let c = text[written..].chars().next().expect("there is a character where a byte was found");
        written += c.len_utf8();
        if is_treacherous(c) {
            out.extend(c.escape_default().map(|ascii| ascii as u8));
        } else {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    out.extend_from_slice(&bytes[written..]);
    out.push(b'"');
}

/// The rows of a CSV file (RFC 4180), the first one and empty lines too; an apostrophe that [`push_csv`] put before a formula is taken away.
///
/// # Errors
/// The line on which a quoted cell begins that does not end, or goes on behind its end.
pub fn csv_rows(text: &str) -> Result<Vec<Vec<String>>, usize> {
    let unguarded = |cell: String| match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) => rest.to_owned(),
        _ => cell,
    };
    let (mut rows, mut row, mut line) = (Vec::new(), Vec::new(), 1);
    let mut rest = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    while !rest.is_empty() || !row.is_empty() {
        let mut cell = String::new();
        if let Some(mut quoted) = rest.strip_prefix('"') {
            let began = line;
            loop {
                let end = quoted.find('"').ok_or(began)?;
                cell.push_str(&quoted[..end]);
                quoted = &quoted[end + 1..];
                match quoted.strip_prefix('"') {
                    Some(more) => quoted = more,
                    None => break,
                }
                cell.push('"');
            }
            line += cell.matches('\n').count();
            rest = quoted;
            if !rest.is_empty() && !rest.starts_with([',', '\n', '\r']) {
                return Err(began);
            }
        } else {
            let end = rest.find([',', '\n', '\r']).unwrap_or(rest.len());
            cell.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        row.push(unguarded(cell));
        if let Some(more) = rest.strip_prefix(',') {
            rest = more;
            if rest.is_empty() {
                row.push(String::new());
            } else {
                continue;
            }
        }
        rest = rest.strip_prefix('\r').unwrap_or(rest);
        rest = rest.strip_prefix('\n').unwrap_or(rest);
        line += 1;
        rows.push(std::mem::take(&mut row));
    }
    Ok(rows)
}

/// Also in their full width, which some spreadsheets read as if they were not.
fn is_formula(text: &str) -> bool {
    if text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '{') {
        return false;
    }
    let first = text.chars().find(|c| !c.is_whitespace() && !matches!(c, '\'' | '"' | '`' | '\u{2018}'..='\u{201F}'));
    first.is_some_and(|c| matches!(c, '=' | '+' | '-' | '@' | '\u{FF1D}' | '\u{FF0B}' | '\u{FF0D}' | '\u{FF20}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv(text: &str) -> String {
        let mut out = Vec::new();
        push_csv(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_cell_is_one_line_and_no_formula() {
        for (text, cell) in [
            ("", r#""""#),
            ("plain, with a comma", r#""plain, with a comma""#),
            ("say \"no\"", r#""say ""no""""#),
            ("=1+1", r#""'=1+1""#),
            ("+1", r#""'+1""#),
            ("-1", r#""'-1""#),
            ("@SUM(A1)", r#""'@SUM(A1)""#),
            ("  =1", r#""'  =1""#),
            ("\t=1", r#""'\t=1""#),
            ("\r=1", r#""'\r=1""#),
            ("\"=1", r#""'""=1""#),
            ("'=1", r#""''=1""#),
            ("\u{FF1D}1", "\"'\u{FF1D}1\""),
            ("\u{a0}\u{201c}@x", "\"'\u{a0}\u{201c}@x\""),
            ("a=1", r#""a=1""#),
            ("'a", r#""'a""#),
            ("a\r\nb\u{1b}[31m\u{202e}\u{9b}", r#""a\r\nb\u{1b}[31m\u{202e}\u{9b}""#),
            ("gr\u{fc}n \u{1f600}", "\"gr\u{fc}n \u{1f600}\""),
        ] {
            assert_eq!(csv(text), cell, "{text:?}");
        }
    }

    #[test]
    fn csv_is_read_back() {
        let rows = csv_rows("\u{FEFF}a,\"b \"\"x\"\", c\"\r\n\"two\nlines\",\r\n\nlast,").unwrap();
        assert_eq!(rows, [vec!["a", "b \"x\", c"], vec!["two\nlines", ""], vec![""], vec!["last", ""]]);
        assert_eq!(csv_rows(""), Ok(vec![]));
        assert_eq!((csv_rows("a\n\"open"), csv_rows("\"a\"b")), (Err(2), Err(1)));
        for text in ["=1+1", "'=1", "plain", "'a", "say \"no\", twice"] {
            assert_eq!(csv_rows(&csv(text)).unwrap(), [[text]]);
        }
    }

    #[test]
    fn html_has_no_markup_that_was_not_ours() {
        let mut out = String::new();
        push_html(&mut out, "<script a='b\"'>&\u{202e}\u{1b}\0");
        assert_eq!(out, "&lt;script a=&#39;b&quot;&#39;&gt;&amp;\\u{202e}\\u{1b}\\u{0}");
    }
}
