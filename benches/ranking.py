#!/usr/bin/env python3
"""Does the speed cost any quality? Ranks architectures with supernets trained by our own kernels and by libtorch's.

    python3 benches/ranking.py --data CIFAR10 --truth CSV --list FILE [--seeds 3] [--epochs 3] [--images 1000]

Trains one small NAS-Bench-201 supernet (8 channels, 1 cell per stage) per seed and kind of kernels with the program, ranks
the architectures of the list with each, and prints what `supernaut rank` says of both: Kendall's tau-b and other figures
against the truth, mean and 95 % interval over the seeds, and of the difference, seed by seed. CIFAR10 is the folder of the
binary format; the CSV has a column `arch` and the true accuracies (`cifar10_test`, unless --column names another).
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "target" / "release" / "supernaut"
KERNELS = ("own", "libtorch")

RECIPE = """
name = "ranking"
seed = {seed}
threads = {threads}
kernels = "{kernels}"
validation = 25000

[data]
kind = "cifar10"

[space]
kind = "nb201"
channels = 8
cells = 1

[train]
epochs = {epochs}
batch = 64

[search]
images = {images}
batch = 250
"""


def run(*command: object) -> str:
    """What the program prints."""
    done = subprocess.run([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"ranking.py: {' '.join(map(str, command))} ended with status {done.returncode}")
    return done.stdout


def supernet(arguments: argparse.Namespace, seed: int, kernels: str, folder: Path) -> Path:
    """Trains one in a folder of its own."""
    folder = folder / f"{kernels}-{seed}"
    folder.mkdir()
    recipe = folder / "recipe.toml"
    recipe.write_text(RECIPE.format(seed=seed, kernels=kernels, **vars(arguments)))
    run(PROGRAM, "train", recipe, "--data", arguments.data, "--out", folder)
    return folder / "supernet.safetensors"


def main() -> None:
    """Runs the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of CIFAR-10 in its binary format")
    parser.add_argument("--truth", required=True, help="CSV file with the true accuracies")
    parser.add_argument("--list", required=True, help="architectures to rank, one a line")
    parser.add_argument("--column", default="cifar10_test")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--images", type=int, default=1000, help="validation images per architecture")
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    truth = ["--truth", arguments.truth, "--list", arguments.list, "--column", arguments.column]
    with tempfile.TemporaryDirectory() as folder:
        of_kernels = {
            kernels: [supernet(arguments, seed, kernels, Path(folder)) for seed in range(arguments.seeds)] for kernels in KERNELS
        }
        own, libtorch = (of_kernels[kernels] for kernels in KERNELS)
        print(run(PROGRAM, "rank", "--score", *own, "--against", *libtorch, "--data", arguments.data, *truth))


if __name__ == "__main__":
    main()
