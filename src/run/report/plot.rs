//! Axes and the frame of a plot.

use super::text::human;

/// One direction of a plot.
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Whether places are logarithms to base 10 of the values to read.
    pub(super) logarithmic: bool,
}

impl Axis {
    /// Covers the values marked to be kept and, of the others, those within one and a half times the middle half's
    /// width of it (Tukey's fences): a few broken architectures do not squeeze the rest into a corner.
    pub(super) fn of(values: impl Iterator<Item = (f64, bool)>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(|a, b| a.0.total_cmp(&b.0));
        let quarter = |share: usize| values[(values.len() - 1) * share / 4].0;
        let reach = (quarter(3) - quarter(1)) * 1.5;
        let fence = quarter(1) - reach..=quarter(3) + reach;
        let mut inside = values.iter().filter(|(value, keep)| *keep || fence.contains(value)).map(|(value, _)| *value);
        let low = inside.next().expect("a quartile lies within the fences");
        let high = inside.next_back().unwrap_or(low);
        let least = if low == high { low.abs().max(1.0) * 0.05 } else { 0.0 };
        Self { low: low - least, high: high + least, logarithmic: false }
    }

    pub(super) fn wider(self, below: f64, above: f64) -> Self {
        let width = self.high - self.low;
        Self { low: self.low - width * below, high: self.high + width * above, ..self }
    }

    pub(super) fn logarithmic(self) -> Self {
        Self { logarithmic: true, ..self }
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    pub(super) fn nearest(&self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }

    pub(super) fn share(&self, value: f64) -> f64 {
        (value - self.low) / (self.high - self.low)
    }

    /// About `count` round values, with their labels.
    pub(super) fn ticks(&self, count: f64) -> Vec<(f64, String)> {
        if self.logarithmic {
            return self.round_powers();
        }
        let rough = (self.high - self.low) / count;
        let power = 10f64.powf(rough.log10().floor());
        let step = power * [1.0, 2.0, 5.0, 10.0].into_iter().find(|round| round * power >= rough).unwrap_or(10.0);
        let digits = (-step.log10().floor()).max(0.0) as usize;
        let label = |value: f64| if digits > 0 { format!("{value:.digits$}") } else { human(value) };
        let (first, last) = ((self.low / step).ceil() as i64, (self.high / step).floor() as i64);
        (first..=last).map(|at| at as f64 * step).map(|value| (value, label(value))).collect()
    }

    /// 1, 2 and 5 times each power of ten.
    fn round_powers(&self) -> Vec<(f64, String)> {
        let powers = self.low.floor() as i32..=self.high.ceil() as i32;
        let values = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
        values.filter(|value| self.holds(value.log10())).map(|value| (value.log10(), human(value))).collect()
    }
}

pub(super) struct Plot {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) height: f64,
}

impl Plot {
    pub(super) fn left(&self, x: f64) -> String {
        format!("{:.2}%", self.x.share(x) * 100.0)
    }

    pub(super) fn top(&self, y: f64) -> f64 {
        ((1.0 - self.y.share(y)) * self.height * 10.0).round() / 10.0
    }

    /// Paths know no percentages: they are drawn 1000 wide and stretched.
    pub(super) fn layer(&self, paths: &str) -> String {
        let size = format!(r#"width="100%" height="{0}" viewBox="0 0 1000 {0}""#, self.height);
        format!(r#"<svg {size} preserveAspectRatio="none">{paths}</svg>"#)
    }

    pub(super) fn upright(&self, x: f64, text: &str) -> String {
        let (x, height) = (self.left(x), self.height);
        let line = format!(r#"<line class="limit" x1="{x}" x2="{x}" y2="{height}"/>"#);
        format!(r#"{line}<text class="end" x="{x}" y="-8">{text}</text>"#)
    }

    pub(super) fn frame(&self, y_title: &str, x_title: &str, marks: &str) -> String {
        let (height, tick, label, title) = (self.height, self.height + 5.0, self.height + 20.0, self.height + 42.0);
        let row = |(value, text): (f64, String)| {
            let (y, foot) = (self.top(value), self.top(value) + 4.0);
            let text = format!(r#"<text class="end" x="-10" y="{foot}">{text}</text>"#);
            format!(r#"<line class="grid" x2="100%" y1="{y}" y2="{y}"/>{text}"#)
        };
        let column = |(value, text): (f64, String)| {
            let x = self.left(value);
            let text = format!(r#"<text class="mid" x="{x}" y="{label}">{text}</text>"#);
            format!(r#"<line class="base" x1="{x}" x2="{x}" y1="{height}" y2="{tick}"/>{text}"#)
        };
        let rows: String = self.y.ticks(5.0).into_iter().map(row).collect();
        let columns: String = self.x.ticks(6.0).into_iter().map(column).collect();
        format!(
            r#"<div class="plot"><svg role="img" aria-label="{y_title} against {x_title}" height="{height}">
{rows}<line class="base" x2="100%" y1="{height}" y2="{height}"/>{columns}
<text class="title" x="-46" y="-24">{y_title}</text><text class="title end" x="100%" y="{title}">{x_title}</text>
{marks}</svg></div>"#
        )
    }
}
