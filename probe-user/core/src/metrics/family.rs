//! A metric with labels: a thin layer over the `prometheus` crate's metric types that bounds label
//! values, knows its live series and removes those whose subject is gone.
//!
//! The crate's own `MetricVec` keys a series by a hash of its values joined without a separator
//! (`("a", "bc")` and `("ab", "c")` are one series to it) and cannot list what it holds. Here the
//! key is the values themselves. Handles are shared: look one up once, keep it, and the hot path
//! touches only its atomics. A handle whose series was removed still works and counts for nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use prometheus::core::{Collector, Desc, Metric};
use prometheus::proto::{MetricFamily, MetricType};
use prometheus::{Counter, Gauge, IntCounter, Opts};

use super::catalogue::Entry;
use super::histogram::Observations;

/// Label value for everything beyond a bound.
pub const OTHER: &str = "other";

/// Label values of one series, in the order of the entry's labels.
type Values = Box<[Box<str>]>;

/// A metric type of the `prometheus` crate that can be a series of a [`Family`].
pub trait Series: Metric + 'static {
    /// How it is exposed.
    const TYPE: MetricType;

    /// A new series at its start value, with its label values in the order of the entry's labels.
    /// A series of values tells each of them to `observations` too.
    fn build(
        entry: &'static Entry,
        values: &[Box<str>],
        observations: Option<&Observations>,
    ) -> prometheus::Result<Self>;
}

impl Series for IntCounter {
    const TYPE: MetricType = MetricType::COUNTER;

    fn build(
        entry: &'static Entry,
        values: &[Box<str>],
        _observations: Option<&Observations>,
    ) -> prometheus::Result<Self> {
        Self::with_opts(options(entry, values))
    }
}

impl Series for Counter {
    const TYPE: MetricType = MetricType::COUNTER;

    fn build(
        entry: &'static Entry,
        values: &[Box<str>],
        _observations: Option<&Observations>,
    ) -> prometheus::Result<Self> {
        Self::with_opts(options(entry, values))
    }
}

impl Series for Gauge {
    const TYPE: MetricType = MetricType::GAUGE;

    fn build(
        entry: &'static Entry,
        values: &[Box<str>],
        _observations: Option<&Observations>,
    ) -> prometheus::Result<Self> {
        Self::with_opts(options(entry, values))
    }
}

/// An entry's options with its labels filled in.
fn options(entry: &Entry, values: &[Box<str>]) -> Opts {
    let labels = entry.labels.iter().zip(values);
    let labels = labels.map(|(name, value)| ((*name).to_owned(), value.to_string()));
    Opts::new(entry.name, entry.help).const_labels(labels.collect())
}

/// All series of one metric. Clones share them.
#[derive(Clone, Debug)]
pub struct Family<M> {
    shared: Arc<Shared<M>>,
}

#[derive(Debug)]
struct Shared<M> {
    entry: &'static Entry,
    desc: Desc,
    /// Position of the bounded label, and the most values it may have.
    bound: Option<(usize, usize)>,
    overflow: Option<IntCounter>,
    observations: Option<Observations>,
    live: RwLock<Live<M>>,
}

#[derive(Debug)]
struct Live<M> {
    series: BTreeMap<Values, M>,
    /// Series per value of the bounded label.
    bounded: BTreeMap<Box<str>, usize>,
}

impl<M: Series> Family<M> {
    /// A family without series. `most` is the most values of the entry's bounded label, `overflow`
    /// counts label sets that went to [`OTHER`].
    /// `observations` is told each value of a histogram.
    pub(super) fn new(
        entry: &'static Entry,
        most: usize,
        overflow: Option<IntCounter>,
        observations: Option<Observations>,
    ) -> prometheus::Result<Self> {
        let labels = entry.labels.iter().map(ToString::to_string).collect();
        let desc = Desc::new(
            entry.name.to_owned(),
            entry.help.to_owned(),
            labels,
            HashMap::new(),
        )?;
        let bound = entry.bounded.and_then(|(label, _)| {
            let index = entry.labels.iter().position(|name| *name == label)?;
            Some((index, most))
        });
        Ok(Self {
            shared: Arc::new(Shared {
                entry,
                desc,
                bound,
                overflow,
                observations,
                live: RwLock::new(Live {
                    series: BTreeMap::new(),
                    bounded: BTreeMap::new(),
                }),
            }),
        })
    }

    /// The series with these label values, made when it is not there. Values are in the order of
    /// the entry's labels; a missing one reads as empty and one too many is ignored.
    pub fn with(&self, values: &[&str]) -> M {
        let wanted = self.shared.values(values);
        if let Some(series) = self.read().series.get(&wanted) {
            return series.clone();
        }
        let mut live = self.write();
        let key = self.shared.within_bound(&live, wanted);
        self.shared.series(&mut live, key)
    }

    /// Whether one more value of the bounded label would still be written as it is.
    pub fn has_room(&self) -> bool {
        self.shared
            .bound
            .is_none_or(|(_, most)| self.read().bounded.len() < most)
    }

    /// Removes one series. Series under [`OTHER`] stay: they belong to nobody in particular.
    pub fn remove(&self, values: &[&str]) {
        let key = self.shared.values(values);
        if self.shared.is_other(&key) {
            return;
        }
        let mut live = self.write();
        if live.series.remove(&key).is_some() {
            self.shared.forget(&mut live, &key);
        }
    }

