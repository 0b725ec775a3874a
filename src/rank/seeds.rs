//! Means over seeds: few runs, so the interval is Student's.

use std::f64::consts::{FRAC_2_PI, FRAC_PI_2};

/// Mean of a figure over runs that differ in their seed alone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// Standard deviation of one run (divided by n - 1); absent for a single run.
    pub deviation: Option<f64>,
    /// 95 % interval of the mean, `mean ± t deviation / sqrt(n)`, with Student's t of n - 1 degrees of freedom (*The
    /// probable error of a mean*, 1908); absent for a single run.
    pub interval: Option<[f64; 2]>,
}

/// Of at least one value.
pub fn mean(values: &[f64]) -> Mean {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    if values.len() < 2 {
        return Mean { mean, deviation: None, interval: None };
    }
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / (count - 1.0)).sqrt();
    let reach = quantile_975(values.len() as u32 - 1) * deviation / count.sqrt();
    Mean { mean, deviation: Some(deviation), interval: Some([mean - reach, mean + reach]) }
}

/// The t that 95 % of Student's distribution lie within, by bisection over its angle.
fn quantile_975(freedom: u32) -> f64 {
    let (mut low, mut high) = (0.0, FRAC_PI_2);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if within(middle, freedom) < 0.95 { low = middle } else { high = middle }
    }
    f64::from(freedom).sqrt() * low.tan()
}

/// P(|t| < sqrt(freedom) tan(angle)), a finite sum for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
fn within(angle: f64, freedom: u32) -> f64 {
    let odd = freedom % 2 == 1;
    let (sine, cosine) = angle.sin_cos();
    // 1 + 1/2 cos² + 1·3/(2·4) cos⁴ + … for even ones; cos + 2/3 cos³ + 2·4/(3·5) cos⁵ + … for odd ones.
    let (mut term, mut sum) = (if odd { cosine } else { 1.0 }, 0.0);
    for power in (if odd { 3..=freedom } else { 2..=freedom }).step_by(2) {
        sum += term;
        term *= cosine * cosine * f64::from(power - 1) / f64::from(power);
    }
    if odd { FRAC_2_PI * (angle + sine * sum) } else { sine * sum }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        let table =
            [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)];
        for (freedom, quantile) in table {
            assert!((quantile_975(freedom) - quantile).abs() < 6e-4, "{freedom}: {}", quantile_975(freedom));
        }
    }

    #[test]
    fn a_mean_by_hand() {
        let Mean { mean: value, deviation, interval } = mean(&[1.0, 2.0, 3.0]);
        assert_eq!((value, deviation), (2.0, Some(1.0)));
        let [low, high] = interval.unwrap(); // 2 ± 4.303 / sqrt(3)
        assert!((low + 0.4841).abs() < 1e-3 && (high - 4.4841).abs() < 1e-3, "{low} {high}");
        assert_eq!(mean(&[5.0]), Mean { mean: 5.0, deviation: None, interval: None });
    }
}
