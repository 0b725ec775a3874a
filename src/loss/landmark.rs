//! Landmark regularisation (CVPR 2021, arXiv:2104.05309): a few architectures whose true order is known keep it in the supernet.
//!
//! Once a step, `λ(t) Σ max(0, L(x, y; better) − L(x, y; worse))` over random pairs of landmarks: of two, the truly better one
//! must not have the greater loss. Both run on one batch, with statistics from it. `λ` is constant within an epoch:
//! `λ_max · ½ (1 + cos(π (1 + (e − W) / E)))` after `W` epochs without. The denominator is `E` and not `E − W`, as in the
//! official code, so that `λ` ends below its maximum.
//!
//! A pair is drawn as there: the worse one uniformly among all but the best, then the better one uniformly among those above.
//! That isn't uniform over pairs. A supernet of a part of the space ranks the landmarks of its part. With momentum separation the
//! gradient of a pair joins the group of the step's path (ours: the paper has one group).

use std::f64::consts::PI;
use std::path::{Path, PathBuf};

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};
use tch::Tensor;

use super::{Batch, Loss, Scope, Settings, Step, Wants};
use crate::arch::{Arch, stream::stream};
use crate::error::within;
use crate::rank::Truth;
use crate::{Error, Result};

/// Which images a term looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum On {
    /// A batch of the validation images, as they are.
    #[default]
    Validation,
    /// The batch of the step.
    Train,
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Landmark {
    /// The landmarks in the notation of the space, from the truly worst to the truly best.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub archs: Vec<String>,
    /// Or a table of them (CSV, plain or .gz, with a column `arch`), relative to the recipe. They become part of the recipe: the
    /// table is needed once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The column of the table with the true performance, the greater the better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
    /// `λ_max`.
    pub weight: f64,
    /// `W`: epochs before the first pair.
    pub warm_up: u64,
    /// Pairs per step.
    pub pairs: usize,
    /// Whose images rank them.
    pub on: On,
}

impl Default for Landmark {
    fn default() -> Self {
        let (archs, file, score) = (vec![], None, None);
        Self { archs, file, score, weight: 10.0, warm_up: 0, pairs: 1, on: On::Validation }
    }
}

impl Settings for Landmark {
    fn build(&self, scope: &Scope) -> Result<Box<dyn Loss>> {
        if let Some(file) = &self.file {
            let found = format!("the file {} that wasn't read", file.display());
            return Err(Error::invalid("train.loss.landmark", found, "landmarks in `archs`, as reading a recipe gives them"));
        }
        let archs = self.archs.iter().map(|text| (scope.parse)(text)).collect::<Result<Vec<Arch>>>()?;
        let twice = (0..archs.len()).find(|&at| archs[..at].contains(&archs[at]));
        if let Some(at) = twice {
            return Err(Error::invalid("train.loss.landmark", format!("{} twice", self.archs[at]), "each landmark once"));
        }
        if archs.len() < 2 {
            let wanted = "at least 2: `archs` from worst to best, or a `file` with its `score` column";
            return Err(Error::invalid("train.loss.landmark", format!("{} landmarks", archs.len()), wanted));
        }
        let archs = archs.into_iter().filter(|arch| scope.region.contains(arch)).collect();
        let (steps_per_epoch, epochs) = (scope.steps_per_epoch, scope.epochs);
        Ok(Box::new(Ranked { config: self.clone(), archs, steps_per_epoch, epochs }))
    }

    fn check(&self) -> Result<()> {
        if !self.weight.is_finite() || self.weight < 0.0 {
            return Err(Error::invalid("train.loss.landmark.weight", self.weight, "at least 0"));
        }
        within("train.loss.landmark.pairs", self.pairs, 1, 1 << 16)
    }

    fn passes_of_path(&self) -> u64 {
        0
    }

    /// Both of every pair.
    fn passes_of_step(&self) -> u64 {
        2 * self.pairs as u64
    }

    fn warm_up(&self) -> u64 {
        self.warm_up
    }

    fn taught(&self) -> &[String] {
        &self.archs
    }

    fn unread(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    fn resolve(&mut self, folder: &Path) -> Result<()> {
        let (path, column) = match (&self.file, &self.score) {
            (None, None) => return Ok(()),
            (Some(path), Some(column)) if self.archs.is_empty() => (folder.join(path), column),
            _ => {
                let given = [(!self.archs.is_empty(), "archs"), (self.file.is_some(), "file"), (self.score.is_some(), "score")];
                let given: Vec<&str> = given.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
                return Err(Error::invalid("train.loss.landmark", given.join(" and "), "either archs, or file and score"));
            }
        };
        let truth = Truth::read(&path)?;
        let scored = truth.archs().iter().map(|arch| Ok((truth.get(arch, column)?, arch.to_string())));
        let mut scored = scored.collect::<Result<Vec<(f64, String)>>>()?;
        scored.sort_by(|a, b| a.0.total_cmp(&b.0));
        if let Some(tie) = scored.windows(2).find(|two| two[0].0 == two[1].0) {
            let found = format!("found {} for both {} and {}", tie[0].0, tie[0].1, tie[1].1);
            return Err(Error::corrupt(
                &path,
                format!("{found}, wanted landmarks whose {column} differs: equal ones have no order"),
            ));
        }
        self.archs = scored.into_iter().map(|(_, arch)| arch).collect();
        (self.file, self.score) = (None, None);
        Ok(())
    }
}

impl Landmark {
    /// `λ` in an epoch of `epochs`.
    fn strength(&self, epoch: u64, epochs: u64) -> f64 {
        let Some(since) = epoch.checked_sub(self.warm_up) else { return 0.0 };
        self.weight * 0.5 * (1.0 + (PI * (1.0 + since as f64 / epochs as f64)).cos())
    }
}

/// A pair of `count` landmarks by their places, the worse one first.
fn pair(rng: &mut impl Rng, count: usize) -> (usize, usize) {
    let worse = rng.random_range(0..count - 1);
    (worse, rng.random_range(worse + 1..count))
}

/// What one pair is punished with.
fn penalty(worse: &Tensor, better: &Tensor, strength: f64) -> Tensor {
    (better - worse).relu() * strength
}

/// The term at work.
struct Ranked {
    config: Landmark,
    /// Those within the region.
    archs: Vec<Arch>,
    steps_per_epoch: u64,
    epochs: u64,
}

impl Loss for Ranked {
    fn wants(&self) -> Wants {
        Wants { validation: self.config.on == On::Validation, ..Wants::default() }
    }

