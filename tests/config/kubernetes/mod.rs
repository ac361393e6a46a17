//! The Kubernetes manifests: kustomize and Helm render them, Kubernetes' own schemas take them, and
//! both ways give the same.

mod manifests;
mod monitoring;
pub(crate) mod tools;
