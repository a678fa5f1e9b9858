//! `condition`: how the searches of a rule are combined (Sigma Specification 2.1, "Condition").
//!
//! ```text
//! or    = and *("or" and)
//! and   = not *("and" not)
//! not   = "not" not / atom
//! atom  = "(" or ")" / ("1" / "any" / "all") "of" ("them" / pattern) / name
//! ```

use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while1};
use nom::character::complete::{char, multispace0};
use nom::combinator::{map, not, peek, verify};
use nom::multi::separated_list1;
use nom::sequence::{delimited, preceded, terminated};
use nom::{IResult, Parser};

/// A condition over searches, by their numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Condition {
    Search(usize),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

impl Condition {
    /// Whether it holds, where `search` tells whether a search does.
    pub(super) fn holds(&self, search: &mut impl FnMut(usize) -> bool) -> bool {
        match self {
            Condition::Search(n) => search(*n),
            Condition::Not(inner) => !inner.holds(search),
            Condition::All(parts) => parts.iter().all(|p| p.holds(search)),
            Condition::Any(parts) => parts.iter().any(|p| p.holds(search)),
        }
    }
}

/// Brackets and negations may be nested this deep.
const MAX_DEPTH: usize = 32;

/// Reads a condition over the searches of these names.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(text: &str, names: &[String]) -> Result<Condition, String> {
    if text.contains('|') {
        return Err("aggregations after \"|\" are obsolete in Sigma; write a correlation rule".to_owned());
    }
    if text.matches('(').count() > MAX_DEPTH
        || text.split_whitespace().filter(|w| w.eq_ignore_ascii_case("not")).count() > MAX_DEPTH
    {
        return Err(format!("the condition has more than {MAX_DEPTH} brackets or negations"));
    }
    match terminated(or, multispace0).parse(text) {
        Ok(("", parsed)) => resolve(parsed, names),
        Ok((rest, _)) => Err(format!("the condition cannot be read from \"{}\" on", rest.trim())),
        Err(nom::Err::Error(e) | nom::Err::Failure(e)) if !e.input.trim().is_empty() => {
            Err(format!("the condition cannot be read from \"{}\" on", e.input.trim()))
        }
        Err(_) => Err("the condition ends too early".to_owned()),
    }
}

/// As it stands, names and all.
#[derive(Debug)]
enum Parsed<'t> {
    Name(&'t str),
    /// Whether all are wanted, and of which; `them` is every one.
    Of(bool, &'t str),
    Not(Box<Parsed<'t>>),
    All(Vec<Parsed<'t>>),
    Any(Vec<Parsed<'t>>),
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '*' | '?')
}

fn word<'t>(wanted: &'static str) -> impl Parser<&'t str, Output = &'t str, Error = nom::error::Error<&'t str>> {
    preceded(multispace0, terminated(tag_no_case(wanted), not(peek(verify(take_while1(is_name), |_: &str| true)))))
}

fn name(input: &str) -> IResult<&str, &str> {
    let reserved = |n: &str| ["and", "or", "not", "of"].iter().any(|r| n.eq_ignore_ascii_case(r));
    preceded(multispace0, verify(take_while1(is_name), move |n: &str| !reserved(n))).parse(input)
}

fn or(input: &str) -> IResult<&str, Parsed<'_>> {
    map(separated_list1(word("or"), and), |parts| single(parts, Parsed::Any)).parse(input)
}

fn and(input: &str) -> IResult<&str, Parsed<'_>> {
    map(separated_list1(word("and"), negation), |parts| single(parts, Parsed::All)).parse(input)
}

fn single<'t>(mut parts: Vec<Parsed<'t>>, several: impl Fn(Vec<Parsed<'t>>) -> Parsed<'t>) -> Parsed<'t> {
    if parts.len() == 1 { parts.remove(0) } else { several(parts) }
}

fn negation(input: &str) -> IResult<&str, Parsed<'_>> {
    alt((map(preceded(word("not"), negation), |inner| Parsed::Not(Box::new(inner))), atom)).parse(input)
}

