//! Numbers and names as a person reads them.

use super::{Bound, Subnet, TONES};

pub(super) fn escape(text: &str) -> String {
    let replace = |mark| match mark {
        '&' => "&amp;".into(),
        '<' => "&lt;".into(),
        '>' => "&gt;".into(),
        '"' => "&quot;".into(),
        '\'' => "&#39;".into(),
        mark => mark.to_string(),
    };
    text.chars().map(replace).collect()
}

/// An architecture may break after any of its separators.
pub(super) fn breakable(arch: &str) -> String {
    arch.split_inclusive(['|', '+', ',', ' ']).map(|part| escape(part) + "<wbr>").collect()
}

pub(super) fn named(at: usize, subnet: &Subnet) -> String {
    format!(r#"<b><span class="key s{}"></span>{}</b>"#, at % TONES, escape(&subnet.name))
}

pub(super) fn noun(figure: &str) -> String {
    match figure {
        "latency_ms" => "latency".into(),
        "macs" => "MACs".into(),
        "params" => "parameters".into(),
        other => escape(other),
    }
}

pub(super) fn limit(name: &str, bound: &Bound) -> String {
    let side = |sign: &str, value: Option<f64>| value.map(|value| format!("{} {sign} {}", noun(name), show(name, value)));
    [side("≥", bound.min), side("≤", bound.max)].into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

pub(super) fn show(figure: &str, value: f64) -> String {
    let digits = match value {
        ..0.1 => 3,
        0.1..10.0 => 2,
        _ => 1,
    };
    match figure {
        "accuracy" => percent(value),
        "latency_ms" => format!("{value:.digits$}\u{a0}ms"),
        _ => human(value),
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// Rounds down: 9,999 of 10,000 is not 100 %.
pub(super) fn agreement(share: f64) -> String {
    if share >= 1.0 { "100\u{a0}%".into() } else { format!("{:.2}\u{a0}%", (share * 1e4).floor() / 100.0) }
}

pub(super) fn points(per_cent: f64) -> String {
    let digits = if per_cent < 0.1 { 2 } else { 1 };
    format!("{per_cent:.digits$}\u{a0}points")
}

pub(super) fn scientific(value: f64) -> String {
    match format!("{value:.1e}").split_once('e') {
        Some((digits, power)) if value != 0.0 => format!("{digits} × 10<sup>{}</sup>", power.replace('-', "−")),
        _ => "0".into(),
    }
}

pub(super) fn duration(seconds: f64) -> String {
    match seconds.round() as u64 {
        0..10 => format!("{seconds:.1} s"),
        whole @ 10..60 => format!("{whole} s"),
        whole @ 60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        whole => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Three digits and a unit: 1.07 M.
pub(super) fn human(value: f64) -> String {
    let power = (0..4).take_while(|power| value.abs() >= 999.5 * 1000f64.powi(*power)).count();
    let value = value / 1000f64.powi(power as i32);
    let scale = match value.abs() {
        ..9.995 => 100.0,
        9.995..99.95 => 10.0,
        _ => 1.0,
    };
    format!("{}{}", (value * scale).round() / scale, ["", "\u{a0}k", "\u{a0}M", "\u{a0}G", "\u{a0}T"][power])
}

/// The humanised count with the exact one behind it.
pub(super) fn counted(count: u64) -> String {
    format!(r#"<span title="{}">{}</span>"#, exact(count), human(count as f64))
}

pub(super) fn plural(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", exact(count), if count == 1 { "" } else { "s" })
}

/// All digits, in groups of three.
pub(super) fn exact(count: u64) -> String {
    let digits = count.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
