//! One boot of one kernel: what its only command said, and how it ended.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::kernel::Kernel;

/// How long a machine may take: three times what the slowest took on two CPUs of which it had one.
const LIMIT: Duration = Duration::from_mins(8);

/// How often it is looked whether it ended.
const POLL: Duration = Duration::from_millis(200);

/// What every boot has in common.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) qemu: PathBuf,
    /// Initial file system, the only one.
    pub(super) image: PathBuf,
    /// Where everything of the machines lies.
    pub(super) folder: PathBuf,
}

/// How a machine's command ended.
#[derive(Debug)]
pub(super) struct End {
    /// Exit status; `None` where the machine panicked, hung or was stopped at the limit.
    pub(super) status: Option<i32>,
    pub(super) output: String,
    pub(super) took: Duration,
}

impl Machine {
    /// Boots a kernel with a command as its only program, and waits for its end. The three serial
    /// ports are files in `folder`.
    pub(super) fn run(
        &self,
        kernel: &Kernel,
        environment: &[(&str, &str)],
        command: &[&str],
        folder: &Path,
    ) -> Result<End> {
        let started = Instant::now();
        fs::create_dir_all(folder).with_context(|| format!("create {}", folder.display()))?;
        let [console, output, status] =
            ["console", "output", "status"].map(|name| folder.join(name));
        for port in [&console, &output, &status] {
            fs::write(port, "").with_context(|| format!("write {}", port.display()))?;
        }
        let mut qemu = Command::new(&self.qemu);
        qemu.args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-no-reboot", "-machine", "q35", "-accel", "tcg"])
            // Emulated, cmpxchg16b now and then ends in a fault of the kernel, and five-level paging
            // only costs. With two CPUs loopback is tens of times slower than with one.
            // Room for more is what a kernel makes its kretprobes' places by.
            .args(["-cpu", "max,la57=off,cx16=off", "-m", "1024"])
            .args(["-smp", "1,maxcpus=16"])
            .arg("-kernel")
            .arg(&kernel.image)
            .arg("-initrd")
            .arg(&self.image)
            .args(["-append", &command_line(environment, command)]);
        for port in [&console, &output, &status] {
            qemu.arg("-serial").arg(format!("file:{}", port.display()));
        }
        let mut child = qemu
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("start {}", self.qemu.display()))?;
        while child.try_wait().context("look at qemu")?.is_none() {
            if started.elapsed() > LIMIT {
                child.kill().context("stop qemu")?;
                child.wait().context("wait for qemu")?;
                break;
            }
            thread::sleep(POLL);
        }
        Ok(End {
            status: read(&status)?.trim().parse().ok(),
            output: read(&output)?,
            took: started.elapsed(),
        })
    }
}

/// The kernel's command line. What it does not know itself it hands to the first program: as a
/// variable before `--`, as an argument after it.
fn command_line(environment: &[(&str, &str)], command: &[&str]) -> String {
    let mut words = vec!["console=ttyS0 panic=-1 quiet".to_string()];
    words.extend(
        environment
            .iter()
            .map(|(name, value)| format!("{name}={value}")),
    );
    words.push("--".to_string());
    words.extend(command.iter().map(|word| (*word).to_string()));
    words.join(" ")
}

fn read(port: &Path) -> Result<String> {
    let bytes = fs::read(port).with_context(|| format!("read {}", port.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_stands_behind_the_dashes_and_variables_before() {
        let line = command_line(&[("HOW", "raw")], &["/host", "a::"]);
        assert_eq!(line, "console=ttyS0 panic=-1 quiet HOW=raw -- /host a::");
    }

    #[test]
    fn machine_that_says_no_status_has_none() {
        let folder = tempfile::tempdir().expect("temporary directory");
        let machine = Machine {
            // Ends at once, whatever it is told.
            qemu: "/bin/true".into(),
            image: folder.path().join("image"),
            folder: folder.path().to_path_buf(),
        };
        let kernel = Kernel {
            release: "0".to_string(),
            image: folder.path().join("vmlinuz"),
        };
        let runs = folder.path().join("runs");
        let end = machine.run(&kernel, &[], &["/host"], &runs).expect("ran");
        assert_eq!(end.status, None);
    }
}
