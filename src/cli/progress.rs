//! Progress as a person wants to see it: a bar per phase in a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::run::job::Event;
use crate::run::project::Watch;

/// Seconds between two plain lines of one phase.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows the events of a run on stderr.
#[derive(Default)]
pub struct Progress {
    shown: Option<Shown>,
}

/// The phase that is shown now.
struct Shown {
    title: String,
    bar: Option<ProgressBar>,
    first: u64,
    since: Instant,
    last_line: Instant,
    loss: Option<f64>,
    best: Option<f64>,
    /// How accuracies are measured.
    bn: Option<String>,
}

impl Watch for Progress {
    fn event(&mut self, event: &Event) {
        let title = match &event.subnet {
            Some(subnet) => format!("{} {subnet}", event.phase),
            None => event.phase.clone(),
        };
        if self.shown.as_ref().is_none_or(|shown| shown.title != title) {
            self.finish();
            self.shown = Some(Shown::new(title, event));
        }
        if let Some(shown) = &mut self.shown {
            shown.update(event);
        }
    }
}

impl Progress {
    fn finish(&mut self) {
        if let Some(bar) = self.shown.take().and_then(|shown| shown.bar) {
            // One that was stopped stays where it is.
            if Some(bar.position()) == bar.length() { bar.finish() } else { bar.abandon() }
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shown {
    fn new(title: String, event: &Event) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| bar(&title, event));
        let now = Instant::now();
        Self { title, bar, first: event.step - 1, since: now, last_line: now, loss: None, best: None, bn: event.bn.clone() }
    }

    fn update(&mut self, event: &Event) {
        // A running mean over some twenty steps: single losses of unlike paths say nothing.
        self.loss = event.loss.map(|loss| self.loss.map_or(loss, |mean| 0.95 * mean + 0.05 * loss)).or(self.loss);
        self.best = [self.best, event.accuracy].into_iter().flatten().reduce(f64::max);
        let ended = event.step == event.total;
        match &self.bar {
            Some(bar) => {
                bar.set_message(self.measure());
                bar.set_position(event.step);
            }
            None if ended || event.step == self.first + 1 || self.last_line.elapsed() >= LINE_EVERY => {
                self.last_line = Instant::now();
                eprintln!("{}", self.line(event));
            }
            None => {}
        }
    }

    fn measure(&self) -> String {
        match (self.loss, self.best) {
            (Some(loss), _) => format!("loss {loss:.3}"),
            (None, Some(best)) => {
                let bn = self.bn.as_ref().map_or(String::new(), |bn| format!(", statistics {bn}"));
                format!("best {:.2} %{bn}", 100.0 * best)
            }
            (None, None) => String::new(),
        }
    }

    fn line(&self, event: &Event) -> String {
        let (done, seconds) = ((event.step - self.first) as f64, self.since.elapsed().as_secs_f64().max(1e-9));
        let left = (event.total - event.step) as f64 * seconds / done;
        let rate = if done > 1.0 { format!("  {:.1}/s  {left:.0} s left", done / seconds) } else { String::new() };
        format!("{}  {}/{}{rate}  {}", self.title, event.step, event.total, self.measure())
    }
}

fn bar(title: &str, event: &Event) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:18} {bar:30} {pos}/{len}  {per_sec:8}  {eta} left  {msg}")
        .expect("a valid template");
    let bar = ProgressBar::new(event.total).with_style(style).with_prefix(title.to_owned());
    bar.set_position(event.step.saturating_sub(1));
    bar.reset_eta();
    bar
}
