//! CaLR, the complexity-aware learning rate (CVPR 2025, arXiv:2503.10740): `η(α) = η₀ (1 − t/T)^γ(α)`.
//!
//! `γ(α) = γ_max − (γ_max − 1/γ_max) · ln(C(α)/C_min) / ln(C_max/C_min)`: a complex path keeps a high rate for longer,
//! since it needs more steps to converge; a simple one decays early.

use serde::{Deserialize, Serialize};

use super::{Complexity, Schedule};
use crate::Result;
use crate::error::within;

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ComplexityAware {
    /// Decay exponent of the simplest path, at least 1; the most complex one has its inverse.
    pub gamma_max: f64,
}

impl Default for ComplexityAware {
    fn default() -> Self {
        Self { gamma_max: 4.0 }
    }
}

impl ComplexityAware {
    /// γ(α). In a space where all paths are equally complex it is 1, which is linear decay.
    pub fn exponent(&self, complexity: &Complexity) -> f64 {
        let log = |a: u64, b: u64| (a as f64 / b as f64).ln();
        if complexity.greatest <= complexity.least {
            return 1.0;
        }
        let gamma_min = 1.0 / self.gamma_max;
        let share = log(complexity.of_path, complexity.least) / log(complexity.greatest, complexity.least);
        self.gamma_max - (self.gamma_max - gamma_min) * share
    }
}

impl Schedule for ComplexityAware {
    fn check(&self, field: &str) -> Result<()> {
        within(&format!("{field}.gamma_max"), self.gamma_max, 1.0, 100.0)
    }

    fn factor(&self, progress: f64, complexity: &Complexity) -> f64 {
        (1.0 - progress).powf(self.exponent(complexity))
    }

    fn tells_paths_apart(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(of_path: u64) -> Complexity {
        Complexity { of_path, least: 72_752, greatest: 1_524_272 }
    }

    fn close(found: f64, wanted: f64, relative: f64) {
        assert!((found / wanted - 1.0).abs() < relative, "found {found}, wanted {wanted}");
    }

    #[test]
    fn exponents_and_rates_of_nas_bench_201() {
        let table = [
            (72_752, 4.0, [0.007_910_16, 0.001_562_50, 0.000_097_66]),
            (99_632, 3.612_420, [0.008_843_19, 0.002_044_06, 0.000_167_13]),
            (234_032, 2.559_765, [0.011_970_88, 0.004_240_08, 0.000_719_13]),
            (314_672, 2.194_809, [0.013_296_07, 0.005_460_55, 0.001_192_70]),
            (798_512, 1.046_938, [0.018_498_51, 0.012_099_86, 0.005_856_26]),
            (879_152, 0.928_347, [0.019_140_51, 0.013_136_50, 0.006_902_70]),
            (1_524_272, 0.25, [0.023_265_12, 0.021_022_41, 0.017_677_67]),
        ];
        let calr = ComplexityAware::default();
        for (count, gamma, rates) in table {
            close(calr.exponent(&at(count)), gamma, 1e-6);
            for (progress, rate) in [0.25, 0.5, 0.75].into_iter().zip(rates) {
                close(0.025 * calr.factor(progress, &at(count)), rate, 1e-4);
            }
        }
    }

    #[test]
    fn first_and_last_step_of_the_papers_run() {
        let calr = ComplexityAware::default();
        let last = 97_749.0 / 97_750.0;
        for count in [72_752, 99_632, 1_524_272] {
            assert_eq!(calr.factor(0.0, &at(count)), 1.0);
        }
        close(0.025 * calr.factor(last, &at(72_752)), 2.738e-22, 1e-3);
        close(0.025 * calr.factor(last, &at(1_524_272)), 1.413_87e-3, 1e-5);
    }

    #[test]
    fn a_space_of_equals_decays_linearly() {
        let equal = Complexity { of_path: 5, least: 5, greatest: 5 };
        assert_eq!(ComplexityAware::default().factor(0.25, &equal), 0.75);
    }
}
