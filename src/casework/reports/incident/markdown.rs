//! Notes as HTML. What they hold was typed by people, or copied from logs: no markup of theirs gets through but what Markdown makes, no
//! picture is loaded, and a link leads to the web or to a mailbox.

use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};

use crate::record::text::is_treacherous;

/// Markdown (CommonMark with tables and strikethrough) as HTML.
pub fn render(text: &str) -> String {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH;
    let mut out = String::with_capacity(text.len() * 3 / 2);
    let mut refused = 0_usize;
    let events = Parser::new_ext(text, options).filter_map(|event| {
        Some(match event {
            // As text, it is escaped.
            Event::Html(raw) | Event::InlineHtml(raw) => Event::Text(visible(raw)),
            Event::Text(text) => Event::Text(visible(text)),
            Event::Code(code) => Event::Code(visible(code)),
            // Its text stands where the picture would.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => return None,
            Event::Start(Tag::Link { link_type, dest_url, title, id }) => {
                let mailed = link_type == LinkType::Email;
                if !mailed && !is_safe(&dest_url) {
                    refused += 1;
                    return None;
                }
                Event::Start(Tag::Link { link_type, dest_url: visible(dest_url), title: visible(title), id })
            }
            Event::End(TagEnd::Link) if refused > 0 => {
                // Links are not nested in Markdown, so this is the end of the one that was left out.
                refused -= 1;
                return None;
            }
            Event::Start(Tag::Heading { level, .. }) => {
                Event::Start(Tag::Heading { level: below(level), id: None, classes: Vec::new(), attrs: Vec::new() })
            }
            Event::End(TagEnd::Heading(level)) => Event::End(TagEnd::Heading(below(level))),
            Event::Start(Tag::HtmlBlock) => Event::Start(Tag::Paragraph),
            Event::End(TagEnd::HtmlBlock) => Event::End(TagEnd::Paragraph),
            other => other,
        })
    });
    html::push_html(&mut out, events);
    out
}

/// The report has headings of its own, down to the third level.
fn below(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H4,
        HeadingLevel::H2 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

fn is_safe(url: &str) -> bool {
    let scheme = url.split_once(':').map(|(scheme, _)| scheme.to_ascii_lowercase());
    matches!(scheme.as_deref(), Some("http" | "https" | "mailto")) && !url.chars().any(is_treacherous)
}

/// With escapes for what moves cursors and turns text; line breaks stay.
fn visible(text: CowStr<'_>) -> CowStr<'_> {
    if !text.chars().any(|c| c != '\n' && is_treacherous(c)) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if c != '\n' && is_treacherous(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html_and_nothing_else_does() {
        for (text, html) in [
            ("*a* **b** `c<`", "<p><em>a</em> <strong>b</strong> <code>c&lt;</code></p>\n"),
            ("# big", "<h4>big</h4>\n"),
            ("[x](https://example.org/?a=b&c)", "<p><a href=\"https://example.org/?a=b&amp;c\">x</a></p>\n"),
            ("<ada@example.org>", "<p><a href=\"mailto:ada@example.org\">ada@example.org</a></p>\n"),
            ("[x](javascript:alert(1))", "<p>x</p>\n"),
            ("[x](JaVaScRiPt:alert(1)) [y](http://h/)", "<p>x <a href=\"http://h/\">y</a></p>\n"),
            ("[x](data:text/html,<script>)", "<p>x</p>\n"),
            ("[x](/etc/passwd) <javascript:alert(1)>", "<p>x javascript:alert(1)</p>\n"),
            ("![a picture](https://example.org/track.png)", "<p>a picture</p>\n"),
            ("a <b onmouseover=alert(1)>b</b>", "<p>a &lt;b onmouseover=alert(1)&gt;b&lt;/b&gt;</p>\n"),
            ("<script>alert(1)</script>", "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n"),
            ("\u{1b}[31m \u{202e}x", "<p>\\u{1b}[31m \\u{202e}x</p>\n"),
        ] {
            assert_eq!(render(text), html, "{text}");
        }
    }
}