    fn of_step(&mut self, step: &Step) -> Result<Option<Tensor>> {
        let strength = self.config.strength(step.number / self.steps_per_epoch, self.epochs);
        if strength == 0.0 || self.archs.len() < 2 {
            return Ok(None);
        }
        let of_validation = step.validation.as_ref().filter(|_| self.config.on == On::Validation);
        let Batch { images, labels } = of_validation.unwrap_or(&step.batch);
        let mut rng = stream(step.seed, "landmark", step.number);
        let loss = |at: usize| step.cross_entropy(&step.forward(&self.archs[at], images), labels);
        let penalties = (0..self.config.pairs).map(|_| {
            let (worse, better) = pair(&mut rng, self.archs.len());
            penalty(&loss(worse), &loss(better), strength)
        });
        Ok(penalties.reduce(|sum, penalty| sum + penalty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_wrong_order_is_punished() {
        let scalar = |value: f32| Tensor::from(value).set_requires_grad(true);
        let (low, high) = (scalar(1.0), scalar(1.5));
        let wrong = penalty(&low, &high, 10.0);
        assert_eq!(wrong.double_value(&[]), 5.0);
        let slopes = Tensor::run_backward(&[wrong], &[&low, &high], false, false);
        assert_eq!([&slopes[0], &slopes[1]].map(|slope| slope.double_value(&[])), [-10.0, 10.0]);
        let right = penalty(&high, &low, 10.0);
        assert_eq!(right.double_value(&[]), 0.0);
        let slopes = Tensor::run_backward(&[right], &[&low, &high], false, false);
        assert_eq!([&slopes[0], &slopes[1]].map(|slope| slope.double_value(&[])), [0.0, 0.0]);
    }

    #[test]
    fn the_weight_of_400_epochs_with_150_before() {
        let landmark = Landmark { warm_up: 150, ..Default::default() };
        for (epoch, wanted) in [(0, 0.0), (149, 0.0), (150, 0.0), (275, 2.222_149), (399, 6.877_077)] {
            let found = landmark.strength(epoch, 400);
            assert!((found - wanted).abs() < 1e-6, "epoch {epoch}: {found}");
        }
    }

    #[test]
    fn pairs_are_drawn_as_in_the_paper_and_not_uniformly() {
        let (mut counts, draws) = ([0u32; 3], 40_000);
        let mut rng = stream(1, "test", 0);
        for _ in 0..draws {
            let drawn = pair(&mut rng, 3);
            let at = [(0, 1), (0, 2), (1, 2)].iter().position(|known| *known == drawn);
            counts[at.expect("the worse one comes first")] += 1;
        }
        for (count, wanted) in counts.into_iter().zip([0.25, 0.25, 0.5]) {
            // Four standard deviations of a share of ½.
            assert!((f64::from(count) / f64::from(draws) - wanted).abs() < 0.01, "{counts:?}");
        }
    }

    #[test]
    fn a_table_is_sorted_by_its_score() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("landmarks.csv"), "arch,accuracy\nb,92.5\na,90\nc,91\n").unwrap();
        let of = |score: &str| Landmark { file: Some("landmarks.csv".into()), score: Some(score.into()), ..Default::default() };
        let resolved = |mut landmark: Landmark| landmark.resolve(folder.path()).map(|()| landmark);
        let archs = ["a", "c", "b"].map(String::from).to_vec();
        assert_eq!(resolved(of("accuracy")).unwrap(), Landmark { archs, ..Default::default() });
        assert!(resolved(of("acuracy")).unwrap_err().to_string().contains("did you mean `accuracy`?"));
        std::fs::write(folder.path().join("landmarks.csv"), "arch,accuracy\na,90\nb,92.5\nc,90\n").unwrap();
        let tie = "found 90 for both a and c, wanted landmarks whose accuracy differs: equal ones have no order";
        assert!(resolved(of("accuracy")).unwrap_err().to_string().ends_with(tie));
        let both = Landmark { archs: vec!["a".into()], ..of("accuracy") };
        let wanted = "train.loss.landmark: found archs and file and score, wanted either archs, or file and score";
        assert_eq!(resolved(both).unwrap_err().to_string(), wanted);
    }
}
