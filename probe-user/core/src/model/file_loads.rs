//! Loads of one worker's models as its weights files tell them, and the requests that wait for one.
//!
//! A load goes from the first open to the last read (or `mmap`, or `munmap`) of the weights files of
//! one model. It is over when nothing was read for [`QUIET_NS`], and while a request for the model is
//! unanswered it is not over. What is read through a mapping nobody sees: while one is in place a
//! load is over only after [`MAPPED_QUIET_NS`], and it then ends with the last call that was seen.
//!
//! Files of a model that is resident are opened again for many reasons. Reading is a load of its own
//! when it opens files of the last load again and takes at least half as many bytes: then the model
//! was evicted unseen, or a RELOAD was under way. Other files of the same model are late parts of its load. Less than
//! [`MIN_LOAD_BYTES`] (a look at a header) are no load at all.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::settings::MAX_MODELS_PER_PROCESS;
use crate::flow::CallId;
use crate::interpret::Id;
use crate::record::{KtimeNs, Tgid};

/// Nanoseconds without a read after which a load is over. Shards are opened one after the other, and
/// what was read of one may be copied to a GPU before the next.
pub const QUIET_NS: u64 = 2_000_000_000;

/// The same while files are mapped: pages come in without a call.
pub const MAPPED_QUIET_NS: u64 = 10_000_000_000;

/// Bytes read or mapped that make a load: the smallest speech models have some megabytes of weights,
/// headers and indices some ten or hundred kilobytes.
pub const MIN_LOAD_BYTES: u64 = 1024 * 1024;

/// Weights files remembered of one model: a large one has some hundred shards.
const MAX_PATHS: usize = 1024;

/// What the weights files of one worker tell.
#[derive(Debug, Default)]
pub(super) struct FileLoads {
    running: BTreeMap<Id, Load>,
    /// Loads that are over, of models believed to be resident.
    known: BTreeMap<Id, Known>,
    requests: HashMap<CallId, Request>,
}

/// A load that may be going on.
#[derive(Debug)]
struct Load {
    process: Tgid,
    begun: KtimeNs,
    /// Last read, `mmap` or `munmap`.
    last: KtimeNs,
    /// Last call of any kind.
    touched: KtimeNs,
    /// Bytes read or mapped.
    bytes: u64,
    /// Files open, and mappings in place.
    open: u32,
    mappings: u32,
    /// It began by opening a file, and not by going on with one.
    fresh: bool,
    paths: BTreeSet<u32>,
    /// The worker answered for the model, and nothing was read since.
    answer: Option<Answer>,
    /// A RELOAD was under way when it began.
    commanded: bool,
}

/// The worker answered for a model.
#[derive(Clone, Copy, Debug)]
struct Answer {
    /// When the request arrived; `None` when unknown.
    asked: Option<KtimeNs>,
    at: KtimeNs,
}

/// A load that is over.
#[derive(Debug)]
struct Known {
    process: Tgid,
    bytes: u64,
    paths: BTreeSet<u32>,
    /// When it ended, until the worker answered for the model.
    awaits_answer: Option<KtimeNs>,
}

/// A request that needs a model and is not answered.
#[derive(Debug)]
struct Request {
    process: Tgid,
    model: Option<Id>,
    at: KtimeNs,
}

/// A load that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) model: Id,
    pub(super) process: Tgid,
    /// From the first open to the last read.
    pub(super) begun: KtimeNs,
    pub(super) ended: KtimeNs,
    /// The model was loaded before: why it had to be again.
    pub(super) again: Option<Again>,
    /// The first answer for the model, where one came and its request was there by the end.
    pub(super) answered: Option<KtimeNs>,
}

/// Why a model was loaded that was loaded before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    /// It was evicted, and nobody saw it.
    Evicted,
    /// By a RELOAD.
    Reloaded,
}

