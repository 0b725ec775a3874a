#!/usr/bin/env python3
"""Repeats the experiments of docs/results.md: which methods rank architectures rightly? And do our kernels change that?

    python3 scripts/experiment.py --data CIFAR10 --truth CSV --list FILE --out FOLDER [--jobs 2] [--full EPOCHS
        [--precision bf16]] [--cost ROUNDS] [--only NAME ...]

Trains the supernets of `plan()` with the program, one folder of FOLDER each, and ranks the architectures of the list with
every one. A run that is stopped goes on where it was, and what is finished is not done again; so the experiment may be
stopped at any time and started again with the same command. In the end, or with `--summary`, the figures of all finished runs are
written to FOLDER/runs.json, and printed: means with 95 % intervals over the seeds (Student's t), and those of what
Kendall's tau has gained over the plain recipe, seed by seed. With --full, supernets of the benchmark's own size are trained instead, SPOS without
and with CaLR and momentum separation, and ranked on fewer images along the way, too: whenever a tenth has gone by. Runs that a
runs.json holds already (that of docs/results/, copied there) aren't done again. With `--cost ROUNDS`, every recipe trains for one
epoch, alone and in turns, and time and memory are printed. CIFAR10 is the folder of the binary format; the CSV has a column `arch`
and the true accuracies of NAS-Bench-201.
"""

import argparse
import itertools
import json
import math
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

PROGRAM = Path(__file__).resolve().parent.parent / "target" / "release" / "supernaut"
# Two-sided 95 % quantiles of Student's t for 1, 2, ... degrees of freedom.
QUANTILES = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

RECIPE = """\
name = "{name}"
seed = {seed}
threads = 1
{kernels}{precision}validation = 25000

[data]
kind = "cifar10"
size = {side}

[space]
kind = "nb201"
channels = 16
cells = {cells}
{split}
[train]
epochs = {epochs}
batch = 64
rate = 0.025
schedule = {schedule}
sampler = {{ kind = "{sampler}" }}
momentum_separation = {separation}
clip = {clip}
grad_reset = "{grad_reset}"
augment = {{ crop = {crop}, flip = true }}

[search]
images = 5000
batch = 250
"""

# As the paper's code has it: a supernet from scratch for each operation of the first edge.
SPLIT = """
[[split]]
by = { kind = "exhaustive", genes = ["1<-0"] }
epochs = 0
inherit = "nothing"
"""

COSINE = '{ kind = "cosine" }'
CALR = '{{ kind = "complexity", gamma_max = {gamma} }}'
GAMMA = 4.0


class Run(NamedTuple):
    """One supernet."""

    method: str
    """`spos`, `fairnas` or `fsnas`."""
    calr: bool
    separation: bool
    grad_reset: str
    epochs: int
    seed: int
    kernels: str = "own"
    size: str = "small"
    """`small`, or `full`: as the benchmark has it."""
    gamma: float = GAMMA
    """Decay exponent of the simplest path, where CaLR is on."""
    precision: str = "fp32"
    """`fp32` or `bf16`."""

    @property
    def setting(self) -> str:
        """All but the seed."""
        parts = {(False, False): "plain", (True, False): "calr", (False, True): "ms", (True, True): "both"}
        setting = f"{self.method}-{parts[self.calr, self.separation]}-{self.grad_reset}-{self.epochs}"
        marks = {self.kernels: "own", self.size: "small", f"gamma{self.gamma:g}": f"gamma{GAMMA:g}", self.precision: "fp32"}
        return "-".join([setting, *(mark for mark, usual in marks.items() if mark != usual)])

    @property
    def plain(self) -> "Run":
        """What it is compared with."""
        return self._replace(calr=False, separation=False, kernels="own", gamma=GAMMA)

    @property
    def name(self) -> str:
        """Its folder."""
        return f"{self.setting}-seed{self.seed}"

    def recipe(self) -> str:
        """Its recipe, in TOML."""
        side, cells, crop = (32, 5, 4) if self.size == "full" else (16, 1, 2)
        return RECIPE.format(
            side=side,
            cells=cells,
            crop=crop,
            name=self.name,
            seed=self.seed,
            kernels="" if self.kernels == "own" else f'kernels = "{self.kernels}"\n',
            precision="" if self.precision == "fp32" else f'precision = "{self.precision}"\n',
            epochs=self.epochs,
            schedule=CALR.format(gamma=self.gamma) if self.calr else COSINE,
            split=SPLIT if self.method == "fsnas" else "",
            sampler="fair" if self.method == "fairnas" else "uniform",
            separation=str(self.separation).lower(),
            clip=0.0 if self.method == "fairnas" else 5.0,  # as the paper's code has it
            grad_reset=self.grad_reset,
        )


