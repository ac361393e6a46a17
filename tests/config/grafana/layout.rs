//! Panels lie beside each other, and say what they show.

use std::collections::BTreeSet;

use probe_tests::picture::{drawn, pixels};

use super::dashboards::{Panel, paths, shipped};
use crate::rules::config;

/// Columns of Grafana's grid.
const COLUMNS: u32 = 24;

fn cells(panel: &Panel) -> impl Iterator<Item = (u32, u32)> {
    let place = panel.place;
    (place.y..place.y + place.h)
        .flat_map(move |y| (place.x..place.x + place.w).map(move |x| (x, y)))
}

#[test]
fn every_dashboard_has_its_picture() {
    for path in paths() {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let picture = config().join(format!("grafana/{name}.png"));
        assert!(
            drawn(&pixels(&picture)) > 0.02,
            "{name}: `cargo xtask pictures`"
        );
    }
}

#[test]
fn panels_fill_the_grid_without_overlap() {
    for dashboard in shipped() {
        let mut taken = BTreeSet::new();
        for panel in &dashboard.panels {
            for (x, y) in cells(panel) {
                assert!(x < COLUMNS, "{}: {}", dashboard.title, panel.title);
                assert!(
                    taken.insert((x, y)),
                    "{}: {} lies on another",
                    dashboard.title,
                    panel.title
                );
            }
        }
        let lines = taken.iter().map(|(_, y)| y + 1).max().unwrap_or_default();
        let all = lines * COLUMNS;
        assert_eq!(taken.len(), all as usize, "{} has holes", dashboard.title);
    }
}

#[test]
fn every_panel_has_its_own_title_and_every_panel_with_queries_a_source_and_a_unit() {
    for dashboard in shipped() {
        let mut titles = BTreeSet::new();
        for panel in &dashboard.panels {
            let name = format!("{}: {}", dashboard.title, panel.title);
            assert!(
                !panel.title.is_empty() && titles.insert(&panel.title),
                "{name}"
            );
            if panel.targets.is_empty() {
                assert!(["row", "text"].contains(&panel.kind.as_str()), "{name}");
                continue;
            }
            assert_eq!(panel.datasource["uid"], "${datasource}", "{name}");
            let unit = &panel.look["defaults"]["unit"];
            assert!(unit.is_string(), "{name}: no unit");
        }
    }
}

#[test]
fn dashboards_are_told_apart() {
    let all = shipped();
    let uids: BTreeSet<_> = all.iter().map(|dashboard| &dashboard.uid).collect();
    assert_eq!(uids.len(), all.len());
    let titles: Vec<_> = all.iter().map(|d| d.title.as_str()).collect();
    assert_eq!(
        titles,
        [
            "Probe health",
            "Realtime Performance",
            "Resource Utilization",
            "Why late"
        ]
    );
}