/// More models at once than are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Load {
    fn new(process: Tgid, at: KtimeNs) -> Self {
        Self {
            process,
            begun: at,
            last: at,
            touched: at,
            bytes: 0,
            open: 0,
            mappings: 0,
            fresh: false,
            paths: BTreeSet::new(),
            answer: None,
            commanded: false,
        }
    }

    fn is_quiet(&self, now: KtimeNs) -> bool {
        let quiet = if self.mappings == 0 {
            QUIET_NS
        } else {
            MAPPED_QUIET_NS
        };
        now.since(self.touched) >= quiet
    }

    fn add_path(&mut self, path: u32) {
        if self.paths.len() < MAX_PATHS {
            self.paths.insert(path);
        }
    }
}

impl FileLoads {
    /// A weights file was opened.
    pub(super) fn open(
        &mut self,
        model: &Id,
        process: Tgid,
        path: u32,
        at: KtimeNs,
    ) -> Result<(), TooMany> {
        let load = self.load(model, process, at)?;
        load.fresh = true;
        load.open = load.open.saturating_add(1);
        load.touched = load.touched.max(at);
        load.add_path(path);
        Ok(())
    }

    /// Bytes of a weights file were read, or mapped.
    pub(super) fn read(
        &mut self,
        model: &Id,
        process: Tgid,
        path: u32,
        bytes: u64,
        at: KtimeNs,
    ) -> Result<(), TooMany> {
        let load = self.load(model, process, at)?;
        load.bytes = load.bytes.saturating_add(bytes);
        load.last = load.last.max(at);
        load.touched = load.touched.max(at);
        load.add_path(path);
        // The load went on after it.
        load.answer = load.answer.filter(|answer| answer.at >= at);
        Ok(())
    }

    /// A weights file was mapped.
    pub(super) fn map(&mut self, model: &Id) {
        if let Some(load) = self.running.get_mut(model) {
            load.mappings = load.mappings.saturating_add(1);
        }
    }

    /// A mapping is gone: until now it may have been read.
    pub(super) fn unmap(&mut self, model: &Id, at: KtimeNs) {
        if let Some(load) = self.running.get_mut(model) {
            load.mappings = load.mappings.saturating_sub(1);
            load.last = load.last.max(at);
            load.touched = load.touched.max(at);
        }
    }

    /// A weights file was closed.
    pub(super) fn close(&mut self, model: &Id, at: KtimeNs) {
        if let Some(load) = self.running.get_mut(model) {
            load.open = load.open.saturating_sub(1);
            load.touched = load.touched.max(at);
        }
    }

    /// A request that needs a model arrived.
    pub(super) fn request(&mut self, call: CallId, process: Tgid, model: Option<Id>, at: KtimeNs) {
        let request = Request { process, model, at };
        self.requests.insert(call, request);
    }

    /// Such a request is over; when it arrived.
    pub(super) fn end_request(&mut self, call: CallId) -> Option<KtimeNs> {
        self.requests.remove(&call).map(|request| request.at)
    }

    /// A RELOAD of this model that arrived at `received` succeeded: what began since is its doing.
    pub(super) fn reload(&mut self, model: &Id, received: KtimeNs) {
        if let Some(load) = self.running.get_mut(model) {
            load.commanded |= load.begun >= received;
        }
    }

    /// The load that a `LoadModel` answered for: it is the request's, and told by its caller. Without
    /// a name it is the only one that began since the request.
    pub(super) fn claim(&mut self, model: Option<&Id>, received: Option<KtimeNs>) -> Option<Told> {
        let model = match model {
            Some(model) => model.clone(),
            None => self.only_since(received?)?,
        };
        let enough = self.running.get(&model)?.bytes >= MIN_LOAD_BYTES;
        let load = enough.then(|| self.running.remove(&model)).flatten()?;
        Some(self.remember(model, load, None))
    }

    /// The only model whose load began since then.
    fn only_since(&self, since: KtimeNs) -> Option<Id> {
        let mut new = self.running.iter().filter(|(_, load)| load.begun >= since);
        let (model, _) = new.next()?;
        new.next().is_none().then(|| model.clone())
    }

    /// Whether files told a load of this model, and nothing said since that it is gone.
    pub(super) fn is_known(&self, model: &Id) -> bool {
        self.known.contains_key(model)
    }

