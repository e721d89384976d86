//! Whether a quantity grows: the least-squares slope of what was measured.

use std::time::Duration;

/// What was measured, and when.
#[derive(Default)]
pub struct Trend(Vec<(f64, f64)>);

impl Trend {
    /// Adds a measurement to the trend.
    #[expect(clippy::cast_precision_loss, reason = "bytes of one machine's memory")]
    pub fn add(&mut self, at: Duration, value: u64) {
        self.0.push((at.as_secs_f64(), value as f64));
    }

    /// Units per second, of what was measured from `begin` on; `None` with fewer than two measurements.
    #[expect(clippy::cast_precision_loss, reason = "a count of measurements")]
    pub fn slope(&self, begin: Duration) -> Option<f64> {
        let points: Vec<(f64, f64)> = self.0.iter().copied().filter(|(at, _)| *at >= begin.as_secs_f64()).collect();
        let count = points.len() as f64;
        let mean = |pick: fn(&(f64, f64)) -> f64| points.iter().map(pick).sum::<f64>() / count;
        let (at, value) = (mean(|p| p.0), mean(|p| p.1));
        let spread: f64 = points.iter().map(|p| (p.0 - at).powi(2)).sum();
        let together: f64 = points.iter().map(|p| (p.0 - at) * (p.1 - value)).sum();
        (points.len() > 1 && spread > 0.0).then(|| together / spread)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trend(points: impl IntoIterator<Item = (u64, u64)>) -> Trend {
        let mut trend = Trend::default();
        points.into_iter().for_each(|(at, value)| trend.add(Duration::from_secs(at), value));
        trend
    }

    fn is(slope: Option<f64>, expected: f64) -> bool {
        slope.is_some_and(|slope| (slope - expected).abs() < 1e-6)
    }

    #[test]
    fn a_line_has_its_slope() {
        assert!(is(trend((0..10).map(|n| (n, 100 + 3 * n))).slope(Duration::ZERO), 3.0));
        assert!(is(trend([(0, 5), (1, 7), (2, 5), (3, 7), (4, 5)]).slope(Duration::ZERO), 0.0));
    }

    #[test]
    fn what_came_before_does_not_count() {
        let warm = (0..5).map(|n| (n, 1_000 * n)).chain((5..10).map(|n| (n, 5_000)));
        assert!(is(trend(warm).slope(Duration::from_secs(5)), 0.0));
    }

    #[test]
    fn too_little_has_no_slope() {
        assert_eq!(trend([]).slope(Duration::ZERO), None);
        assert_eq!(trend([(1, 1)]).slope(Duration::ZERO), None);
        assert_eq!(trend([(1, 1), (1, 2)]).slope(Duration::ZERO), None, "two at once");
    }
}
