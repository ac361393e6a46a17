//! Weights of models: a file for each, read as a framework reads them.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use super::timer::Timer;
use crate::clock::monotonic_ns;

/// File of weights in a model's folder.
const FILE: &str = "model.safetensors";

/// Bytes read at a time.
const PART: usize = 1024 * 1024;

/// Where the weights are; without a folder a model is loaded by waiting.
pub(crate) struct Weights {
    pub(crate) root: Option<PathBuf>,
}

impl Weights {
    /// Reads a model's weights in parts spread over `load_ns` nanoseconds from `start_ns`. Gives when
    /// the last part was read.
    pub(crate) async fn read(
        &self,
        model: &str,
        start_ns: u64,
        load_ns: u64,
        timer: &Timer,
    ) -> io::Result<u64> {
        let Some(root) = &self.root else {
            timer.sleep_until(start_ns + load_ns).await;
            return Ok(monotonic_ns());
        };
        let mut file = File::open(root.join(model).join(FILE))?;
        let parts = file.metadata()?.len().div_ceil(PART as u64).max(1);
        let mut bytes = vec![0; PART];
        for part in 1..=parts {
            timer.sleep_until(start_ns + load_ns * part / parts).await;
            let mut filled = 0;
            while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match file.read(rest)? {
                    0 => break,
                    read => filled += read,
                }
            }
        }
        Ok(monotonic_ns())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn weights_are_read_to_their_end_over_the_whole_time() {
        let root = tempfile::tempdir().expect("temporary directory");
        std::fs::create_dir(root.path().join("tone")).expect("folder");
        std::fs::write(root.path().join("tone").join(FILE), vec![7; PART * 5 / 2]).expect("file");
        let weights = Weights {
            root: Some(root.path().to_owned()),
        };
        let timer = Timer::start().expect("timer");
        let start_ns = monotonic_ns();
        let end_ns = weights
            .read("tone", start_ns, 30_000_000, &timer)
            .await
            .expect("weights");
        assert!(end_ns - start_ns >= 30_000_000);
        assert!(weights.read("bell", start_ns, 0, &timer).await.is_err());
    }
}
