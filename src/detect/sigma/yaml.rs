//! YAML as far as rules need it: nodes with their lines.

use std::borrow::Cow;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};

use super::Wrong;

/// A file larger than this is no rule.
const MAX_BYTES: usize = 4 << 20;

/// A node of a document.
pub(super) type Node<'t> = MarkedYaml<'t>;

/// The documents of a file; empty ones are left out.
pub(super) fn documents(text: &str) -> Result<Vec<Node<'_>>, Wrong> {
    if text.len() > MAX_BYTES {
        return Err((0, format!("is larger than {MAX_BYTES} bytes")));
    }
    // YAML knows more ends of lines than editors count.
    let line = |e: &saphyr::ScanError| e.marker().line().min(text.lines().count());
    let documents = Node::load_from_str(text).map_err(|e| (line(&e), format!("this is no YAML: {}", e.info())))?;
    Ok(documents.into_iter().filter(|d| !is_null(d)).collect())
}

/// The line on which a node begins, from 1.
pub(super) fn line(node: &Node<'_>) -> usize {
    node.span.start.line()
}

pub(super) fn is_null(node: &Node<'_>) -> bool {
    matches!(node.data, YamlData::Value(Scalar::Null))
}

/// The entries of a mapping in the order in which they stand.
pub(super) fn entries<'n, 't>(node: &'n Node<'t>) -> Option<impl Iterator<Item = (&'n Node<'t>, &'n Node<'t>)>> {
    match &node.data {
        YamlData::Mapping(map) => Some(map.iter()),
        _ => None,
    }
}

/// The value of a key in a mapping.
pub(super) fn get<'n, 't>(node: &'n Node<'t>, key: &str) -> Option<&'n Node<'t>> {
    entries(node)?.find(|(k, _)| matches!(&k.data, YamlData::Value(Scalar::String(s)) if s == key)).map(|(_, v)| v)
}

/// The elements of a sequence.
pub(super) fn elements<'n, 't>(node: &'n Node<'t>) -> Option<&'n [Node<'t>]> {
    match &node.data {
        YamlData::Sequence(list) => Some(list),
        _ => None,
    }
}

/// The elements of a sequence, or the node itself where it is none.
pub(super) fn one_or_more<'n, 't>(node: &'n Node<'t>) -> &'n [Node<'t>] {
    elements(node).unwrap_or(std::slice::from_ref(node))
}

/// A scalar.
pub(super) fn scalar<'n, 't>(node: &'n Node<'t>) -> Option<&'n Scalar<'t>> {
    match &node.data {
        YamlData::Value(scalar) => Some(scalar),
        _ => None,
    }
}

/// A scalar as text: names, ids and levels may look like numbers.
pub(super) fn text<'n>(node: &'n Node<'_>) -> Option<Cow<'n, str>> {
    match scalar(node)? {
        Scalar::String(text) => Some(Cow::Borrowed(text)),
        Scalar::Integer(number) => Some(Cow::Owned(number.to_string())),
        Scalar::FloatingPoint(number) => Some(Cow::Owned(number.to_string())),
        Scalar::Boolean(truth) => Some(Cow::Owned(truth.to_string())),
        Scalar::Null => None,
    }
}

/// The text of a key that may be absent.
///
/// # Errors
/// The value is a list or a map.
pub(super) fn text_of<'n>(node: &'n Node<'_>, key: &str) -> Result<Option<Cow<'n, str>>, Wrong> {
    match get(node, key) {
        None => Ok(None),
        Some(value) if is_null(value) => Ok(None),
        Some(value) => text(value).map(Some).ok_or_else(|| (line(value), format!("{key} must be text"))),
    }
}
