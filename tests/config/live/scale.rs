//! The same rules with every duration a twentieth: what takes an operator's quarter of an hour takes
//! the test less than a minute.

/// What every duration is divided by. Five minutes become 15 s, of twenty scrapes.
pub(super) const FASTER: u64 = 20;

/// Words after which a duration stands in a rule file, in `prometheus.yml` and `alertmanager.yml`.
const BEFORE: [&str; 6] = ["[", "for: ", "interval: ", "offset ", "timeout: ", "wait: "];

/// Milliseconds of each unit of a duration.
const UNITS: [(char, u64); 4] = [
    ('s', 1000),
    ('m', 60_000),
    ('h', 3_600_000),
    ('d', 86_400_000),
];

/// The text with its durations divided, in milliseconds; and how many there were.
pub(super) fn faster(text: &str) -> (String, usize) {
    let (mut out, mut rest, mut found) = (String::new(), text, 0);
    while let Some((at, before)) = next(rest) {
        let (done, after) = rest.split_at(at + before.len());
        out.push_str(done);
        rest = after;
        let digits = after.chars().take_while(char::is_ascii_digit).count();
        let (number, unit) = after.split_at(digits);
        let Some((_, ms)) = UNITS.iter().find(|(name, _)| unit.starts_with(*name)) else {
            continue;
        };
        if let Ok(number) = number.parse::<u64>() {
            out.extend([(number * ms / FASTER).to_string().as_str(), "ms"]);
            rest = &unit[1..];
            found += 1;
        }
    }
    (out + rest, found)
}

/// The text with how long alerts wait and how often they are asked divided, and nothing else: every other line,
/// expressions with their ranges among them, stays as it is.
pub(super) fn sooner(rules: &str) -> String {
    let is_wait = |line: &&str| {
        let line = line.trim_start();
        line.starts_with("for: ") || line.starts_with("interval: ")
    };
    rules
        .split_inclusive('\n')
        .map(|line| match Some(line).filter(is_wait) {
            Some(line) => faster(line).0,
            None => line.to_owned(),
        })
        .collect()
}

/// The first place after which a duration may stand.
fn next(text: &str) -> Option<(usize, &'static str)> {
    BEFORE
        .into_iter()
        .filter_map(|before| text.find(before).map(|at| (at, before)))
        .min()
}

#[test]
fn durations_are_divided_and_nothing_else_changes() {
    let text =
        "interval: 30s\nrecord: a:b:rate5m\nexpr: rate(x[5m] offset 1m) > 5\nfor: 1h\nfor: x";
    let expected = "interval: 1500ms\nrecord: a:b:rate5m\nexpr: rate(x[15000ms] offset 3000ms) > 5\nfor: 180000ms\nfor: x";
    assert_eq!(faster(text), (expected.to_owned(), 4));
}

#[test]
fn alerts_wait_less_and_their_expressions_stay() {
    let text = "  - alert: A\n    expr: rate(x[5m]) > 1\n    for: 5m\n    summary: wait for: 5m\n";
    let expected =
        "  - alert: A\n    expr: rate(x[5m]) > 1\n    for: 15000ms\n    summary: wait for: 5m\n";
    assert_eq!(sooner(text), expected);
}
