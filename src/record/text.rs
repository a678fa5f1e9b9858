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
