//! Percentiles of small samples.

/// The nearest-rank percentile of `values`; `percent` is 1 to 100.
pub fn percentile(values: &[u64], percent: u32) -> u64 {
    assert!(!values.is_empty(), "no values to take a percentile of");
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (values.len() * percent as usize).div_ceil(100);
    sorted[rank.clamp(1, sorted.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_is_the_nearest_rank() {
        let values: Vec<u64> = (1..=200).rev().collect();
        let percentiles = [1, 50, 99, 100].map(|percent| percentile(&values, percent));
        assert_eq!(percentiles, [2, 100, 198, 200]);
        assert_eq!(percentile(&[7], 50), 7);
    }
}
