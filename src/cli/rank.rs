//! `supernaut rank`: how well does a score order architectures?

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::ranking::print_ranking;
use super::{Place, Progress, cancel_on_signals};
use crate::arch::{Arch, Cost, Metric};
use crate::data::{Dataset, Source as DataSource};
use crate::graph::{Plan, device};
use crate::rank::{Entry, List, Questions, Ranking, Scores, Source, Truth, check_partners, check_seeds};
use crate::run::checkpoint::Manifest;
use crate::run::images::RunData;
use crate::run::job::{Cancel, Event, Job, drive};
use crate::run::listed::Evaluate;
use crate::run::project::Watch;
use crate::run::recipe::Recipe;
use crate::run::report::write_ranking;
use crate::run::{forest, ground};
use crate::space::{Nb201, Norm, SpaceConfig, Task};
use crate::{Error, Result, files};

/// The `k` of precision at `k`, unless others are asked for.
const TOP: [usize; 3] = [1, 10, 50];

#[derive(Args)]
pub struct RankArgs {
    /// `params`, `macs`, a CSV file with columns `arch` and a score, the checkpoint of a supernet, or the forest.json of
    /// several that share the space. More than one: the same method with other seeds.
    #[arg(long, num_args = 1.., required = true)]
    score: Vec<String>,
    /// As many again, compared pair by pair with those of --score.
    #[arg(long, num_args = 1..)]
    against: Vec<String>,
    /// CSV file (plain or .gz) with a column `arch` and the true figures.
    #[arg(long, value_name = "CSV", required_unless_present = "ground")]
    truth: Option<PathBuf>,
    /// Without a truth table: train COUNT architectures of the space on their own, as [retrain] says, in DIR/ground under --out;
    /// test and rank them.
    #[arg(long, value_name = "COUNT", requires = "out", conflicts_with_all = ["truth", "list", "column"])]
    ground: Option<usize>,
    /// Architectures to rank, one per line; all of the truth table if absent.
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Column of the truth table.
    #[arg(long, default_value = "cifar10_test")]
    column: String,
    /// Column of the score files, if they have several.
    #[arg(long, value_name = "COLUMN")]
    score_column: Option<String>,
    /// The k of precision at k [default: 1,10,50].
    #[arg(long, value_name = "K,…", value_delimiter = ',')]
    top: Vec<usize>,
    /// Also give tau-b against the truth rounded to multiples of STEP; the literature uses 0.1 for truths in per cent.
    #[arg(long, value_name = "STEP", num_args = 0..=1, default_missing_value = "0.1")]
    sparse: Option<f64>,
    /// Validation images to judge on, instead of the recipe's `search.images`.
    #[arg(long)]
    images: Option<usize>,
    /// Recipe whose [search], [retrain] and memory_limit are used instead of the checkpoints' own; without a checkpoint, its
    /// space is what `params` and `macs` are counted in.
    #[arg(long)]
    recipe: Option<PathBuf>,
    /// Seed of the bootstrap and of --ground.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Folder that remembers every evaluation and ground truth: a stopped ranking resumes from it.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// File for everything, per-architecture scores included.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// File for the report, a self-contained HTML page: score against truth, coloured by size.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
}

