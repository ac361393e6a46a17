//! What cannot be understood of the command line, in one line.

/// The parser's report on one line: what is wrong, its tips, and where help is.
pub fn in_one_line(error: &clap::Error) -> String {
    let report = error.render().to_string();
    let parts: Vec<&str> = report
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
        .map(|line| line.strip_prefix("error: ").unwrap_or(line))
        .collect();
    format!(
        "{}: see `voxprobe --help`",
        parts.join("; ").replace(":; ", ": ")
    )
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::Cli;

    fn told(arguments: &[&str]) -> String {
        let arguments = std::iter::once(&"voxprobe").chain(arguments);
        in_one_line(&Cli::try_parse_from(arguments).unwrap_err())
    }

    #[test]
    fn wrong_arguments_are_named_with_the_nearest_in_one_line() {
        let line = told(&["run", "--lisen", "127.0.0.1:0"]);
        assert!(
            line.contains("'--lisen'") && line.contains("'--listen'"),
            "{line}"
        );
        let line = told(&["run", "--pid", "many"]);
        assert!(line.contains("'many'") && line.contains("--pid"), "{line}");
        let line = told(&["record"]);
        assert!(line.contains("provided: --output <FILE>"), "{line}");
        for line in [told(&["rum"]), line] {
            assert_eq!(line.lines().count(), 1, "{line}");
            assert!(line.ends_with("see `voxprobe --help`"), "{line}");
        }
    }
}
