//! What `kubectl apply -k config/kubernetes/overlays/least-privilege` gives a node, run by `podman kube play`.
//!
//! There is no cluster here: the manifests that kubectl renders are played as they are, but for what this
//! Podman (4.3) does not know, which [`playable`] and [`SETTINGS`] change and nothing else does:
//!
//! - a `DaemonSet` is a Deployment of one pod;
//! - `hostPID` is not read: the engine is told that pid namespaces are the host's;
//! - `securityContext.seccompProfile` is not read: the annotation says it that was its form before Kubernetes 1.19;
//! - the kubelet's probes would be asked by curl inside the container: they are asked from outside.
//!
//! A node selector, tolerations and a priority mean nothing to an engine.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use probe_tests::exposition::Exposition;
use probe_tests::lab::Lab;
use probe_tests::peer::{Client, LONG_TALK};
use probe_tests::process::eventually;
use probe_tests::skip::{program, restricted, skip, unprivileged};
use serde_json::{Value, json};

use super::{blocks, config_readme, section, worker_main};
use crate::container::Engine;
use crate::kubernetes::tools::{Tools, kubernetes, of_kind};
use crate::live::http::get;

/// What the engine is told beside the usual.
const SETTINGS: &str = "pidns = \"host\"\n";

/// What makes a pod's network, in Debian's package netavark.
const NETAVARK: &str = "/usr/lib/podman/netavark";

/// Where the manifests have the agent serve.
const PORT: u16 = 9781;

/// How long the pod may take to start and attach, and to see frames.
const SOON: Duration = Duration::from_secs(30);

/// Bits of `DAC_READ_SEARCH` (2), `SYS_PTRACE` (19), PERFMON (38) and BPF (39) in `linux/capability.h`.
const FOUR: &str = "000000c000080004";

/// The folder that every kubelet makes and that the manifests mount.
const LOGS: &str = "/var/log/containers";

/// The manifests as Podman plays them.
fn playable(manifests: &[Value]) -> String {
    let mut daemonset = of_kind(manifests, "DaemonSet", "voxprobe").clone();
    daemonset["kind"] = json!("Deployment");
    let pod = &mut daemonset["spec"]["template"];
    let container = &mut pod["spec"]["containers"][0];
    assert_eq!(
        container["securityContext"]["seccompProfile"]["type"],
        "Unconfined"
    );
    for probe in ["livenessProbe", "readinessProbe"] {
        container
            .as_object_mut()
            .expect("a container")
            .remove(probe);
    }
    pod["metadata"]["annotations"]["seccomp.security.alpha.kubernetes.io/pod"] =
        json!("unconfined");
    let config = of_kind(manifests, "ConfigMap", "voxprobe");
    format!("{config}\n---\n{daemonset}\n")
}

/// The kubelet's folder, made where there is none and then removed.
struct Logs(bool);

impl Logs {
    fn make() -> Self {
        Self(fs::create_dir(LOGS).is_ok())
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        if self.0 {
            fs::remove_dir(LOGS).ok();
        }
    }
}

/// Whether a pod can have a network, and its port a place on this host, where Podman puts it too.
fn has_network() -> bool {
    if program("catatonit").is_none() || program("iptables").is_none() {
        return false;
    }
    let missing = if !Path::new(NETAVARK).exists() {
        "netavark is not installed"
    } else if TcpListener::bind(("0.0.0.0", PORT)).is_err() {
        "port 9781 is taken: another voxprobe runs"
    } else {
        return true;
    };
    skip(missing);
    false
}

fn frames(text: &str) -> f64 {
    let scrape = Exposition::parse(text);
    scrape.sum("worker_audio_frames_emitted_total", &[])
}

#[test]
fn least_privilege_manifests_run_as_a_pod_that_watches_a_worker_and_is_scraped() {
    if unprivileged() || restricted() {
        return;
    }
    let lab = Lab::new();
    let (Some(engine), Some(tools)) = (Engine::told(&lab, SETTINGS), Tools::find()) else {
        return;
    };
    if !has_network() {
        return;
    }
    let Some(worker) = worker_main(&lab) else {
        return;
    };
    let _talk = Client::tonic(&lab, &worker, &LONG_TALK);
    let _logs = Logs::make();
    let manifests = tools.kustomize("overlays/least-privilege");
    let daemonset = of_kind(&manifests, "DaemonSet", "voxprobe");
    let container = &daemonset["spec"]["template"]["spec"]["containers"][0];
    engine.build_as(container["image"].as_str().expect("an image"));
    let file = lab.write("voxprobe.yaml", playable(&manifests));
    let pod = engine.play(&file);

    let port = container["ports"][0]["containerPort"]
        .as_u64()
        .expect("a port");
    let address = SocketAddr::new(pod.address, port as u16);
    for probe in ["livenessProbe", "readinessProbe"] {
        let path = container[probe]["httpGet"]["path"]
            .as_str()
            .expect("a path");
        let well = || matches!(get(address, path), Some((200, _)));
        assert!(eventually(SOON, well), "{path}: {}", engine.logs(&pod));
    }
    let metrics = || get(address, "/metrics").map_or(String::new(), |(_, text)| text);
    let seen = eventually(SOON, || frames(&metrics()) > 0.0);
    assert!(seen, "{}", engine.logs(&pod));

    let status = fs::read_to_string(format!("/proc/{}/status", pod.pid)).expect("its status");
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        let line = status.lines().find(|line| line.starts_with(set));
        let has = line.and_then(|line| line.split_whitespace().nth(1));
        assert_eq!(has, Some(FOUR), "{set}");
    }
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
    assert_eq!(engine.stop(&pod), 0, "it ends well: {}", engine.logs(&pod));
}

#[test]
fn what_the_readme_applies_can_be_rendered() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let section = section(&config_readme(), "### Kubernetes");
    let shell = blocks(&section, "sh");
    let mut rendered = 0;
    for line in shell.iter().flat_map(|block| block.lines()) {
        let words: Vec<_> = line.split_whitespace().collect();
        let below = |path: &str| -> PathBuf {
            let path = Path::new(path).strip_prefix("config/kubernetes");
            kubernetes().join(path.expect("a path in config/kubernetes"))
        };
        match words.as_slice() {
            ["kubectl", "apply", "-k", path, ..] => {
                assert!(
                    !tools.kustomize(&below(path).to_string_lossy()).is_empty(),
                    "{line}"
                );
            }
            [
                "helm",
                "install",
                "voxprobe",
                path,
                "--namespace",
                "voxprobe",
                "--create-namespace",
                ..,
            ] => {
                assert_eq!(below(path), kubernetes().join("helm"));
                assert!(!tools.helm(&json!({})).is_empty(), "{line}");
            }
            _ => panic!("not tried: {line}"),
        }
        rendered += 1;
    }
    assert!(rendered >= 3, "{rendered} commands");
}