fn atom(input: &str) -> IResult<&str, Parsed<'_>> {
    let quantity = alt((map(word("1"), |_| false), map(word("any"), |_| false), map(word("all"), |_| true)));
    alt((
        delimited((multispace0, char('(')), or, (multispace0, char(')'))),
        map((terminated(quantity, word("of")), name), |(all, of)| Parsed::Of(all, of)),
        map(name, Parsed::Name),
    ))
    .parse(input)
}

fn resolve(parsed: Parsed<'_>, names: &[String]) -> Result<Condition, String> {
    let several = |parts: Vec<Parsed<'_>>| parts.into_iter().map(|p| resolve(p, names)).collect::<Result<Vec<_>, _>>();
    Ok(match parsed {
        Parsed::Name(name) => {
            let number = names.iter().position(|n| n == name);
            Condition::Search(number.ok_or_else(|| format!("the condition names \"{name}\", which is no search of this rule"))?)
        }
        Parsed::Of(all, pattern) => {
            let chosen: Vec<Condition> = (0..names.len())
                .filter(
                    |&n| if pattern.eq_ignore_ascii_case("them") { !names[n].starts_with('_') } else { fits(pattern, &names[n]) },
                )
                .map(Condition::Search)
                .collect();
            if chosen.is_empty() {
                return Err(format!("no search of this rule is named like \"{pattern}\""));
            }
            if all { Condition::All(chosen) } else { Condition::Any(chosen) }
        }
        Parsed::Not(inner) => Condition::Not(Box::new(resolve(*inner, names)?)),
        Parsed::All(parts) => Condition::All(several(parts)?),
        Parsed::Any(parts) => Condition::Any(several(parts)?),
    })
}

/// Whether a name is like a pattern in which `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((head, rest)) => {
            let Some(tail) = name.strip_prefix(head) else { return false };
            (0..=tail.len()).filter(|&n| tail.is_char_boundary(n)).any(|n| fits(rest, &tail[n..]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        ["selection_a", "selection_b", "filter", "_hidden", "not_this"].map(str::to_owned).to_vec()
    }

    #[test]
    fn conditions_bind_as_the_specification_says() {
        let holds = |text: &str, true_ones: &[usize]| {
            read(text, &names()).unwrap_or_else(|e| panic!("{text}: {e}")).holds(&mut |n| true_ones.contains(&n))
        };
        for (text, true_ones, want) in [
            ("selection_a", &[0][..], true),
            ("selection_a and not filter", &[0, 2], false),
            ("selection_a or selection_b and filter", &[0], true),
            ("(selection_a or selection_b) and filter", &[0], false),
            ("NOT filter AND selection_b", &[1], true),
            ("1 of selection_*", &[1], true),
            ("all of selection_*", &[1], false),
            ("any of them", &[3], false),
            ("1 of them", &[4], true),
            ("all of them", &[0, 1, 2, 4], true),
            ("not 1 of filter* and not_this", &[4], true),
            ("not (selection_a and selection_b)", &[0], true),
            ("  ( ( filter ) )  ", &[2], true),
        ] {
            assert_eq!(holds(text, true_ones), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (text, want) in [
            ("", "ends too early"),
            ("selection_a and", "from \"and\" on"),
            ("selection_a selection_b", "from \"selection_b\" on"),
            ("missing", "names \"missing\""),
            ("1 of missing*", "named like \"missing*\""),
            ("selection_a | count() > 5", "write a correlation rule"),
            ("(selection_a", "from \"(selection_a\" on"),
            ("2 of selection_*", "cannot be read from \"of"),
        ] {
            let error = read(text, &names()).unwrap_err();
            assert!(error.contains(want), "{text}: {error}");
        }
        assert!(read(&"(".repeat(10_000), &names()).is_err());
        assert!(read(&"not ".repeat(10_000), &names()).is_err());
    }
}
