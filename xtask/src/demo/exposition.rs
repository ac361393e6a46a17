//! Prometheus' text format, as far as the demo reads it.
//!
//! Source: Prometheus, "Exposition formats", text-based format 0.0.4.

/// One sample.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    /// Name, with the suffix of a histogram's part.
    pub(super) name: String,
    /// Labels in the order of the text, values unescaped.
    pub(super) labels: Vec<(String, String)>,
    /// Value.
    pub(super) value: f64,
}

impl Sample {
    /// Value of a label.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.labels
            .iter()
            .find_map(|(label, value)| (label == name).then_some(value.as_str()))
    }
}

/// Every sample of a text; lines that are none are left out.
pub(super) fn parse(text: &str) -> Vec<Sample> {
    text.lines().filter_map(sample).collect()
}

/// Sum of a metric over all its label values; `None` when it has no sample.
pub(super) fn sum(samples: &[Sample], name: &str) -> Option<f64> {
    samples
        .iter()
        .filter(|sample| sample.name == name)
        .map(|sample| sample.value)
        .reduce(|a, b| a + b)
}

fn sample(line: &str) -> Option<Sample> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inner) => labels(inner)?,
        None => (Vec::new(), rest),
    };
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some(Sample {
        name: name.to_string(),
        labels,
        value,
    })
}

/// Labels up to the closing brace, and what follows it.
fn labels(text: &str) -> Option<(Vec<(String, String)>, &str)> {
    let mut labels = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return Some((labels, after));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let (value, after) = unquote(quoted)?;
        labels.push((name.to_string(), value));
        rest = after;
    }
}

/// A value up to its closing quote, and what follows it.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match characters.next()?.1 {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_and_without_labels() {
        let samples =
            parse("# HELP up help\nup 1\nlate_ms_bucket{worker=\"a@0\",le=\"+Inf\"} 2.5e3\n\n");
        assert_eq!(samples.len(), 2);
        assert_eq!(samples[0].name, "up");
        assert_eq!(samples[1].label("worker"), Some("a@0"));
        assert_eq!(samples[1].label("le"), Some("+Inf"));
        assert!((samples[1].value - 2_500.0).abs() < f64::EPSILON);
    }

    #[test]
    fn escaped_label_value_is_unescaped() {
        let samples = parse(r#"x{a="q\"}, \\ \n",b="2"} 7"#);
        assert_eq!(samples[0].label("a"), Some("q\"}, \\ \n"));
        assert_eq!(samples[0].label("b"), Some("2"));
    }

    #[test]
    fn broken_line_is_no_sample() {
        for line in [
            "x",
            "x{",
            "x{a=\"1",
            "x{a=\"1\"",
            "x{a=\"1\\",
            "x{a} 1",
            "x nothing",
            "{",
        ] {
            assert_eq!(parse(line), [], "{line}");
        }
    }

    #[test]
    fn sum_is_over_every_label_value_and_none_without_samples() {
        let samples = parse("n{a=\"1\"} 2\nn{a=\"2\"} 3\nn_total 9\n");
        assert_eq!(sum(&samples, "n"), Some(5.0));
        assert_eq!(sum(&samples, "m"), None);
    }
}