pub fn rank(args: RankArgs) -> Result<()> {
    check(&args)?;
    let mut judge = Judge::new(&args)?;
    let (path, column) = match (&args.truth, args.ground) {
        (Some(path), _) => (path.clone(), args.column.as_str()),
        (None, Some(count)) => (judge.ground(count)?, ground::COLUMN),
        (None, None) => unreachable!("one of the two is required"),
    };
    let truth = Truth::read(path)?;
    let list = judge.untaught(args.list.as_ref().map_or_else(|| Ok(truth.list()), List::read)?)?;
    let truths = truth.column(column, &list)?;
    if let [] | [_] = truths[..] {
        let found = format!("found {} architectures, wanted at least 2: one alone has no rank", truths.len());
        return Err(Error::corrupt(list.path(), found));
    }
    let questions = questions(&args, truths.len())?;
    let costs = judge.counted(&list)?;
    let entries = entries(&list, &truths, &truth, costs.as_deref());
    let [score, against] = [&args.score, &args.against].map(|names| judge.all(names, &list, costs.as_deref()));
    let ranking = Ranking::new(format!("{column} in {}", truth.path().display()), entries, score?, against?, questions)?;
    if let Some(path) = &args.json {
        let mut json = ranking.json();
        json["left_out"] = list.left_out().into();
        files::write_json(path, &json)?;
    }
    if let Some(path) = &args.report {
        write_ranking(&ranking, path)?;
    }
    print_ranking(&ranking, &list)
}

/// What can be told before any work.
fn check(args: &RankArgs) -> Result<()> {
    let unknown = |name: &&String| metric(name).is_none() && !Path::new(name).exists();
    for (flag, names) in [("--score", &args.score), ("--against", &args.against)] {
        if let Some(name) = names.iter().find(unknown) {
            let wanted = "params, macs, an existing CSV file, a checkpoint (.safetensors) or the forest.json of several";
            return Err(Error::invalid(flag, format!("\"{name}\""), wanted));
        }
    }
    if !args.against.is_empty() {
        check_partners("--against", args.score.len(), args.against.len(), "--score")?;
    }
    for (ours, theirs) in args.score.iter().zip(&args.against) {
        check_seeds("--against", named_seed(ours)?, named_seed(theirs)?)?;
    }
    args.out.as_deref().map_or(Ok(()), files::make_writable_folder)?; // the two files may be meant to lie there
    for file in [&args.json, &args.report].into_iter().flatten() {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(Error::invalid(file.display().to_string(), "no such folder", "a file in an existing folder"));
        }
    }
    args.ground.map_or(Ok(()), |count| questions(args, count).map(|_| ()))
}

fn questions(args: &RankArgs, count: usize) -> Result<Questions> {
    let top = match &args.top[..] {
        [] => TOP.into_iter().filter(|&k| k < count).collect(),
        top => top.to_vec(),
    };
    let questions = Questions { top, sparse: args.sparse, seed: args.seed };
    questions.check(count, "--").map(|()| questions)
}

/// Architectures with their truth, and with their size where that is known: counted in the space, or from the table.
fn entries(list: &List, truths: &[f64], table: &Truth, costs: Option<&[Cost]>) -> Vec<Entry> {
    let [params, macs] = ["params", "macs"].map(|name| table.column(name, list).ok());
    let whole = |column: &Option<Vec<f64>>, at: usize| column.as_ref().map(|column| column[at] as u64);
    let entry = |(at, arch): (usize, &String)| Entry {
        arch: arch.clone(),
        truth: truths[at],
        params: costs.map(|costs| costs[at].params).or_else(|| whole(&params, at)),
        macs: costs.map(|costs| costs[at].macs).or_else(|| whole(&macs, at)),
    };
    list.archs().iter().enumerate().map(entry).collect()
}

/// Gives architectures scores.
struct Judge<'a> {
    args: &'a RankArgs,
    other: Option<Recipe>,
    /// Images are read once for all supernets on the same.
    data: Option<(DataSource, Dataset)>,
    progress: Progress,
    cancel: Cancel,
}

impl<'a> Judge<'a> {
    fn new(args: &'a RankArgs) -> Result<Self> {
        let other = args.recipe.as_deref().map(Recipe::read).transpose()?;
        let (progress, cancel) = (Progress::default(), cancel_on_signals());
        Ok(Self { args, other, data: None, progress, cancel })
    }

