//! Order statistics: on a shared machine a mean says more about the neighbours than about the
//! subject.

/// Median and quartiles of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    /// A quarter of the values lie below.
    pub(crate) lower: f64,
    /// Half of the values lie below.
    pub(crate) median: f64,
    /// A quarter of the values lie above.
    pub(crate) upper: f64,
}

/// Median and quartiles; `None` for an empty sample.
pub(crate) fn spread(values: &[f64]) -> Option<Spread> {
    let [lower, median, upper] = quantiles(values.to_vec(), [0.25, 0.5, 0.75])?;
    Some(Spread {
        lower,
        median,
        upper,
    })
}

/// Values below which these shares of a sample lie; `None` for an empty sample.
pub(crate) fn quantiles<const N: usize>(
    mut values: Vec<f64>,
    shares: [f64; N],
) -> Option<[f64; N]> {
    values.sort_by(f64::total_cmp);
    let mut found = [0.0; N];
    for (found, share) in found.iter_mut().zip(shares) {
        *found = quantile(&values, share)?;
    }
    Some(found)
}

/// Linear interpolation between the two nearest values of a sorted sample.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = share * last as f64;
    let below = *sorted.get(position.floor() as usize)?;
    let above = *sorted.get(position.ceil() as usize)?;
    Some(below + (above - below) * position.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spread_does_not_depend_on_the_order_of_the_sample() {
        let expected = Spread {
            lower: 2.0,
            median: 3.0,
            upper: 4.0,
        };
        assert_eq!(spread(&[5.0, 1.0, 4.0, 2.0, 3.0]), Some(expected));
    }

    #[test]
    fn spread_of_an_even_sample_lies_between_its_values() {
        assert_eq!(spread(&[1.0, 2.0]).map(|spread| spread.median), Some(1.5));
    }

    #[test]
    fn spread_of_nothing_is_unknown() {
        assert_eq!(spread(&[]), None);
    }
}
