//! The files by which Grafana finds its data source and the dashboards.

use serde_json::Value;

use super::dashboards::paths;
use crate::rules::{config, yaml};

#[test]
fn provisioning_names_a_prometheus_and_a_folder_of_dashboards() {
    let folder = config().join("grafana/provisioning");
    let sources: Value = yaml(&folder.join("datasources/voxprobe.yml"));
    assert_eq!(sources["apiVersion"], 1);
    let source = &sources["datasources"][0];
    assert_eq!(
        source["type"], "prometheus",
        "as the dashboards' variable asks"
    );
    // `$__rate_interval` is four times this, and has to hold two scrapes.
    let prometheus: Value = yaml(&config().join("prometheus/prometheus.yml"));
    let interval = &prometheus["global"]["scrape_interval"];
    assert_eq!(&source["jsonData"]["timeInterval"], interval);

    let providers: Value = yaml(&folder.join("dashboards/voxprobe.yml"));
    assert_eq!(providers["apiVersion"], 1);
    let provider = &providers["providers"][0];
    assert_eq!(provider["type"], "file");
    assert!(
        provider["options"]["path"]
            .as_str()
            .is_some_and(|path| path.starts_with('/'))
    );
    assert_eq!(paths().len(), 4, "dashboards to be found");
}
