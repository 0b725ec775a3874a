//! Distillation within the supernet: a path is asked to answer as a teacher does.
//!
//! `largest`, the teacher of the sandwich rule (US-Net, arXiv:1903.05134; BigNAS, arXiv:2003.11142; PSS-Net, arXiv:2109.05432),
//! is the most complex path; under momentum separation that of the step's group. Its answer is taken as it is, without a
//! gradient, and it is asked nothing itself. `kl` is `KL(softmax z_teacher ‖ softmax z)`, the mean over the batch.

use serde::{Deserialize, Serialize};
use tch::{Kind, Reduction, Tensor};

use super::{Loss, Path, Scope, Settings, Step};
use crate::Result;

/// Who teaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Teacher {
    /// The most complex path.
    #[default]
    Largest,
}

/// How answers are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compare {
    /// Kullback-Leibler divergence from the teacher's probabilities.
    #[default]
    Kl,
}

/// See the [module](self).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distil {
    /// Who teaches.
    pub teacher: Teacher,
    /// How answers are compared.
    pub compare: Compare,
}

impl Settings for Distil {
    /// Itself: the teacher is part of the network.
    fn build(&self, _: &Scope) -> Result<Box<dyn Loss>> {
        Ok(Box::new(self.clone()))
    }
}

impl Loss for Distil {
    fn of_path(&mut self, step: &Step, path: &Path) -> Result<Option<Tensor>> {
        let Teacher::Largest = self.teacher;
        if path.arch == step.largest {
            return Ok(None);
        }
        let Compare::Kl = self.compare;
        Ok(Some(divergence(&step.recall(&step.largest), step.logits(path))))
    }
}

/// `KL(softmax teacher ‖ softmax student)` of logits `[batch, classes]`, the mean over the batch.
fn divergence(teacher: &Tensor, student: &Tensor) -> Tensor {
    let [teacher, student] = [teacher, student].map(|logits| logits.log_softmax(1, Kind::Float));
    student.kl_div(&teacher, Reduction::Sum, true) / student.size()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_as_the_teacher_has_nothing_to_learn() {
        let student = Tensor::from_slice2(&[[1.0f32, -2.0, 0.5], [0.0, 3.0, 1.0]]).set_requires_grad(true);
        let divergence = divergence(&student.detach(), &student);
        assert!(divergence.double_value(&[]).abs() < 1e-7);
        let slope = Tensor::run_backward(&[divergence], &[&student], false, false).remove(0);
        assert!(slope.abs().max().double_value(&[]) < 1e-7);
    }

    #[test]
    fn the_divergence_is_from_the_teacher_and_a_mean_over_the_batch() {
        let [teacher, student] = [[0.0f32, 3.0f32.ln()], [0.0, 0.0]].map(|row| Tensor::from_slice2(&[row, row]));
        // ¼ ln (¼ / ½) + ¾ ln (¾ / ½).
        let wanted = 0.25 * 0.5f64.ln() + 0.75 * 1.5f64.ln();
        assert!((divergence(&teacher, &student).double_value(&[]) - wanted).abs() < 1e-6);
    }
}