    /// The worker answered for a model, to a request that arrived at `asked`. A load whose files are
    /// all closed is over then; one with open files is, if nothing is read any more.
    pub(super) fn answer(
        &mut self,
        model: &Id,
        asked: Option<KtimeNs>,
        at: KtimeNs,
    ) -> Option<Told> {
        let load = self.running.get_mut(model)?;
        if load.bytes < MIN_LOAD_BYTES {
            return None;
        }
        load.answer = load.answer.or(Some(Answer { asked, at }));
        (load.open == 0).then(|| self.finish(model)).flatten()
    }

    /// When the load ended whose first answer this is; `None` when there was one, or when its request
    /// came later.
    pub(super) fn take_wait(&mut self, model: &Id, asked: Option<KtimeNs>) -> Option<KtimeNs> {
        let ended = self.known.get_mut(model)?.awaits_answer.take()?;
        asked.is_some_and(|asked| asked <= ended).then_some(ended)
    }

    /// Time passed: loads that are over.
    pub(super) fn expire(&mut self, now: KtimeNs) -> Vec<Told> {
        let due: Vec<Id> = self
            .running
            .iter()
            .filter(|(model, load)| load.is_quiet(now) && !self.is_awaited(model))
            // A file of which little was read may be read on.
            .filter(|(_, load)| load.bytes >= MIN_LOAD_BYTES || load.open == 0)
            .map(|(model, _)| model.clone())
            .collect();
        due.iter().filter_map(|model| self.finish(model)).collect()
    }

    /// A model is gone: the next time its files are read is a load.
    pub(super) fn forget(&mut self, model: &Id) {
        self.known.remove(model);
    }

    /// A process is gone, and what it loaded with it.
    pub(super) fn forget_process(&mut self, process: Tgid) {
        self.running.retain(|_, load| load.process != process);
        self.known.retain(|_, known| known.process != process);
        self.requests
            .retain(|_, request| request.process != process);
    }

    fn load(&mut self, model: &Id, process: Tgid, at: KtimeNs) -> Result<&mut Load, TooMany> {
        let full = self.running.len() >= MAX_MODELS_PER_PROCESS;
        if full && !self.running.contains_key(model) {
            return Err(TooMany);
        }
        let load = self.running.entry(model.clone());
        Ok(load.or_insert_with(|| Load::new(process, at)))
    }

    /// Whether a request for the model is not answered yet.
    fn is_awaited(&self, model: &Id) -> bool {
        let mut requests = self.requests.values();
        requests.any(|request| request.model.as_ref().is_none_or(|asked| asked == model))
    }

    /// Ends a load; what it tells, if it was one.
    fn finish(&mut self, model: &Id) -> Option<Told> {
        let load = self.running.remove(model)?;
        if load.bytes < MIN_LOAD_BYTES {
            return None;
        }
        let Some(known) = self.known.get_mut(model) else {
            return Some(self.remember(model.clone(), load, None));
        };
        let again = load.fresh
            && !load.paths.is_disjoint(&known.paths)
            && load.bytes.saturating_mul(2) >= known.bytes;
        if again {
            let why = if load.commanded {
                Again::Reloaded
            } else {
                Again::Evicted
            };
            return Some(self.remember(model.clone(), load, Some(why)));
        }
        if load.paths.is_disjoint(&known.paths) {
            known.bytes = known.bytes.saturating_add(load.bytes);
            known.paths.extend(load.paths);
        }
        None
    }

    fn remember(&mut self, model: Id, load: Load, again: Option<Again>) -> Told {
        let told = Told {
            model: model.clone(),
            process: load.process,
            begun: load.begun,
            ended: load.last,
            again,
            answered: load
                .answer
                .filter(|answer| answer.asked.is_some_and(|asked| asked <= load.last))
                .map(|answer| answer.at),
        };
        let known = Known {
            process: load.process,
            bytes: load.bytes,
            paths: load.paths,
            awaits_answer: load.answer.is_none().then_some(load.last),
        };
        if self.known.len() < MAX_MODELS_PER_PROCESS || self.known.contains_key(&model) {
            self.known.insert(model, known);
        }
        told
    }
}
