//! kubectl, Helm and Kubernetes' schemas, by `tools.py`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use probe_tests::artifacts;
use probe_tests::skip::skip;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::rules::config;

/// The tools, where setup installed them.
pub(crate) struct Tools {
    python: PathBuf,
}

impl Tools {
    /// `None`, and said, where they are not installed.
    pub(crate) fn find() -> Option<Self> {
        let python = artifacts::kubernetes_tools();
        if python.is_none() {
            skip("kubectl, Helm and Kubernetes' schemas are not installed (pip)");
        }
        Some(Self { python: python? })
    }

    /// The manifests of a folder in `config/kubernetes`, by `kubectl kustomize`.
    pub(crate) fn kustomize(&self, folder: &str) -> Vec<Value> {
        let folder = kubernetes().join(folder);
        self.ask(&["kustomize".as_ref(), folder.as_ref()], &[])
    }

    /// The chart's manifests for these values.
    pub(crate) fn helm(&self, values: &Value) -> Vec<Value> {
        self.on_chart("helm", values)
    }

    /// What Helm remarks on the chart with these values.
    pub(super) fn lint(&self, values: &Value) -> Vec<String> {
        self.on_chart("lint", values)
    }

    /// What Kubernetes' schemas do not take.
    pub(super) fn refused(&self, manifests: &[Value]) -> Vec<String> {
        let text = serde_json::to_vec(manifests).expect("JSON");
        self.ask(&["validate".as_ref()], &text)
    }

    /// Lines that a JSON schema does not take.
    pub(crate) fn mismatches(&self, schema: &Path, lines: &[&str]) -> Vec<String> {
        let text = lines.join("\n");
        self.ask(&["mismatches".as_ref(), schema], text.as_bytes())
    }

    fn on_chart<T: DeserializeOwned>(&self, command: &str, values: &Value) -> T {
        let (chart, values) = (kubernetes().join("helm"), values.to_string());
        self.ask(&[command.as_ref(), chart.as_ref(), values.as_ref()], &[])
    }

    fn ask<T: DeserializeOwned>(&self, arguments: &[&Path], input: &[u8]) -> T {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/kubernetes/tools.py");
        let mut child = Command::new(&self.python)
            .arg(script)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("run the tools");
        let mut stdin = child.stdin.take().expect("stdin is piped");
        stdin.write_all(input).expect("tell the tools");
        drop(stdin);
        let output = child.wait_with_output().expect("hear the tools");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }
}

/// The folder of the manifests.
pub(crate) fn kubernetes() -> PathBuf {
    config().join("kubernetes")
}

/// The manifest of this kind and name.
pub(crate) fn of_kind<'a>(manifests: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = manifests
        .iter()
        .find(|manifest| manifest["kind"] == kind && manifest["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}
