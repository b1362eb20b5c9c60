//! The summary of many rounds: median and quartiles, which a few disturbed rounds do not move.

use std::fmt;

/// Median and quartiles of a set of samples.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
}

impl Summary {
    /// Summarises `samples`; all three figures are NaN when there are none.
    pub fn of(samples: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self { lower: quantile(&sorted, 0.25), median: quantile(&sorted, 0.5), upper: quantile(&sorted, 0.75) }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        write!(f, "**{:.digits$}** ({:.digits$}–{:.digits$})", self.median, self.lower, self.upper)
    }
}

/// The value below which the share `q` of `sorted` lies, interpolated between its neighbours.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else {
        return f64::NAN;
    };
    let position = q * last as f64;
    let below = sorted[position.floor() as usize];
    let above = sorted[position.ceil() as usize];
    below + (above - below) * position.fract()
}
