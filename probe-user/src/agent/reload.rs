//! Another configuration while the agent runs.

use std::sync::{Arc, Mutex, PoisonError};

use probe_core::record::Record;
use prometheus::{IntCounterVec, Opts, Registry};

use super::Agent;
use crate::settings::Settings;

/// Settings that the agent goes by from its next tick on; newer ones take the place of older ones that
/// were not taken yet.
#[derive(Clone, Default)]
pub struct Next(Arc<Mutex<Option<Box<Settings>>>>);

impl Next {
    /// Leaves settings for the agent.
    pub fn put(&self, settings: Settings) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(settings));
    }

    pub(super) fn take(&self) -> Option<Box<Settings>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// How often the configuration was read again, and what came of it.
#[derive(Clone)]
pub struct Reloads(IntCounterVec);

impl Reloads {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let options = Opts::new(
            "voxprobe_config_reloads_total",
            "Times the configuration was read again: applied, or refused because it is wrong.",
        );
        let counter = IntCounterVec::new(options, &["outcome"])?;
        for outcome in ["applied", "refused"] {
            counter.with_label_values(&[outcome]);
        }
        registry.register(Box::new(counter.clone()))?;
        Ok(Self(counter))
    }

    /// The agent goes by it.
    pub(super) fn applied(&self) {
        self.0.with_label_values(&["applied"]).inc();
    }

    /// It is wrong, and the old one stays.
    pub fn refused(&self) {
        self.0.with_label_values(&["refused"]).inc();
    }
}

impl Agent {
    /// Goes by other settings from now on, where they were left. No capture is written then: a replay
    /// goes by one configuration.
    pub(super) fn reload(&mut self) {
        let Some(next) = self.shared.next.take() else {
            return;
        };
        for key in self.settings.fixed_keys_changed(&next) {
            tracing::warn!(
                key,
                "changes of this key need a restart: the old value stays"
            );
        }
        let settings = self.settings.followed_by(*next);
        let profile = Arc::clone(&settings.profile);
        self.pipeline.reconfigure(profile, settings.model);
        let rate = settings.traces.as_ref().map_or(0.0, |it| it.rate);
        if let Some(tracer) = self.pipeline.tracer_mut() {
            tracer.reconfigure(rate, settings.model.objectives);
        }
        if let Some(notices) = &mut self.notices {
            notices.set_limit(settings.log.events_per_minute);
        }
        let Self {
            ingest, pipeline, ..
        } = self;
        ingest
            .tracker
            .leave_unread(settings.profile.unread_fields());
        let mut out = |record: Record<'_>| pipeline.handle(record, None);
        ingest
            .tracker
            .rehook(settings.library_hooks.clone(), &mut out);
        ingest.tracker.retarget(settings.targets.clone(), &mut out);
        self.cost.forget_hooks();
        self.settings = settings;
        if let Some(reloads) = &self.reloads {
            reloads.applied();
        }
        tracing::info!("configuration applied");
    }
}
