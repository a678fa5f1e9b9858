//! Chance, from the kernel.

use std::io::{self, Read};

/// That many random bytes as hexadecimal digits, fit for secrets.
///
/// # Errors
/// The kernel gives none.
pub fn hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}
