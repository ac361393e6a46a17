//! The Grafana dashboards: what they ask for, against Grafana's own schema, and against the guide.

pub(crate) mod dashboards;
mod guide;
mod layout;
mod provisioning;
mod queries;
mod schema;