    fn names(&self) -> impl Iterator<Item = &'a String> {
        self.args.score.iter().chain(&self.args.against)
    }

    /// The first checkpoint, which says what the space is.
    fn checkpoint(&self) -> Option<&'a Path> {
        self.names().map(Path::new).find(|name| is_checkpoint(name))
    }

    /// The recipe of a checkpoint as it is used here.
    fn used(&self, mut recipe: Recipe) -> Recipe {
        if let Some(Recipe { search, retrain, memory_limit, .. }) = self.other.clone() {
            recipe = Recipe { search, retrain, memory_limit, ..recipe };
        }
        recipe.search.images = self.args.images.unwrap_or(recipe.search.images);
        self.args.place.apply(&mut recipe);
        recipe
    }

    /// Trains ground truth; gives its table.
    fn ground(&mut self, count: usize) -> Result<PathBuf> {
        let own = self.checkpoint().map(|path| first(path).map(|manifest| manifest.recipe)).transpose()?;
        let recipe = own.or_else(|| self.other.clone()).map(|recipe| self.used(recipe));
        let recipe = recipe.ok_or_else(|| Error::invalid("--ground", "no recipe", "one of --recipe, or a checkpoint to rank"))?;
        let folder = self.args.out.as_ref().expect("required with --ground").join("ground");
        let (cancel, seed) = (self.cancel.clone(), self.args.seed);
        self.load(&recipe)?;
        let (_, data) = self.data.as_ref().expect("just loaded");
        ground::train(&recipe, data, &folder, count, seed, cancel, &mut self.progress)
    }

    /// `list` without the architectures whose true order any of the supernets was taught, and without their equals.
    fn untaught(&self, list: List) -> Result<List> {
        let mut keep = vec![true; list.archs().len()];
        for path in self.names().map(Path::new).filter(|name| is_checkpoint(name)) {
            let Manifest { space, task, recipe, .. } = first(path)?;
            let taught = recipe.train.taught();
            if let Some(unread) = recipe.train.loss.iter().find_map(|term| term.unread()) {
                let what =
                    format!("found landmarks in the file {}, wanted them in the checkpoint: train it again", unread.display());
                return Err(Error::corrupt(path, what));
            }
            if taught.is_empty() {
                continue;
            }
            let graph = space.graph(&task, Norm::Shared)?;
            let key = |arch: &Arch| Plan::live(&graph, arch).key();
            let taught = taught.iter().map(|text| Ok(key(&space.parse(text)?))).collect::<Result<HashSet<_>>>()?;
            let archs = list.parsed(|text| space.parse(text))?;
            keep.iter_mut().zip(&archs).for_each(|(keep, arch)| *keep &= !taught.contains(&key(arch)));
        }
        Ok(list.keeping(&keep))
    }

    /// What the architectures cost in the space of the first checkpoint, else of the recipe, else in the benchmark's own
    /// network, if they are in its notation.
    fn counted(&mut self, list: &List) -> Result<Option<Vec<Cost>>> {
        if let Some(path) = self.checkpoint() {
            let Manifest { space, task, .. } = first(path)?;
            return costs(&space, &task, list).map(Some);
        }
        if let Some(recipe) = self.other.clone() {
            let task = Task::of(self.load(&recipe)?)?;
            return costs(&recipe.space, &task, list).map(Some);
        }
        let costs = costs(&SpaceConfig::Nb201(Nb201::default()), &Task::stand_in([3, 32, 32], 10)?, list);
        if self.names().any(|name| metric(name).is_some()) { costs.map(Some) } else { Ok(costs.ok()) }
    }

    fn all(&mut self, names: &[String], list: &List, costs: Option<&[Cost]>) -> Result<Vec<Scores>> {
        names.iter().map(|name| self.scores(name, list, costs)).collect()
    }

    fn scores(&mut self, name: &str, list: &List, costs: Option<&[Cost]>) -> Result<Scores> {
        let (path, named) = (Path::new(name), |source, values| Scores { name: name.to_owned(), source, values });
        match metric(name) {
            Some(metric) => {
                let costs = costs.expect("counted where it is asked for").iter();
                Ok(named(Source::Counted, costs.map(|cost| metric.of(*cost).expect("a counted metric")).collect()))
            }
            None if is_checkpoint(path) => self.judged(path, list).map(|(source, values)| named(source, values)),
            None => self.table(path, list).map(|(source, values)| named(source, values)),
        }
    }

    fn table(&self, path: &Path, list: &List) -> Result<(Source, Vec<f64>)> {
        let table = Truth::read(path)?;
        let only = || match table.columns() {
            [column] => Ok(column.clone()),
            columns => Err(Error::invalid("--score-column", "nothing", format!("one of {}", columns.join(", ")))),
        };
        let column = self.args.score_column.clone().map_or_else(only, Ok)?;
        let values = table.column(&column, list)?;
        Ok((Source::Table { column }, values))
    }

    /// Accuracies of the supernet's subnets on its validation images.
    fn judged(&mut self, path: &Path, list: &List) -> Result<(Source, Vec<f64>)> {
        let manifests: Vec<Manifest> = forest::checkpoints(path)?.into_iter().map(|(_, manifest)| manifest).collect();
        let manifest = &manifests[0];
        manifest.check_supernet(path)?;
        let recipe = self.used(manifest.recipe.clone());
        let archs = list.parsed(|text| manifest.space.parse(text))?;
        let forest = forest::load(path, device(&recipe.device)?)?;
        recipe.process().apply();
        let data = RunData::new(&recipe, self.load(&recipe)?)?;
        manifest.check_data(&data.hash)?;
        let weights = forest.hash();
        let mut job = Evaluate::new(&recipe, forest, archs, &data, self.args.out.as_deref())?;
        let subnet = Some(path.display().to_string());
        let (progress, cancel) = (&mut self.progress, &self.cancel);
        drive(&mut job as &mut dyn Job, cancel, |_, event| {
            progress.event(&Event { subnet: subnet.clone(), ..event.clone() });
            Ok(())
        })?;
        let source = Source::Supernet {
            recipe: recipe.name,
            recipe_hash: manifest.recipe_hash.clone(),
            seed: recipe.seed,
            step: manifests.iter().map(|manifest| manifest.progress.step).sum(),
            total: manifests.iter().map(|manifest| manifest.progress.total).sum(),
            weights,
            images: job.images(),
            bn: job.bn().into(),
            networks: job.networks(),
        };
        Ok((source, job.accuracies()))
    }

    fn load(&mut self, recipe: &Recipe) -> Result<&Dataset> {
        let known = self.data.take().filter(|(source, _)| Some(source) == recipe.data.as_ref());
        let loaded = match known {
            Some(known) => known,
            None => {
                let dataset = self.args.place.dataset(recipe)?;
                (recipe.data.clone().expect("it was loaded from somewhere"), dataset)
            }
        };
        Ok(&self.data.insert(loaded).1)
    }
}

fn metric(name: &str) -> Option<Metric> {
    [Metric::Params, Metric::Macs].into_iter().find(|metric| metric.name() == name)
}

fn is_checkpoint(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "safetensors" || extension == "json")
}

/// What a checkpoint says of itself; of several, the first speaks.
fn first(path: &Path) -> Result<Manifest> {
    Ok(forest::checkpoints(path)?.remove(0).1)
}

/// The name of a score, and the seed of the supernet that gives it, if one does.
fn named_seed(name: &str) -> Result<(&str, Option<u64>)> {
    let path = Path::new(name);
    Ok((name, if is_checkpoint(path) { Some(first(path)?.recipe.seed) } else { None }))
}

/// What the networks cost that the architectures are by themselves.
fn costs(space: &SpaceConfig, task: &Task, list: &List) -> Result<Vec<Cost>> {
    let graph = space.graph(task, Norm::Own)?;
    Ok(list.parsed(|text| space.parse(text))?.iter().map(|arch| graph.cost(arch)).collect())
}
