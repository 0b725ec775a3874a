//! The table and the file of results.

use serde_json::{Map, Value, json};

use crate::common::numbers::{greatest, least, median, ratios};

/// What was measured of one contender: a figure per round.
#[derive(Clone, Debug)]
pub struct Figures {
    pub name: String,
    pub rounds: Vec<f64>,
}

/// Which figures are the good ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Better {
    Less,
    More,
}

/// How many times as good as the yardstick a contender is, round by round: above 1 it is the better one.
#[derive(Clone, Debug)]
pub struct Gain {
    pub against: String,
    pub rounds: Vec<f64>,
}

/// One line of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub unit: &'static str,
    pub figures: Figures,
    pub gain: Option<Gain>,
}

impl Row {
    /// A line for each of `contenders`. The yardstick is the best of those `among` them by the median, or there is none.
    pub fn all(unit: &'static str, better: Better, contenders: &[Figures], among: &[usize]) -> Vec<Self> {
        let order = |&a: &usize, &b: &usize| median(&contenders[a].rounds).total_cmp(&median(&contenders[b].rounds));
        let yardstick = match better {
            Better::Less => among.iter().copied().min_by(order),
            Better::More => among.iter().copied().max_by(order),
        };
        let gain = |figures: &Figures| {
            let yardstick = &contenders[yardstick?];
            let rounds = match better {
                Better::Less => ratios(&yardstick.rounds, &figures.rounds),
                Better::More => ratios(&figures.rounds, &yardstick.rounds),
            };
            Some(Gain { against: yardstick.name.clone(), rounds })
        };
        contenders.iter().map(|figures| Self { unit, gain: gain(figures), figures: figures.clone() }).collect()
    }

    fn json(&self) -> Value {
        let mut json = json!({ "name": self.figures.name, "unit": self.unit });
        json.as_object_mut().expect("just made").extend(spread(&self.figures.rounds));
        if let Some(gain) = &self.gain {
            let mut of_gain = Map::from_iter([("against".into(), json!(gain.against))]);
            of_gain.extend(spread(&gain.rounds));
            json["gain"] = of_gain.into();
        }
        json
    }

    fn print(&self) {
        let rounds = &self.figures.rounds;
        let gain = self.gain.as_ref().map_or(String::new(), |Gain { rounds, .. }| {
            format!("{:>8.2}  {:>6.2} … {:<6.2}", median(rounds), least(rounds), greatest(rounds))
        });
        let [middle, low, high] = [median(rounds), least(rounds), greatest(rounds)].map(short);
        println!("  {:<50} {:<8} {middle:>8} {low:>8} … {high:<8} {gain}", self.figures.name, self.unit);
    }
}

fn spread(rounds: &[f64]) -> Map<String, Value> {
    let entries = [
        ("median", json!(median(rounds))),
        ("least", json!(least(rounds))),
        ("greatest", json!(greatest(rounds))),
        ("rounds", json!(rounds)),
    ];
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Three digits or all that stand before the point.
fn short(value: f64) -> String {
    match value {
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ if value >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Lines that belong together.
#[derive(Clone, Debug, Default)]
pub struct Section {
    pub title: String,
    pub rows: Vec<Row>,
    /// Sentences below the lines.
    pub notes: Vec<String>,
    /// Further figures, for the file.
    pub facts: Map<String, Value>,
}

impl Section {
    /// Prints it as a part of the table.
    pub fn print(&self) {
        println!("\n{}", self.title);
        self.rows.iter().for_each(Row::print);
        self.notes.iter().for_each(|note| println!("  {note}"));
    }

    /// All of it, with the figures of every round.
    pub fn json(&self) -> Value {
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        json!({ "title": self.title, "rows": rows, "notes": self.notes, "facts": self.facts })
    }
}

/// Prints the names of the columns.
pub fn print_head() {
    println!("  {:<50} {:<8} {:>8} {:>19} {:>8}  {:>15}", "", "unit", "median", "least … greatest", "gain", "least … greatest");
}
