//! Files as memory: read when they are looked at, shared with everyone who has them open, thrown out when memory is
//! needed. For files of gigabytes.
#![allow(unsafe_code)]

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::path::Path;

/// The bytes of a file.
#[derive(Debug)]
pub struct Mapped(Option<Mmap>);

impl Mapped {
    /// Opens the file at `path`. As long as it is open, nobody may write to it: a file that is cut then ends the
    /// program. (To replace it, write another one and rename it.)
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |e: std::io::Error| Error::input(format!("cannot be read: {e}")).at(path.display());
        let file = File::open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            return Err(Error::input("is no file").at(path.display()));
        }
        if about.len() == 0 {
            return Ok(Self(None));
        }
        // SAFETY: the bytes are only read, and never as anything for which some bytes are invalid. What Rust cannot
        // rule out is that another process changes them meanwhile, which nobody may do: it would show as other
        // numbers, or, where the file is cut, as a signal that ends the program. A copy would double the memory of a
        // gallery of gigabytes.
        let map = unsafe { Mmap::map(&file) }.map_err(failed)?;
        Ok(Self(Some(map)))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}

/// `bytes` as the numbers they are in memory, where they lie at the right places and this machine has them in the order
/// of the file (little-endian).
pub fn singles(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: all bits are valid as f32.
    let (before, numbers, behind) = unsafe { bytes.align_to::<f32>() };
    let whole = before.is_empty() && behind.is_empty();
    (whole && cfg!(target_endian = "little")).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_seen_where_they_are_aligned() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("numbers");
        let numbers = [1.5_f32, -2.0, 1e-40];
        let bytes: Vec<u8> = numbers.iter().flat_map(|v| v.to_le_bytes()).collect();
        std::fs::write(&path, &bytes).unwrap();
        let mapped = Mapped::open(&path).unwrap();
        assert_eq!(mapped.bytes(), bytes);
        assert_eq!(singles(mapped.bytes()), Some(&numbers[..]));
        assert_eq!(singles(&mapped.bytes()[1..9]), None);
        assert_eq!(singles(&mapped.bytes()[..6]), None);
        std::fs::write(&path, b"").unwrap();
        assert_eq!(Mapped::open(&path).unwrap().bytes(), b"");
        assert!(Mapped::open(folder.path()).is_err());
        assert!(Mapped::open(&folder.path().join("none")).is_err());
    }
}
