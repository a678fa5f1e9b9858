//! Chance, from the kernel.

use std::io::{self, Read};

/// That many random bytes as hexadecimal digits, fit for secrets.
///
/// # Errors
/// The kernel gives none.
pub fn hex(bytes: usize) -> io::Result<String> {
    let mut random = vec![0; bytes];
    fill(&mut random)?;
    Ok(random.iter().map(|b| format!("{b:02x}")).collect())
}

/// Fills a buffer with random bytes, fit for secrets.
///
/// # Errors
/// The kernel gives none.
pub fn fill(buffer: &mut [u8]) -> io::Result<()> {
    std::fs::File::open("/dev/urandom")?.read_exact(buffer)
}
