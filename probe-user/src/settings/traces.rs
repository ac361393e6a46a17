//! The section `traces`: what it means.

use std::path::Path;

use super::{beside, file::Traces};
use crate::export::otlp::{EndpointError, Settings};

/// Its settings; `None` while traces are off, whose keys have to be right all the same.
pub(super) fn compile(section: &Traces, path: &Path) -> Result<Option<Settings>, EndpointError> {
    if !(0.0..=1.0).contains(&section.sample) {
        return Err(EndpointError::Share(section.sample));
    }
    if section.batch == 0 || section.batch > section.queue {
        return Err(EndpointError::Batch(section.queue));
    }
    let ca_file = section.ca_file.clone().into_path();
    let settings = Settings {
        endpoint: Settings::endpoint(&section.endpoint, section.protocol)?,
        protocol: section.protocol,
        headers: Settings::headers(section.headers.iter())?,
        ca_file: ca_file.map(|file| beside(path, &file)),
        rate: section.sample,
        queue: section.queue,
        batch: section.batch,
        interval: section.interval,
        timeout: section.timeout,
    };
    Ok(section.enabled.then_some(settings))
}