    /// Removes every series whose `label` has this value.
    pub fn remove_where(&self, label: &str, value: &str) {
        let Some(index) = self
            .shared
            .entry
            .labels
            .iter()
            .position(|name| *name == label)
        else {
            return;
        };
        self.retain(|key| key.get(index).is_none_or(|v| &**v != value));
    }

    /// Number of live series.
    pub fn len(&self) -> usize {
        self.read().series.len()
    }

    /// Whether there is no series.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn retain(&self, keep: impl Fn(&Values) -> bool) {
        let mut live = self.write();
        let gone: Vec<Values> = live.series.keys().filter(|k| !keep(k)).cloned().collect();
        for key in gone {
            live.series.remove(&key);
            self.shared.forget(&mut live, &key);
        }
    }

    // A panic elsewhere cannot leave a map half changed in a way that matters to a reader.
    fn read(&self) -> RwLockReadGuard<'_, Live<M>> {
        self.shared
            .live
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Live<M>> {
        self.shared
            .live
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A set of readings that replaces the one before: what is not in it any more leaves.
pub trait Replace<V> {
    /// Sets the series of `readings` and removes all others, in one step for a scrape.
    fn replace(&self, readings: &[(Vec<&str>, V)]);
}

impl Replace<f64> for Family<Gauge> {
    fn replace(&self, readings: &[(Vec<&str>, f64)]) {
        self.replace_with(readings, |gauge, value| gauge.set(*value));
    }
}

impl Replace<u64> for Family<IntCounter> {
    fn replace(&self, readings: &[(Vec<&str>, u64)]) {
        self.replace_with(readings, |counter, total| {
            let before = counter.get();
            if *total < before {
                counter.reset();
            }
            counter.inc_by(total.saturating_sub(counter.get()));
        });
    }
}

impl Replace<f64> for Family<Counter> {
    fn replace(&self, readings: &[(Vec<&str>, f64)]) {
        self.replace_with(readings, |counter, total| {
            if *total < counter.get() {
                counter.reset();
            }
            counter.inc_by((*total - counter.get()).max(0.0));
        });
    }
}

impl<M: Series> Family<M> {
    fn replace_with<V>(&self, readings: &[(Vec<&str>, V)], set: impl Fn(&M, &V)) {
        let mut live = self.write();
        let wanted: BTreeMap<Values, &V> = readings
            .iter()
            .map(|(values, value)| (self.shared.values(values), value))
            .collect();
        let gone: Vec<Values> = live
            .series
            .keys()
            .filter(|key| !wanted.contains_key(*key))
            .cloned()
            .collect();
        for key in gone {
            live.series.remove(&key);
            self.shared.forget(&mut live, &key);
        }
        for (key, value) in wanted {
            // Readings beyond the bound are left out: the last of several would not be their sum.
            let bounded = self.shared.within_bound(&live, key.clone());
            if bounded == key {
                set(&self.shared.series(&mut live, key), value);
            }
        }
    }
}

impl<M: Series> Shared<M> {
    fn values(&self, values: &[&str]) -> Values {
        (0..self.entry.labels.len())
            .map(|i| values.get(i).copied().unwrap_or_default().into())
            .collect()
    }

    fn is_other(&self, key: &Values) -> bool {
        self.bound
            .is_some_and(|(index, _)| key.get(index).is_some_and(|v| &**v == OTHER))
    }

    /// The key to use for a series that is not there yet.
    fn within_bound(&self, live: &Live<M>, mut key: Values) -> Values {
        let Some((index, most)) = self.bound else {
            return key;
        };
        if live.series.contains_key(&key) || self.is_other(&key) || live.bounded.len() < most {
            return key;
        }
        if let Some(value) = key.get_mut(index)
            && !live.bounded.contains_key(value)
        {
            *value = OTHER.into();
            if let Some(overflow) = &self.overflow {
                overflow.inc();
            }
        }
        key
    }

    fn series(&self, live: &mut Live<M>, key: Values) -> M {
        if let Some(series) = live.series.get(&key) {
            return series.clone();
        }
        let series = M::build(self.entry, &key, self.observations.as_ref())
            .expect("names and buckets are the catalogue's, which a test registers in full");
        if let Some(value) = self.bounded_value(&key) {
            *live.bounded.entry(value).or_default() += 1;
        }
        live.series.insert(key, series.clone());
        series
    }

    fn forget(&self, live: &mut Live<M>, key: &Values) {
        let Some(value) = self.bounded_value(key) else {
            return;
        };
        if let Some(count) = live.bounded.get_mut(&value) {
            *count -= 1;
            if *count == 0 {
                live.bounded.remove(&value);
            }
        }
    }

    /// The value that counts towards the bound; [`OTHER`] does not.
    fn bounded_value(&self, key: &Values) -> Option<Box<str>> {
        let (index, _) = self.bound?;
        key.get(index).filter(|v| &***v != OTHER).cloned()
    }
}

impl<M: Series> Collector for Family<M> {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.shared.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let mut family = MetricFamily::default();
        family.set_name(self.shared.entry.name.to_owned());
        family.set_help(self.shared.entry.help.to_owned());
        family.set_field_type(M::TYPE);
        family.set_metric(self.read().series.values().map(Metric::metric).collect());
        vec![family]
    }
}
