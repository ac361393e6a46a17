//! What is applied: the agent with its privileges.

use std::process::Command;

use probe_tests::artifacts;
use probe_tests::lab::Lab;
use serde_json::{Value, json};

use super::tools::{Tools, of_kind};

/// Folders that are applied as they are.
const OVERLAYS: [&str; 2] = ["overlays/least-privilege", "overlays/privileged"];

/// Everything that the chart can render beside its defaults.
fn everything() -> Value {
    let created = json!({ "create": true });
    json!({
        "privileged": true,
        "runtimeClassName": "nvidia",
        "imagePullSecrets": [{ "name": "registry" }],
        "rules": created,
        "dashboards": created,
    })
}

fn daemonset(manifests: &[Value]) -> &Value {
    of_kind(manifests, "DaemonSet", "voxprobe")
}

fn container(manifests: &[Value]) -> &Value {
    &daemonset(manifests)["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn kubernetes_schemas_take_every_manifest_and_refuse_a_slip() {
    let Some(tools) = Tools::find() else {
        return;
    };
    for overlay in OVERLAYS {
        let manifests = tools.kustomize(overlay);
        assert_eq!(tools.refused(&manifests), [""; 0], "{overlay}");
    }
    for values in [json!({}), everything()] {
        let manifests = tools.helm(&values);
        assert_eq!(tools.refused(&manifests), [""; 0], "{values}");
    }
    // The schemas are strict, so that the above says something.
    let mut slip = tools.kustomize(OVERLAYS[0]);
    let daemonset = slip
        .iter_mut()
        .find(|manifest| manifest["kind"] == "DaemonSet")
        .expect("the agent");
    daemonset["spec"]["template"]["spec"]["hostPid"] = json!(true);
    let refused = tools.refused(&slip);
    assert!(
        refused.len() == 1 && refused[0].contains("hostPid"),
        "{refused:?}"
    );
}

#[test]
fn helm_finds_nothing_to_remark() {
    if let Some(tools) = Tools::find() {
        for values in [json!({}), everything()] {
            assert_eq!(tools.lint(&values), [""; 0], "{values}");
        }
    }
}

#[test]
fn chart_gives_what_the_overlays_give() {
    let Some(tools) = Tools::find() else {
        return;
    };
    for (overlay, privileged) in [(OVERLAYS[0], false), (OVERLAYS[1], true)] {
        let mut ours = tools.kustomize(overlay);
        // A chart makes no namespace: that is `helm install --create-namespace`.
        ours.retain(|manifest| manifest["kind"] != "Namespace");
        let mut chart = tools.helm(&json!({ "privileged": privileged }));
        for manifests in [&mut ours, &mut chart] {
            manifests.sort_by_key(|manifest| manifest["kind"].to_string());
        }
        assert_eq!(ours, chart, "{overlay}");
    }
}

#[test]
fn least_privilege_is_four_capabilities_and_a_read_only_root() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let manifests = tools.kustomize(OVERLAYS[0]);
    let context = &container(&manifests)["securityContext"];
    assert_eq!(context["capabilities"]["drop"], json!(["ALL"]));
    assert_eq!(
        context["capabilities"]["add"],
        json!(crate::container::CAPABILITIES)
    );
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["privileged"], Value::Null);
    let pod = &daemonset(&manifests)["spec"]["template"]["spec"];
    assert_eq!(pod["hostNetwork"], Value::Null);
    assert_eq!(pod["automountServiceAccountToken"], false);
    for mount in container(&manifests)["volumeMounts"]
        .as_array()
        .expect("mounts")
    {
        assert_eq!(mount["readOnly"], true, "{mount}");
    }
}

#[test]
fn agent_takes_its_configuration_and_answers_where_it_is_asked() {
    let Some(tools) = Tools::find() else {
        return;
    };
    let manifests = tools.kustomize(OVERLAYS[0]);
    let text = of_kind(&manifests, "ConfigMap", "voxprobe")["data"]["voxprobe.toml"]
        .as_str()
        .expect("the configuration");
    let port = &container(&manifests)["ports"][0];
    let number = port["containerPort"].as_u64().expect("a port");
    assert!(
        text.contains(&format!("listen = \"0.0.0.0:{number}\"")),
        "{text}"
    );
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(
            container(&manifests)[probe]["httpGet"]["port"],
            port["name"]
        );
    }
    let service = of_kind(&manifests, "Service", "voxprobe");
    assert_eq!(service["spec"]["ports"][0]["targetPort"], port["name"]);
    let labels = &daemonset(&manifests)["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&service["spec"]["selector"], labels);

    let lab = Lab::new();
    let output = Command::new(artifacts::voxprobe())
        .args(["discover", "--config"])
        .arg(lab.write("voxprobe.toml", text))
        .output()
        .expect("run voxprobe");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_ne!(output.status.code(), Some(2), "{said}");
}
