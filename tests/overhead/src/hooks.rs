//! Where a process has attached eBPF programs, as the kernel tells in `/proc/PID/fdinfo`: so that empty
//! programs can be put at exactly the same places.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::machine::tracefs;

/// `prog_type` of programs that have the kernel's types (`BPF_PROG_TYPE_TRACING`, `include/uapi/linux/bpf.h`).
const TRACING: &str = "26";

/// Where one program is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Hook {
    /// A tracepoint, through tracefs.
    Tracepoint {
        /// Such as `syscalls`.
        category: String,
        /// Such as `sys_enter_write`.
        name: String,
    },
    /// A tracepoint as the kernel calls it, untyped.
    Raw(String),
    /// The same with its types.
    Typed(String),
}

/// Keys and values of one descriptor.
type Facts = HashMap<String, String>;

/// Every hook of a process.
pub(crate) fn of(pid: u32) -> Result<Vec<Hook>> {
    let folder = format!("/proc/{pid}/fdinfo");
    let entries = fs::read_dir(&folder).with_context(|| format!("read {folder}"))?;
    // A descriptor that is closed meanwhile has no facts.
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.ok()?.path()).ok());
    let descriptors: Vec<Facts> = texts.map(|text| facts(&text)).collect();
    let events = fs::read_to_string(Path::new(tracefs()?).join("available_events"))
        .context("read the kernel's list of tracepoints")?;
    hooks(&descriptors, &events)
}

fn facts(text: &str) -> Facts {
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(key, value)| (key.trim().to_owned(), value.trim().to_owned()))
        .collect()
}

fn hooks(descriptors: &[Facts], events: &str) -> Result<Vec<Hook>> {
    let types: HashMap<&str, &str> = descriptors
        .iter()
        .filter_map(|facts| {
            Some((
                facts.get("prog_id")?.as_str(),
                facts.get("prog_type")?.as_str(),
            ))
        })
        .collect();
    let links = descriptors
        .iter()
        .filter(|facts| facts.contains_key("link_type"));
    links
        .map(|link| {
            let (kind, name) = (link["link_type"].as_str(), link.get("tp_name"));
            let Some(name) = name.cloned() else {
                bail!("the kernel does not tell where a link of type {kind} is attached");
            };
            let program = link.get("prog_id").and_then(|id| types.get(id.as_str()));
            match (kind, program) {
                ("perf", _) => {
                    let category = category(events, &name)?;
                    Ok(Hook::Tracepoint { category, name })
                }
                ("raw_tracepoint", Some(&TRACING)) => Ok(Hook::Typed(name)),
                ("raw_tracepoint", Some(_)) => Ok(Hook::Raw(name)),
                _ => bail!("no empty program is made for a link of type {kind}"),
            }
        })
        .collect()
}

/// The category of a tracepoint, from lines of `category:name`.
fn category(events: &str, name: &str) -> Result<String> {
    let mut named = events.lines().filter_map(|line| line.split_once(':'));
    let found = named.find(|(_, event)| *event == name);
    let (category, _) = found.with_context(|| format!("no tracepoint {name} is listed"))?;
    Ok(category.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENTS: &str = "sched:sched_switch\nsyscalls:sys_enter_write\n";

    fn found(texts: &[&str]) -> Result<Vec<Hook>> {
        let descriptors: Vec<_> = texts.iter().map(|text| facts(text)).collect();
        hooks(&descriptors, EVENTS)
    }

    #[test]
    fn hooks_are_told_by_link_and_by_type_of_program() {
        let texts = [
            "pos:\t0\nprog_type:\t26\nprog_id:\t7\n",
            "prog_type:\t17\nprog_id:\t8\n",
            "link_type:\traw_tracepoint\nprog_id:\t7\ntp_name:\tsock_send_length\n",
            "link_type:\traw_tracepoint\nprog_id:\t8\ntp_name:\tsys_enter\n",
            "link_type:\tperf\nprog_id:\t9\ntp_name:\tsys_enter_write\nevent_type:\ttracepoint\n",
            "pos:\t0\nflags:\t02\n",
        ];
        let expected = [
            Hook::Typed("sock_send_length".to_owned()),
            Hook::Raw("sys_enter".to_owned()),
            Hook::Tracepoint {
                category: "syscalls".to_owned(),
                name: "sys_enter_write".to_owned(),
            },
        ];
        assert_eq!(found(&texts).expect("hooks"), expected);
    }

    #[test]
    fn link_without_a_place_is_an_error() {
        let error = found(&["link_type:\tperf\nprog_id:\t9\n"]).expect_err("no place");
        assert!(error.to_string().contains("type perf"), "{error}");
    }
}
