//! A directory of Sigma rules: the files below it, as text, for [`Rules::read`].

use std::io;
use std::path::{Path, PathBuf};

use crate::detect::Rules;
use crate::detect::sigma::Problem;

/// More files than this are no rules: SigmaHQ's whole repository has 4,000.
const MAX_FILES: usize = 20_000;
/// Directories may be nested this deep; links may lead in circles.
const MAX_DEPTH: usize = 16;

/// Reads every `.yml` and `.yaml` file below a directory, or the one file that is named. Rules that cannot be used are left out.
///
/// # Errors
/// The directory cannot be read, or holds no rule file.
pub fn load(path: &Path) -> Result<(Rules, Vec<Problem>), String> {
    let mut files = Vec::new();
    collect(path, 0, &mut files).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    if files.is_empty() {
        return Err(format!("there are no .yml files in {}", path.display()));
    }
    files.sort();
    let (mut texts, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => texts.push((file, text)),
            Err(e) => problems.push(Problem { file, line: 0, what: format!("cannot be read: {e}") }),
        }
    }
    let (rules, wrong) = Rules::read(texts.iter().map(|(file, text)| (&**file, text.as_str())));
    problems.extend(wrong);
    Ok((rules, problems))
}

fn collect(path: &Path, depth: usize, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !path.metadata()?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    if depth >= MAX_DEPTH {
        return Err(io::Error::other(format!("directories are nested deeper than {MAX_DEPTH}")));
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?.path();
        let is_rule = entry.extension().is_some_and(|e| e == "yml" || e == "yaml");
        if is_rule || entry.is_dir() {
            collect(&entry, depth + 1, files)?;
        }
        if files.len() > MAX_FILES {
            return Err(io::Error::other(format!("there are more than {MAX_FILES} files")));
        }
    }
    Ok(())
}
