//! How fast the folder that the program was started in takes what is written.

use serde::Serialize;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much is written, in pieces, each of which has to be on the disk before the next.
const PIECES: usize = 16;
const PIECE: usize = 4 << 20;
/// A slow disk gets no more than this.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was found.
#[derive(Debug, Clone, Serialize)]
pub struct Disk {
    pub folder: PathBuf,
    pub written_mib: f64,
    /// With everything on the disk.
    pub mib_per_s: f64,
    /// The longest time until a piece of 4 MiB was on the disk for certain.
    pub worst_sync_ms: f64,
}

pub fn measure() -> Result<Disk, String> {
    let folder = std::env::current_dir().map_err(|e| e.to_string())?;
    let scratch = Scratch::new(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    scratch.fill(folder).map_err(|e| format!("{}: {e}", scratch.path.display()))
}

/// A file that goes with its owner.
struct Scratch {
    path: PathBuf,
    file: File,
}

impl Scratch {
    fn new(folder: &Path) -> std::io::Result<Self> {
        let path = folder.join(format!(".saltatory-doctor-{}", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        Ok(Self { path, file })
    }

    fn fill(&self, folder: PathBuf) -> std::io::Result<Disk> {
        // No two bytes in a row alike, should the disk compress.
        let piece: Vec<u8> =
            (0..PIECE as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let (since, mut worst, mut written) = (Instant::now(), Duration::ZERO, 0);
        while written < PIECES && since.elapsed() < PATIENCE {
            (&self.file).write_all(&piece)?;
            let syncing = Instant::now();
            self.file.sync_all()?;
            worst = worst.max(syncing.elapsed());
            written += 1;
        }
        let written_mib = (written * PIECE) as f64 / f64::from(1 << 20);
        Ok(Disk {
            folder,
            written_mib,
            mib_per_s: written_mib / since.elapsed().as_secs_f64(),
            worst_sync_ms: worst.as_secs_f64() * 1e3,
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Its name says whose it is, should it stay.
        let _ = std::fs::remove_file(&self.path);
    }
}