def plan(seeds: int) -> Iterator[Run]:
    """All runs, seed by seed, so that an experiment that is stopped early has something of everything."""
    switches = (False, True)
    for seed in range(seeds):
        for reset, calr, separation in itertools.product(("zero", "none"), switches, switches):
            yield Run("spos", calr, separation, reset, 40, seed)
        for method, both in itertools.product(("fairnas", "fsnas"), switches):
            yield Run(method, both, both, "zero", 40, seed)
    for seed, both in itertools.product(range(seeds), switches):
        yield Run("spos", both, both, "zero", 250, seed)
    for seed in range(seeds):
        yield Run("spos", False, False, "zero", 40, seed, "libtorch")
    for seed, gamma in itertools.product(range(seeds), (2.0, 8.0)):
        yield Run("spos", True, False, "zero", 40, seed, gamma=gamma)


def full_plan(seeds: int, epochs: int, precision: str) -> Iterator[Run]:
    """The runs at full size."""
    for seed, both in itertools.product(range(seeds), (False, True)):
        yield Run("spos", both, both, "zero", epochs, seed, size="full", precision=precision)


def write(path: Path, text: str) -> None:
    """Writes a file that is whole or not there."""
    aside = path.with_name(path.name + ".tmp")
    aside.write_text(text)
    aside.rename(path)


