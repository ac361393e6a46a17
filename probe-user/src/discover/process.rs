//! What `/proc` says about processes.

use std::collections::BTreeMap;

use procfs::process::Process;

use super::SocketTable;

/// What is known about a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProcessFacts {
    /// Process id.
    pub pid: u32,
    /// Parent process id.
    pub parent: u32,
    /// Start time in clock ticks since boot: with the pid, an identity that is never reused.
    pub start_ticks: u64,
    /// Arguments joined by spaces.
    pub cmdline: String,
    /// Executable's path; empty where it may not be read.
    pub exe: String,
}

/// Every process, by id.
pub type Snapshot = BTreeMap<u32, ProcessFacts>;

/// Reads every process. Those that end meanwhile are left out.
pub fn processes() -> Snapshot {
    let Ok(all) = procfs::process::all_processes() else {
        return Snapshot::new();
    };
    all.flatten()
        .filter_map(|process| facts(&process))
        .map(|facts| (facts.pid, facts))
        .collect()
}

fn facts(process: &Process) -> Option<ProcessFacts> {
    let stat = process.stat().ok()?;
    Some(ProcessFacts {
        pid: stat.pid as u32,
        parent: stat.ppid as u32,
        start_ticks: stat.starttime,
        cmdline: process.cmdline().ok()?.join(" "),
        exe: process
            .exe()
            .map_or_else(|_| String::new(), |path| path.display().to_string()),
    })
}

impl ProcessFacts {
    /// Reads one process; `None` when it is gone.
    pub fn read(pid: u32) -> Option<Self> {
        facts(&open(pid)?)
    }

    /// Path in the unified hierarchy, or in the first one that has a path.
    pub fn cgroup(&self) -> String {
        let Some(groups) = open(self.pid).and_then(|process| process.cgroups().ok()) else {
            return String::new();
        };
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_by_key(|group| (group.pathname == "/", group.hierarchy));
        groups
            .into_iter()
            .next()
            .map_or_else(String::new, |group| group.pathname)
    }

    /// TCP ports it listens on, ascending.
    pub fn listening_ports(&self) -> Vec<u16> {
        SocketTable::read(self.pid).map_or_else(Vec::new, |table| table.listening_ports())
    }

    /// What it is called when nothing else names it: the module or script an interpreter runs,
    /// else the executable.
    pub fn program_name(&self) -> String {
        let mut words = self.cmdline.split_whitespace();
        let program = words.next().map_or("", file_stem);
        if !program.starts_with("python") {
            return if program.is_empty() {
                "unknown".to_owned()
            } else {
                program.to_owned()
            };
        }
        while let Some(word) = words.next() {
            match word {
                "-m" => return words.next().unwrap_or(program).to_owned(),
                word if word.starts_with('-') => {}
                script => return file_stem(script).to_owned(),
            }
        }
        program.to_owned()
    }

    /// Value of its `--adapter` argument.
    pub fn adapter(&self) -> Option<String> {
        self.argument("--adapter")
    }

    /// Value of its `--port` argument.
    pub fn port_argument(&self) -> Option<u16> {
        self.argument("--port")?
            .parse()
            .ok()
            .filter(|port| *port != 0)
    }

    /// GPU it was given, when it was given exactly one (`CUDA_VISIBLE_DEVICES`).
    pub fn visible_gpu(&self) -> Option<String> {
        let environment = open(self.pid)?.environ().ok()?;
        let value = environment
            .get(std::ffi::OsStr::new("CUDA_VISIBLE_DEVICES"))?
            .to_str()?
            .trim();
        (!value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()))
            .then(|| value.to_owned())
    }

    fn argument(&self, name: &str) -> Option<String> {
        let mut words = self.cmdline.split_whitespace();
        while let Some(word) = words.next() {
            if word == name {
                return words.next().map(str::to_owned);
            }
            if let Some(value) = word
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('='))
            {
                return Some(value.to_owned());
            }
        }
        None
    }
}

/// File name without folder and extension.
fn file_stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".py").unwrap_or(name)
}

fn open(pid: u32) -> Option<Process> {
    Process::new(i32::try_from(pid).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(cmdline: &str) -> ProcessFacts {
        ProcessFacts {
            cmdline: cmdline.to_owned(),
            ..ProcessFacts::default()
        }
    }

    #[test]
    fn program_name_is_what_the_interpreter_runs() {
        assert_eq!(
            facts("python3 -m tts.worker_main --port 1").program_name(),
            "tts.worker_main"
        );
        assert_eq!(
            facts("/usr/bin/python3.11 -u /srv/worker_aio.py").program_name(),
            "worker_aio"
        );
        assert_eq!(facts("/opt/voicelab worker").program_name(), "voicelab");
        assert_eq!(facts("").program_name(), "unknown");
    }

    #[test]
    fn adapter_is_read_in_both_spellings() {
        assert_eq!(
            facts("x --adapter cosyvoice2").adapter().as_deref(),
            Some("cosyvoice2")
        );
        assert_eq!(facts("x --adapter=mock").adapter().as_deref(), Some("mock"));
        assert_eq!(facts("x --adapters y").adapter(), None);
    }

    #[test]
    fn own_process_is_found() {
        let pid = std::process::id();
        let own = ProcessFacts::read(pid).unwrap();
        assert_eq!(own.pid, pid);
        assert!(processes().contains_key(&pid));
        assert!(ProcessFacts::read(u32::MAX).is_none());
    }
}
