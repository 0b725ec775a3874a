#!/usr/bin/env python3
"""A NAS-Bench-201 supernet in plain eager PyTorch: what a user would write instead, and what supernaut is timed against.

It is written from the description in src/space/nb201.rs: one module per candidate on every edge, every edge is run, and
parameters are named as supernaut names its weights. Both sides start from the same weights, so their losses can be compared.

A server: it reads one JSON command per line and answers with one JSON line; see `Server` for the commands.
"""

import argparse
import functools
import json
import operator
import sys
import time
import warnings
from collections import OrderedDict
from typing import Callable, Dict, List, Tuple

# NumPy is not used here, so there is no reason to install it, nor to be told that it is missing.
warnings.filterwarnings("ignore", message="Failed to initialize NumPy")

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

EDGES = [(1, 0), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2)]

# The chosen operation of each edge (to, from).
Architecture = Dict[Tuple[int, int], str]


def parse(text: str) -> Architecture:
    """Reads `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`."""
    words = [word for word in text.replace("+", "|").split("|") if word]
    return {edge: word.split("~")[0] for edge, word in zip(EDGES, words, strict=True)}


# --- The network -----------------------------------------------------------------------------------------------------


def named(**modules: nn.Module) -> nn.Sequential:
    """These modules in a row, under these names."""
    return nn.Sequential(OrderedDict(modules))


def conv(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False)


def norm(channels: int) -> nn.BatchNorm2d:
    """Normalises by the batch, in training and in evaluation: paths of a supernet can share no running statistics."""
    return nn.BatchNorm2d(channels, affine=False, track_running_stats=False)


