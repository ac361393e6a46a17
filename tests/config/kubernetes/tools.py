"""kubectl, Helm and Kubernetes' schemas on the manifests; answers in JSON.

kustomize FOLDER       its manifests
helm CHART VALUES      the chart's manifests for these values (JSON)
lint CHART VALUES      what Helm remarks, but for information: a list of texts
mismatches SCHEMA      the lines on stdin that the JSON schema does not take, each with why
validate               the manifests on stdin, strictly: a list of texts, empty when all is well
"""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml
from helm_python import chart

# Helm's severities: 1 is information.
INFORMATION = 1

# As `helm install` would be told.
RELEASE = {"name": "voxprobe", "namespace": "voxprobe"}


def kustomize(folder):
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def helm(path, values):
    with chart.Chart.load(path) as loaded:
        rendered = loaded.render(json.loads(values), **RELEASE)
    documents = [yaml.safe_load(text) for _, text in sorted(rendered.items())]
    return [document for document in documents if document]


def lint(path, values):
    report = chart.lint(path, json.loads(values), strict=True)
    remarks = [m["error"] for m in report["messages"] if m["severity"] != INFORMATION]
    return remarks + report["errors"]


def validate():
    found = []
    for manifest in json.load(sys.stdin):
        try:
            kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)
        except Exception as error:  # The package's errors have no common base.
            first = str(error).splitlines()[0]
            found.append(f"{manifest.get('kind')}: {first}")
    return found


def mismatches(schema):
    validator = jsonschema.Draft202012Validator(json.loads(Path(schema).read_text()))
    found = []
    for line in sys.stdin.read().splitlines():
        errors = validator.iter_errors(json.loads(line))
        found.extend(f"{line}: {error.message}" for error in errors)
    return found


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    json.dump(globals()[command](*arguments), sys.stdout)
