//! What is told of many samples of one thing.

use serde::Deserialize;
use serde::Serialize;

/// Order statistics of some samples, in whatever unit those are.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// Half of the samples are smaller.
    pub(crate) median: f64,
    /// The smallest sample.
    pub(crate) minimum: f64,
    /// Nine of ten samples are at most this: far from the median where times have two humps.
    pub(crate) p90: f64,
    /// How many there were.
    pub(crate) samples: usize,
}

impl Summary {
    /// Summarizes samples; `None` of none.
    pub(crate) fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let upper = *sorted.get(middle)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        // Nearest rank: the smallest sample that at least nine tenths are not above.
        let rank = (sorted.len() * 9).div_ceil(10);
        Some(Self {
            median: f64::midpoint(lower, upper),
            minimum: *sorted.first()?,
            p90: *sorted.get(rank.checked_sub(1)?)?,
            samples: sorted.len(),
        })
    }

    /// How far the slow samples are from the usual ones.
    pub(crate) fn spread(&self) -> f64 {
        self.p90 / self.median
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_samples_in_any_order() {
        let summary = Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.median, summary.minimum, summary.p90), (2.5, 1.0, 4.0));
        let odd = Summary::of(&[4.0, 1.0, 3.0]).unwrap();
        assert_eq!((odd.median, odd.samples), (3.0, 3));
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn p90_leaves_a_tenth_out() {
        let samples: Vec<f64> = (1..=30).map(f64::from).collect();
        assert_eq!(Summary::of(&samples).unwrap().p90, 27.0);
        let two_humps: Vec<f64> = (0..30).map(|n| if n % 5 == 0 { 20.0 } else { 4.0 }).collect();
        let summary = Summary::of(&two_humps).unwrap();
        assert_eq!((summary.median, summary.spread()), (4.0, 5.0));
    }
}
