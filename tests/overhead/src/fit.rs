//! A straight line through points.

/// `y = intercept + slope · x`, and how much of the spread of `y` it explains.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    pub(crate) intercept: f64,
    pub(crate) slope: f64,
    /// 1 when every point lies on it, 0 when it is no better than the mean.
    pub(crate) r_squared: f64,
}

/// By least squares; `None` unless the points have two places at least.
pub(crate) fn line(points: &[(f64, f64)]) -> Option<Line> {
    let count = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / count;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let sum = |of: &dyn Fn(f64, f64) -> f64| {
        points
            .iter()
            .map(|point| of(point.0 - x, point.1 - y))
            .sum::<f64>()
    };
    let (xx, xy, yy) = (sum(&|x, _| x * x), sum(&|x, y| x * y), sum(&|_, y| y * y));
    (xx > 0.0 && yy > 0.0).then(|| Line {
        intercept: y - xy / xx * x,
        slope: xy / xx,
        r_squared: xy * xy / (xx * yy),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_on_a_line_give_that_line() {
        let line = line(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]).expect("a line");
        assert!((line.intercept - 1.0).abs() < 1e-9 && (line.slope - 2.0).abs() < 1e-9);
        assert!((line.r_squared - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_place_has_no_line() {
        assert!(line(&[(1.0, 1.0), (1.0, 2.0)]).is_none());
        assert!(line(&[]).is_none());
    }
}
