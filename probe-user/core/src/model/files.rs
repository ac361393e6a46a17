//! Weights files of all workers: what they say about loads becomes metrics.

use super::Model;
use super::file_loads::{Again, FileLoads, Told, TooMany};
use crate::flow::CallId;
use crate::interpret::Id;
use crate::metrics::UNKNOWN;
use crate::record::{FileChange, FileEvent, KtimeNs, Tgid};

/// Weights files that are open or mapped at once: as many as the kernel side follows.
const MAX_FILES: usize = probe_abi::MAX_FILES as usize;

/// A weights file that is open or mapped.
#[derive(Debug)]
pub(super) struct ModelFile {
    process: Tgid,
    model: Id,
    path: u32,
    open: bool,
    mappings: u32,
}

impl Model {
    /// Something happened to a weights file.
    pub fn handle_file(&mut self, event: &FileEvent) {
        let FileEvent { file, at, .. } = *event;
        if let FileChange::Opened { model, path } = &event.change {
            self.open_file(event, model, *path);
            return;
        }
        let Some(known) = self.files.get_mut(&file) else {
            return;
        };
        let (model, path) = (known.model.clone(), known.path);
        let gone = match event.change {
            FileChange::Closed => {
                known.open = false;
                known.mappings == 0
            }
            FileChange::Mapped { .. } => {
                known.mappings = known.mappings.saturating_add(1);
                false
            }
            FileChange::Unmapped => {
                known.mappings = known.mappings.saturating_sub(1);
                known.mappings == 0 && !known.open
            }
            FileChange::Opened { .. } | FileChange::Read { .. } => false,
        };
        if gone {
            self.files.remove(&file);
        }
        let Some(loads) = self.loads_of(event.tgid) else {
            return;
        };
        let done = match event.change {
            FileChange::Read { bytes } => loads.read(&model, event.tgid, path, bytes, at),
            FileChange::Mapped { bytes } => {
                let done = loads.read(&model, event.tgid, path, bytes, at);
                loads.map(&model);
                done
            }
            FileChange::Unmapped => {
                loads.unmap(&model, at);
                Ok(())
            }
            FileChange::Closed => {
                loads.close(&model, at);
                Ok(())
            }
            FileChange::Opened { .. } => Ok(()),
        };
        if done == Err(TooMany) {
            self.refuse("model");
        }
    }

    fn open_file(&mut self, event: &FileEvent, model: &str, path: u32) {
        let Some(model) = Id::new(model) else {
            return;
        };
        if self.files.len() >= MAX_FILES && !self.files.contains_key(&event.file) {
            self.refuse("file");
            return;
        }
        let Some(loads) = self.loads_of(event.tgid) else {
            return;
        };
        if loads.open(&model, event.tgid, path, event.at) == Err(TooMany) {
            self.refuse("model");
            return;
        }
        let file = ModelFile {
            process: event.tgid,
            model,
            path,
            open: true,
            mappings: 0,
        };
        self.files.insert(event.file, file);
    }

    /// A request that needs a model arrived.
    pub(super) fn request_model(
        &mut self,
        process: Tgid,
        call: CallId,
        model: Option<&Id>,
        at: KtimeNs,
    ) {
        if let Some(loads) = self.loads_of(process) {
            loads.request(call, process, model.cloned(), at);
        }
        let worker = self.processes.get(&process);
        if let Some(state) = worker.and_then(|worker| self.workers.get_mut(worker)) {
            state.name_models(model.map(std::slice::from_ref).unwrap_or_default());
        }
    }

    /// Such a request is over; when it arrived.
    pub(super) fn end_model_request(&mut self, process: Tgid, call: CallId) -> Option<KtimeNs> {
        self.loads_of(process)?.end_request(call)
    }

    /// The worker answered for a model, to a request that arrived at `asked`: its load is over, and
    /// the time from its end until now is the warm-up, if the request was there by then.
    pub(super) fn answer_for_model(
        &mut self,
        worker: &Id,
        model: &Id,
        asked: Option<KtimeNs>,
        at: KtimeNs,
    ) {
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let awaited = state.loads.take_wait(model, asked);
        let told = state.loads.answer(model, asked, at);
        if let Some(ended) = awaited {
            self.observe_warmup(worker, Some(model), at.ms_since(ended));
        }
        if let Some(told) = told {
            self.count_file_load(worker, &told);
        }
    }

    /// A RELOAD that arrived at `received` succeeded.
    pub(super) fn reload_model(&mut self, worker: &Id, session: Option<&Id>, received: KtimeNs) {
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let session = session.and_then(|session| state.sessions.get(session));
        let started = session.and_then(|session| session.started.as_ref());
        if let Some(model) = started.and_then(|started| started.model.as_ref()) {
            state.loads.reload(model, received);
        }
    }

    /// Time passed: loads that are over are told.
    pub(super) fn expire_file_loads(&mut self, now: KtimeNs) {
        let mut over: Vec<(Id, Told)> = Vec::new();
        for (name, worker) in &mut self.workers {
            let told = worker.loads.expire(now).into_iter();
            over.extend(told.map(|told| (name.clone(), told)));
        }
        for (worker, told) in over {
            self.count_file_load(&worker, &told);
        }
    }

    /// What a process had open is gone with it.
    pub(super) fn forget_files_of(&mut self, tgid: Tgid) {
        self.files.retain(|_, file| file.process != tgid);
    }

    fn count_file_load(&mut self, worker: &Id, told: &Told) {
        let model = Some(&told.model);
        let left = told.again.map(|again| match again {
            Again::Evicted => UNKNOWN,
            Again::Reloaded => "manual",
        });
        if let Some(reason) = left {
            self.count_unload(worker, told.model.as_str(), reason);
        }
        self.count_load(worker, model);
        self.observe_load_duration(worker, model, told.ended.ms_since(told.begun));
        if let Some(answered) = told.answered {
            self.observe_warmup(worker, model, answered.ms_since(told.ended));
        }
        let Some(state) = self.workers.get_mut(worker) else {
            return;
        };
        let loaded = state.load_from_files(told.process, &told.model);
        state.publish_models(&self.metrics);
        if loaded.is_err() {
            self.refuse("model");
        }
    }

    fn loads_of(&mut self, process: Tgid) -> Option<&mut FileLoads> {
        let worker = self.processes.get(&process)?;
        self.workers.get_mut(worker).map(|state| &mut state.loads)
    }
}
