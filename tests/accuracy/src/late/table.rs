//! The tables for a person.

use super::system::System;
use super::tally::{Counts, Tally};

/// One attachment, as soon as it is compared.
pub(super) fn print_moment(system: &System, streams: u32, seen: &Counts) {
    println!(
        "{:<22} {streams:>2} streams: {} of {} later calls named, {} wrong, first after {}",
        system.name,
        seen.named,
        seen.later,
        seen.wrong,
        seconds(&seen.first_ns)
    );
    for exceeded in &seen.exceeded {
        println!("  more than there was: {exceeded}");
    }
}

/// Everything, in the form that a README shows.
pub(super) fn print(tallies: &[(&System, Tally)], lose: Option<f64>) {
    let losses = lose.map_or_else(String::new, |share| {
        format!(", {} % of the records lost on purpose", share * 100.0)
    });
    println!("\n# attached late{losses}\n");
    println!(
        "| system | streams | attached | calls after 2 s | named | wrong | first right name |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (system, tally) in tallies {
        for (streams, counts) in &tally.loads {
            row(system.name, &streams.to_string(), counts);
        }
        row(system.name, "all", &tally.total());
    }
    println!("\n| system | method | calls after 2 s | named | wrong | first right name |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (system, tally) in tallies {
        for (method, counts) in &tally.methods {
            println!(
                "| {} | {method} | {} | {:.2} % | {} | {} |",
                system.name,
                counts.later,
                counts.share() * 100.0,
                counts.wrong,
                seconds(&counts.first_ns)
            );
        }
    }
    if lose.is_some() {
        let lost: u64 = tallies.iter().map(|(_, tally)| tally.total().lost).sum();
        println!("\nrecords lost: {lost}");
    }
}

fn row(system: &str, streams: &str, counts: &Counts) {
    println!(
        "| {system} | {streams} | {} | {} | {:.2} % | {} | {} |",
        counts.moments,
        counts.later,
        counts.share() * 100.0,
        counts.wrong,
        seconds(&counts.first_ns)
    );
}

/// Median and most of some times.
fn seconds(times_ns: &[u64]) -> String {
    let mut times = times_ns.to_vec();
    times.sort_unstable();
    let Some(most) = times.last() else {
        return "-".to_owned();
    };
    let median = times.get(times.len() / 2).unwrap_or(most);
    let seconds = |ns: u64| ns as f64 / 1e9;
    if times.len() == 1 {
        return format!("{:.2} s", seconds(*most));
    }
    format!("{:.2} s, at most {:.2} s", seconds(*median), seconds(*most))
}