class Programs:
    """What runs for this script. They are in sessions of their own, so that Ctrl-C and `kill` reach them through here, once each."""

    def __init__(self) -> None:
        self.started: List[subprocess.Popen] = []
        self.stopped = False

    def start(self, command: List[object], log: Path) -> subprocess.Popen:
        """Starts a program, unless all have been told to stop."""
        if self.stopped:
            raise KeyboardInterrupt
        with open(log, "a") as file:
            program = subprocess.Popen(
                [PROGRAM, *map(str, command)], stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.started.append(program)
        if self.stopped:  # meanwhile
            program.send_signal(signal.SIGINT)
        return program

    def stop(self, *_: object) -> None:
        """Handles a signal: every program writes its checkpoint and ends."""
        self.stopped = True
        for program in self.started:
            program.send_signal(signal.SIGINT)
        raise KeyboardInterrupt


def execute(run: Run, programs: Programs, arguments: argparse.Namespace) -> None:
    """Trains and ranks, unless that was done."""
    folder = arguments.out / run.name
    ranking = folder / "ranking.json"
    if ranking.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    recipe = folder / "recipe.toml"
    write(recipe, run.recipe())
    supernet = folder / ("forest.json" if run.method == "fsnas" else "supernet.safetensors")

    def start(*command: object) -> subprocess.Popen:
        return programs.start([*command], folder / "log.txt")

    def finish(process: subprocess.Popen) -> None:
        if process.wait() != 0:
            sys.exit(f"experiment.py: {run.name} ended with status {process.returncode}, see {folder / 'log.txt'}")

    def rank(score: Path, result: Path, *more: object) -> None:
        data = ["--data", arguments.data, "--truth", arguments.truth, "--list", arguments.list]
        finish(start("rank", "--score", score, *data, "--json", result, *more))

    training = start("train", recipe, "--data", arguments.data, "--out", folder)
    try:
        while run.size == "full" and training.poll() is None:
            time.sleep(5)
            if training.poll() is None and per_cent(supernet) >= max(rankings(folder), default=0) + 10:
                copy = folder / "supernet-copy.safetensors"
                shutil.copyfile(supernet, copy)
                rank(copy, folder / f"ranking-{per_cent(copy)}.json", "--images", 1000)
                copy.unlink()
        finish(training)
    finally:  # nothing goes on that nobody waits for
        try:
            training.wait(timeout=30)  # it may have been told already, and be writing a checkpoint
        except subprocess.TimeoutExpired:
            training.terminate()
            training.wait()
    rank(supernet, ranking, "--out", folder / "judged")  # which goes on where it was, too
    print(f"{run.name}: done", flush=True)


def cost(runs: List[Run], programs: Programs, arguments: argparse.Namespace) -> None:
    """Prints what an epoch of every recipe takes: in turns, so that a machine that gets slower does so for all."""
    settings = list(dict.fromkeys(run._replace(epochs=1, seed=0) for run in runs))
    epochs: Dict[Run, List[Epoch]] = {run: [] for run in settings}
    for _ in range(arguments.cost):
        for run in settings:
            epochs[run].append(epoch(run, programs, arguments))
    print("| recipe | seconds an epoch | times plain | MB |")
    print("|---|--:|--:|--:|")
    for run in settings:
        seconds = [epoch.seconds for epoch in epochs[run]]
        plain = [epoch.seconds for epoch in epochs.get(run.plain, [])]
        times = spread([mine / its for mine, its in zip(seconds, plain)]) if plain else ""
        print(f"| {run.setting} | {spread(seconds)} | {times} | {max(epoch.megabytes for epoch in epochs[run]):.0f} |")


class Epoch(NamedTuple):
    """What one epoch took, of all supernets of a recipe."""

    seconds: float
    megabytes: float
    """The most that was resident at once."""


def epoch(run: Run, programs: Programs, arguments: argparse.Namespace) -> Epoch:
    """Trains for an epoch, in a folder that is gone thereafter."""
    with tempfile.TemporaryDirectory(dir=arguments.out) as folder:
        recipe, log = Path(folder) / "recipe.toml", Path(folder) / "log.txt"
        recipe.write_text(run.recipe())
        process = programs.start(["train", recipe, "--data", arguments.data, "--out", folder], log)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            sys.exit(f"experiment.py: {run.name} ended with status {process.returncode}: {log.read_text()}")
        seconds = json.loads((Path(folder) / "seconds.json").read_text())["train"]
        return Epoch(seconds, usage.ru_maxrss * 1024 / 1e6)


def spread(values: List[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(values):.3g} ({min(values):.3g}–{max(values):.3g})"


def per_cent(supernet: Path) -> int:
    """How much of its training a checkpoint holds."""
    try:
        with open(supernet, "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    except FileNotFoundError:
        return 0
    done = json.loads(header["__metadata__"]["supernaut"])["progress"]
    return 100 * done["step"] // done["total"]


def rankings(folder: Path) -> Dict[int, Path]:
    """The rankings that were made along the way, by per cent of the training."""
    paths = {int(path.stem[len("ranking-") :]): path for path in folder.glob("ranking-*.json")}
    return dict(sorted(paths.items()))


FIGURES = ("kendall_tau_b", "spearman", "top_pick_truth", "complexity_bias", "complexity_bias_partial")


def figures(run: Run, out: Path) -> Dict[str, float]:
    """What is reported of a finished run, and Kendall's tau on the way there, by per cent of it."""
    ranking = out / run.name / "ranking.json"
    found = figures_of(ranking)
    on_the_way = {f"{FIGURES[0]}_{at}": tau for at, tau in taus(run, out).items()}
    return {**{name: found[name] for name in FIGURES}, **at_the_top(ranking), **on_the_way}


def at_the_top(ranking: Path) -> Dict[str, float]:
    """Kendall's tau-b among the architectures whose truth is above 90 %, and the mean score of all."""
    written = json.loads(ranking.read_text())
    scores = written["groups"][0]["runs"][0]["scores"]
    pairs = zip(written["architectures"], scores)
    top = [(arch["truth"], score) for arch, score in pairs if arch["truth"] > 90]
    return {"kendall_tau_b_above_90": kendall(top), "mean_score": statistics.mean(scores)}


def kendall(points: List[Tuple[float, float]]) -> float:
    """Kendall's tau-b, pair by pair."""
    sign = lambda value: (value > 0) - (value < 0)
    signs = [(sign(a[0] - b[0]), sign(a[1] - b[1])) for a, b in itertools.combinations(points, 2)]
    differ = [sum(1 for pair in signs if pair[side]) for side in (0, 1)]
    return sum(x * y for x, y in signs) / math.sqrt(differ[0] * differ[1]) if all(differ) else 0.0


def taus(run: Run, out: Path) -> Dict[int, float]:
    """Kendall's tau after so many per cent of a training."""
    return {at: figures_of(path)[FIGURES[0]] for at, path in rankings(out / run.name).items()}


def figures_of(ranking: Path) -> Dict[str, float]:
    """All figures that `supernaut rank` wrote."""
    found = json.loads(ranking.read_text())["groups"][0]["runs"][0]["figures"]
    return {name: figure["value"] for name, figure in found.items()}


def known(out: Path) -> Dict[Run, Dict[str, float]]:
    """The runs of runs.json, with their figures."""
    path = out / "runs.json"
    lines = json.loads(path.read_text()) if path.exists() else []
    pick = lambda line, names: {name: line[name] for name in names if name in line}
    return {Run(**pick(line, Run._fields)): pick(line, [name for name in line if name not in Run._fields]) for line in lines}


def interval(values: List[float]) -> str:
    """Mean and half the width of its 95 % interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    half = QUANTILES[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))
    return f"{statistics.mean(values):.3f} ± {half:.3f}"


def report(runs: List[Run], out: Path) -> None:
    """Writes runs.json of what is finished, and prints a table of it, in Markdown."""
    done = {**known(out), **{run: figures(run, out) for run in runs if (out / run.name / "ranking.json").exists()}}
    write(out / "runs.json", json.dumps([{**run._asdict(), **found} for run, found in done.items()], indent=1) + "\n")
    print("| recipe | seeds | " + " | ".join(FIGURES) + " | tau less plain |")
    print("|---|--:|" + "---|" * (len(FIGURES) + 1))
    for setting in dict.fromkeys(run.setting for run in done):
        of_setting = [run for run in done if run.setting == setting]
        cells = [interval([done[run][name] for run in of_setting]) for name in FIGURES]
        pairs = [run for run in of_setting if run != run.plain and run.plain in done]
        cells.append(interval([done[run][FIGURES[0]] - done[run.plain][FIGURES[0]] for run in pairs]) if pairs else "")
        print(f"| {setting} | {len(of_setting)} | " + " | ".join(cells) + " |")
    for run in runs:
        found = [f"{tau:.3f} at {at} %" for at, tau in taus(run, out).items()]
        if found:
            print(f"{run.name}, tau-b along the way: {', '.join(found)}")


def main() -> None:
    """Runs what is left of the experiment."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="folder of CIFAR-10 in its binary format")
    parser.add_argument("--truth", required=True, type=Path, help="CSV file with the true accuracies")
    parser.add_argument("--list", required=True, type=Path, help="architectures to rank, one a line")
    parser.add_argument("--out", required=True, type=Path, help="folder for everything")
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, len(QUANTILES) + 2))
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="supernets at a time, a thread each")
    parser.add_argument("--summary", action="store_true", help="only print what is finished")
    parser.add_argument("--full", type=int, default=0, metavar="EPOCHS", help="supernets of full size, for so many epochs")
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"), help="of the steps of those of full size")
    parser.add_argument("--cost", type=int, default=0, metavar="ROUNDS", help="only time an epoch of every recipe, so many times")
    parser.add_argument("--only", nargs="*", default=[], help="names that a run's name begins with")
    arguments = parser.parse_args()
    planned = full_plan(arguments.seeds, arguments.full, arguments.precision) if arguments.full else plan(arguments.seeds)
    runs = [run for run in planned if not arguments.only or run.name.startswith(tuple(arguments.only))]
    if arguments.precision != "fp32" and not arguments.full:
        parser.error("--precision is of runs of full size: add --full EPOCHS")
    programs = Programs()
    for signal_ in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_, programs.stop)
    if arguments.cost:
        arguments.out.mkdir(parents=True, exist_ok=True)
        cost(runs, programs, arguments)
        return
    if not arguments.summary:
        done = known(arguments.out)
        left = [run for run in runs if run not in done]
        with ThreadPoolExecutor(arguments.jobs) as pool:
            running = [pool.submit(execute, run, programs, arguments) for run in left]
            try:
                for one in running:
                    one.result()
            finally:
                for one in running:
                    one.cancel()  # what hasn't begun
    report(runs, arguments.out)


if __name__ == "__main__":
    main()
