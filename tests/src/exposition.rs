//! Prometheus' text format, as far as a test asks for single series.

use std::collections::BTreeMap;

/// Every sample of one scrape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exposition {
    samples: Vec<Sample>,
}

/// One series with its value.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name, with `_bucket`, `_sum` or `_count`.
    pub name: String,
    /// Labels by name.
    pub labels: BTreeMap<String, String>,
    /// Value.
    pub value: f64,
}

impl Exposition {
    /// Reads a scrape.
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.is_empty());
        let samples = lines
            .filter(|line| !line.starts_with('#'))
            .map(|line| Sample::parse(line).unwrap_or_else(|| panic!("no sample: {line}")))
            .collect();
        Self { samples }
    }

    /// A scrape of these samples.
    pub fn from_samples(samples: Vec<Sample>) -> Self {
        Self { samples }
    }

    /// Samples of one name whose labels include these.
    pub fn series<'a>(
        &'a self,
        name: &'a str,
        labels: &'a [(&'a str, &'a str)],
    ) -> impl Iterator<Item = &'a Sample> {
        self.samples
            .iter()
            .filter(move |sample| sample.name == name && sample.has(labels))
    }

    /// The sum of those samples; 0 where there is none, as in `PromQL`'s `sum() or vector(0)`.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        // Not `sum`, which gives -0.0 for nothing.
        self.series(name, labels).fold(0.0, |sum, s| sum + s.value)
    }

    /// The values of one label over the samples of one name, each with the samples' sum.
    pub fn by_label(&self, name: &str, label: &str) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for sample in self.series(name, &[]) {
            let value = sample.labels.get(label).cloned().unwrap_or_default();
            *sums.entry(value).or_default() += sample.value as u64;
        }
        sums
    }

    /// Samples of names with this prefix, as comparable lines in order.
    pub fn lines(&self, keep: impl Fn(&str) -> bool) -> Vec<String> {
        let kept = self.samples.iter().filter(|sample| keep(&sample.name));
        let mut lines: Vec<_> = kept
            .map(
                |Sample {
                     name,
                     labels,
                     value,
                 }| format!("{name} {labels:?} {value}"),
            )
            .collect();
        lines.sort();
        lines
    }

    /// Every sample.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }
}

impl Sample {
    /// Whether it has these labels.
    pub fn has(&self, labels: &[(&str, &str)]) -> bool {
        labels
            .iter()
            .all(|(name, value)| self.labels.get(*name).is_some_and(|has| has == value))
    }

    fn parse(line: &str) -> Option<Self> {
        let (series, value) = line.rsplit_once(' ')?;
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, read_labels(labels.strip_suffix('}')?)?),
            None => (series, BTreeMap::new()),
        };
        Some(Self {
            name: name.to_owned(),
            labels,
            value: value.parse().ok()?,
        })
    }
}

/// `a="1",b="x\"y"`: values escape the backslash, the quote and the line feed.
fn read_labels(mut text: &str) -> Option<BTreeMap<String, String>> {
    let mut labels = BTreeMap::new();
    while !text.is_empty() {
        let (name, rest) = text.split_once("=\"")?;
        let mut value = String::new();
        let mut characters = rest.char_indices();
        let end = loop {
            match characters.next()? {
                (at, '"') => break at,
                (_, '\\') => value.push(match characters.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value);
        text = rest.get(end + 1..)?.trim_start_matches(',');
    }
    Some(labels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "small whole numbers add up exactly")]
    fn series_are_found_by_name_and_labels() {
        let text = "# HELP a b\na{x=\"1\",y=\"q\\\"}\"} 2\na{x=\"2\",y=\"\"} 3\nb 1e3\n";
        let scrape = Exposition::parse(text);
        assert_eq!(scrape.sum("a", &[]), 5.0);
        assert_eq!(scrape.sum("a", &[("x", "1"), ("y", "q\"}")]), 2.0);
        assert_eq!(scrape.sum("a", &[("x", "3")]), 0.0);
        assert_eq!(scrape.sum("b", &[]), 1000.0);
        let expected = [("1".to_owned(), 2), ("2".to_owned(), 3)];
        assert_eq!(scrape.by_label("a", "x"), expected.into());
    }
}