def relu_conv_norm(before: int, after: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return named(relu=nn.ReLU(), conv=conv(before, after, kernel, stride), norm=norm(after))


class Zero(nn.Module):
    """Nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x * 0


def edge(channels: int) -> nn.ModuleDict:
    """All candidates of one edge."""
    return nn.ModuleDict(
        {
            "none": Zero(),
            "skip_connect": nn.Identity(),
            "nor_conv_1x1": relu_conv_norm(channels, channels, 1),
            "nor_conv_3x3": relu_conv_norm(channels, channels, 3),
            "avg_pool_3x3": nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False),
        }
    )


class Cell(nn.ModuleDict):
    """Node `to` is the sum of the chosen operations on all nodes before it."""

    def __init__(self, channels: int) -> None:
        super().__init__({f"{to}<-{source}": edge(channels) for to, source in EDGES})

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        nodes = [x]
        for to in (1, 2, 3):
            terms = (self[f"{to}<-{source}"][arch[to, source]](nodes[source]) for source in range(to))
            nodes.append(functools.reduce(operator.add, terms))
        return nodes[-1]


class Reduction(nn.Module):
    """Halves the image: two convolutions beside an average pool with a 1×1 convolution."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first = relu_conv_norm(before, after, 3, stride=2)
        self.second = relu_conv_norm(after, after, 3)
        self.pool = nn.AvgPool2d(2, stride=2, ceil_mode=True, count_include_pad=False)
        self.shortcut = conv(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(self.pool(x)) + self.second(self.first(x))


class Stage(nn.Module):
    """Cells in a row, after a reduction in all stages but the first."""

    def __init__(self, before: int, channels: int, cells: int) -> None:
        super().__init__()
        self.reduction = Reduction(before, channels) if before != channels else nn.Identity()
        self.cells = [Cell(channels) for _ in range(cells)]
        for index, cell in enumerate(self.cells):
            self.add_module(f"cell{index}", cell)

    def forward(self, x: Tensor, arch: Architecture) -> Tensor:
        x = self.reduction(x)
        for cell in self.cells:
            x = cell(x, arch)
        return x


class Supernet(nn.Module):
    """Takes pixels in 0…1, gives logits."""

    def __init__(self, channels: int, cells: int, classes: int, mean: List[float], deviation: List[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))
        self.stem = named(conv=conv(len(mean), channels, 3), norm=norm(channels))
        self.stage0 = Stage(channels, channels, cells)
        self.stage1 = Stage(channels, 2 * channels, cells)
        self.stage2 = Stage(2 * channels, 4 * channels, cells)
        self.last = named(norm=norm(4 * channels), relu=nn.ReLU())
        self.classifier = nn.Linear(4 * channels, classes)

    def forward(self, images: Tensor, arch: Architecture) -> Tensor:
        x = self.stem((images - self.mean) / self.deviation)
        for stage in (self.stage0, self.stage1, self.stage2):
            x = stage(x, arch)
        return self.classifier(self.last(x).mean((2, 3)))

    @torch.no_grad()
    def load(self, path: str, slots: List[dict]) -> None:
        """Copies the weights out of a file of little-endian floats, in which `slots` lie."""
        with open(path, "rb") as file:
            flat = torch.frombuffer(bytearray(file.read()), dtype=torch.float32)
        weights = dict(self.named_parameters())
        if sorted(weights) != sorted(slot["name"] for slot in slots):
            raise ValueError("the two sides have different weights")
        for slot in slots:
            weight = weights[slot["name"]]
            start, shape = slot["start"], slot["shape"]
            weight.copy_(flat[start : start + weight.numel()].view(shape))


# --- The server ------------------------------------------------------------------------------------------------------


class Server:
    """What the commands work on. Every public method is a command; its arguments are the command's other keys."""

    def __init__(self, device: str, layout: str, precision: str) -> None:
        self.device = torch.device(device)
        # What is fastest on a GPU: algorithms chosen by trying, fp32 products in TF32.
        torch.backends.cudnn.benchmark = torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
        self.format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
        self.low_precision = precision == "bf16"
        self.step = 0

    def model(self, weights: str, slots: List[dict], rate: float, **sizes: object) -> dict:
        """Makes the network and its optimiser."""
        self.net = Supernet(**sizes)
        self.net.load(weights, slots)
        self.net.to(self.device, memory_format=self.format)
        self.optimizer = torch.optim.SGD(self.net.parameters(), rate, momentum=0.9, nesterov=True, weight_decay=5e-4)
        self.step = 0
        return {}

    def images(self, pixels: str, labels: str, shape: List[int], batch: int) -> dict:
        """Reads images and makes them ready: batches of floats, on the device and in the layout that will be used."""
        with open(pixels, "rb") as file:
            all_pixels = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).view(-1, *shape)
        with open(labels, "rb") as file:
            all_labels = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).long()
        floats = (part.to(self.device).float() / 255 for part in all_pixels.split(batch))
        ready = (part.contiguous(memory_format=self.format) for part in floats)
        self.batches = list(zip(ready, all_labels.to(self.device).split(batch)))
        return {}

    def train(self, archs: List[str]) -> dict:
        """One training step on each architecture."""
        losses, ms = zip(*(self._timed(lambda: self._train_step(parse(arch))) for arch in archs))
        return {"losses": losses, "ms": ms}

    def evaluate(self, archs: List[str]) -> dict:
        """How many of all images each architecture classifies correctly."""
        correct, ms = zip(*(self._timed(lambda: self._count_correct(parse(arch))) for arch in archs))
        return {"correct": correct, "ms": ms}

    def memory(self) -> dict:
        """Bytes of this process that are in memory now, and the most that ever were."""
        with open("/proc/self/status", encoding="ascii") as status:
            lines = dict(line.split(":", 1) for line in status)
        return {"resident": kibibytes(lines["VmRSS"]), "peak": kibibytes(lines["VmHWM"])}

    def _timed(self, work: Callable[[], float]) -> Tuple[float, float]:
        self._synchronize()
        begin = time.perf_counter()
        result = work()
        self._synchronize()
        return result, (time.perf_counter() - begin) * 1e3

    def _synchronize(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _logits(self, images: Tensor, arch: Architecture) -> Tensor:
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.low_precision):
            return self.net(images, arch)

    def _train_step(self, arch: Architecture) -> float:
        images, labels = self.batches[self.step % len(self.batches)]
        self.step += 1
        self.optimizer.zero_grad(set_to_none=False)
        loss = functional.cross_entropy(self._logits(images, arch).float(), labels)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 5)
        self.optimizer.step()
        return loss.item()

    @torch.no_grad()
    def _count_correct(self, arch: Architecture) -> int:
        hits = [(self._logits(images, arch).argmax(1) == labels).sum() for images, labels in self.batches]
        return int(torch.stack(hits).sum())


def kibibytes(text: str) -> int:
    """The bytes that `  1234 kB` stands for."""
    return int(text.split()[0]) * 1024


def answer(**content: object) -> None:
    print(json.dumps(content), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--layout", choices=("nchw", "channels_last"), default="nchw")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    server = Server(arguments.device, arguments.layout, arguments.precision)
    commands = {name: getattr(server, name) for name in ("model", "images", "train", "evaluate", "memory")}
    answer(torch=torch.__version__, **server.memory())
    for line in sys.stdin:
        arguments = json.loads(line)
        name = arguments.pop("command")
        if name == "quit":
            break
        answer(**commands[name](**arguments))


if __name__ == "__main__":
    main()
