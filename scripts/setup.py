#!/usr/bin/env python3
"""Fetches what supernaut needs and Cargo does not get: libtorch, ONNX Runtime, Fashion-MNIST, PyTorch to compare with.

    python3 scripts/setup.py libraries [--cuda]    libtorch and ONNX Runtime, and .cargo/config.toml that points at them
    python3 scripts/setup.py data                  Fashion-MNIST, which the demo and the tests train on
    python3 scripts/setup.py bench                 a Python with PyTorch, which the benchmark compares with
    python3 scripts/setup.py path WHAT             prints where this checkout finds data, bench, libtorch or onnxruntime

Everything lands in one cache, ${SUPERNAUT_CACHE:-${XDG_CACHE_HOME:-~/.cache}/supernaut}, so that a second checkout
downloads nothing. Each file fetched is pinned by its SHA-256. A folder of the cache appears under its final name only
once it is whole, with a stamp that says what it was made of; another stamp, or none, has it made again.
"""

import argparse
import contextlib
import fcntl
import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Callable, Dict, Iterator, NamedTuple, NoReturn, Sequence, Tuple

CHECKOUT = Path(__file__).resolve().parent.parent
CARGO_CONFIG = CHECKOUT / ".cargo" / "config.toml"
CARGO_CONFIG_MARKER = "# Written by scripts/setup.py, which replaces it as long as this line is here."
STAMP = ".supernaut-stamp"
# Raise this when a folder's layout changes while its wheels do not.
LAYOUT = 1


class Failure(Exception):
    """A failure that its one sentence explains to the user."""


class Wheel(NamedTuple):
    """A wheel on PyPI, pinned."""

    name: str
    version: str
    sha256: str
    megabytes: int

    @property
    def pin(self) -> str:
        """The line of a pip requirements file that admits this wheel alone."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"


# What to keep of a wheel: a pattern that a member's whole name must match, and where that member goes.
Keep = Tuple[str, str]


class Folder(NamedTuple):
    """A folder of the cache that is made out of wheels."""

    name: str
    wheels: Sequence[Tuple[Wheel, Sequence[Keep]]]
    links: Dict[str, str] = {}
    texts: Dict[str, str] = {}

    @property
    def stamp(self) -> str:
        """Changes with anything that the folder is made of."""
        made_of = [[wheel.pin, list(keep)] for wheel, keep in self.wheels] + [self.links, self.texts]
        return f"{self.name} {LAYOUT} {hashlib.sha256(json.dumps(made_of).encode()).hexdigest()}\n"


# --- What is fetched -------------------------------------------------------------------------------------------------

TORCH = "2.11.0"
ONNXRUNTIME = "1.31.1"
ONNXRUNTIME_LIBRARY = "lib/libonnxruntime.so"

# Machine, project, version, megabytes and SHA-256 of every wheel. The nvidia ones are those that torch requires, and the
# headers that CUDA's own need.
PINS = """
x86_64  torch                  2.11.0    531 7aa2f9bbc6d4595ba72138026b2074be1233186150e9292865e04b7a63b8c67a
x86_64  onnxruntime            1.31.1     24 5752bd508126ae7c49894d3b9d2e83f0c3d487319246d04c444b393308d7ad7f
x86_64  onnxruntime-gpu        1.31.1    256 e26c475fe361b2015f45b4b824bd13f0bb20204e59b62814e6f0acd5f3d491a6
x86_64  nvidia-cublas          13.1.0.3  423 ee8722c1f0145ab246bccb9e452153b5e0515fd094c3678df50b2a0888b8b171
x86_64  nvidia-cuda-crt        13.0.88     1 2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
x86_64  nvidia-cuda-cupti      13.0.85    11 4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8
x86_64  nvidia-cuda-nvrtc      13.0.88    90 ad9b6d2ead2435f11cbb6868809d2adeeee302e9bb94bcf0539c7a40d80e8575
x86_64  nvidia-cuda-runtime    13.0.96     2 7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
x86_64  nvidia-cudnn-cu13      9.19.0.56 366 d20e1734305e9d68889a96e3f35094d733ff1f83932ebe462753973e53a572bf
x86_64  nvidia-cufft           12.0.0.61 214 6c44f692dce8fd5ffd3e3df134b6cdb9c2f72d99cf40b62c32dde45eea9ddad3
x86_64  nvidia-cufile          1.15.1.6    1 08a3ecefae5a01c7f5117351c64f17c7c62efa5fffdbe24fc7d298da19cd0b44
x86_64  nvidia-curand          10.4.0.35  60 1aee33a5da6e1db083fe2b90082def8915f30f3248d5896bcec36a579d941bfc
x86_64  nvidia-cusolver        12.0.4.66 201 0a759da5dea5c0ea10fd307de75cdeb59e7ea4fcb8add0924859b944babf1112
x86_64  nvidia-cusparse        12.6.3.3  146 2b3c89c88d01ee0e477cb7f82ef60a11a4bcd57b6b87c33f789350b59759360b
x86_64  nvidia-cusparselt-cu13 0.8.0     170 25e30a8a7323935d4ad0340b95a0b69926eee755767e8e0b1cf8dd85b197d3fd
x86_64  nvidia-nccl-cu13       2.28.9    196 e4553a30f34195f3fa1da02a6da3d6337d28f2003943aa0a3d247bbc25fefc42
x86_64  nvidia-nvjitlink       13.0.88    41 13a74f429e23b921c1109976abefacc69835f2f433ebd323d3946e11d804e47b
x86_64  nvidia-nvshmem-cu13    3.4.5      60 290f0a2ee94c9f3687a02502f3b9299a9f9fe826e6d0287ee18482e78d495b80
x86_64  nvidia-nvtx            13.0.85     1 4936d1d6780fbe68db454f5e72a42ff64d1fd6397df9f363ae786930fd5c1cd4
aarch64 torch                  2.11.0    420 d91aac77f24082809d2c5a93f52a5f085032740a1ebc9252a7b052ef5a4fddc6
aarch64 onnxruntime            1.31.1     21 da05378364c44d4407e463982d2bf8d5e4cfea873283757e48beeb41df97b7f3
aarch64 nvidia-cuda-cupti      13.0.85    10 796bd679890ee55fb14a94629b698b6db54bcfd833d391d5e94017dd9d7d3151
aarch64 nvidia-cuda-runtime    13.0.96     2 ef9bcbe90493a2b9d810e43d249adb3d02e98dd30200d86607d8d02687c43f55
"""

LICENCES: Keep = (r"([^/]+?)-[^/]+\.dist-info/licenses/(.+)", r"licenses/\1/\2")
# The nvpl and arm_compute libraries are those that libtorch_cpu.so needs on aarch64.
TORCH_CPU: Keep = (
    r"torch/(lib/lib(?:torch_cpu|c10|gomp|nvpl_\w+|arm_compute|arm_compute_graph)\.so[^/]*)",
    r"\1",
)
# The other two serve Python alone.
TORCH_CUDA: Keep = (r"(torch/lib/lib(?!torch_python|shm)[^/]+\.so[^/]*)", r"\1")
NVIDIA_CUDA: Sequence[Keep] = (
    (r"(nvidia/[^/]+/lib/[^/]+\.so[^/]*)", r"\1"),
    (r"(nvidia/cu13/include/.+)", r"\1"),
    (r"nvidia/([^/]+)/(LICENSE\.txt)", r"licenses/\1/\2"),  # where cusparselt has it
)


def wheels_here() -> Dict[str, Wheel]:
    """The wheels for this machine by their names."""
    machine = platform.machine()
    library, version = platform.libc_ver()
    rows = [row.split() for row in PINS.strip().splitlines()]
    machines = sorted({row[0] for row in rows}, reverse=True)
    is_new_enough = library == "glibc" and tuple(map(int, version.split(".")[:2])) >= (2, 28)
    if not sys.platform.startswith("linux") or machine not in machines or not is_new_enough:
        raise Failure(
            f"libtorch is set up for Linux with glibc 2.28 or newer on {' or '.join(machines)}; "
            f"this is {platform.system()} with {library or 'another C library'} {version} on {machine}"
        )
    wheels = [Wheel(name, version, sha256, int(size)) for here, name, version, size, sha256 in rows if here == machine]
    return {wheel.name: wheel for wheel in wheels}


def libtorch_cpu() -> Folder:
    """libtorch without CUDA, cut out of the CUDA wheel, for PyPI has no other: 0.5 GB instead of 3.8 GB."""
    wheels = wheels_here()
    return Folder(
        name=f"libtorch-{TORCH}-cpu",
        wheels=[
            (wheels["torch"], [TORCH_CPU, (r"torch/(include/.+)", r"\1"), LICENCES]),
            # libtorch_cpu.so itself needs these two to load.
            (wheels["nvidia-cuda-runtime"], [(r"nvidia/cu13/(lib/libcudart\.so\.13)", r"\1"), LICENCES]),
            (wheels["nvidia-cuda-cupti"], [(r"nvidia/cu13/(lib/libcupti\.so\.13)", r"\1"), LICENCES]),
        ],
        links={"lib/libgomp.so": "libgomp.so.1"},
        texts={
            # The wheel's own libtorch.so needs CUDA. torch-sys asks for -ltorch, and this linker script answers.
            "lib/libtorch.so": "INPUT(-ltorch_cpu)\n",
            "build-version": f"{TORCH}+cpu\n",
        },
    )


def libtorch_cuda() -> Folder:
    """libtorch with CUDA 13: the wheels side by side, as pip lays them, since their RPATHs point at each other."""
    wheels = wheels_here()
    if "onnxruntime-gpu" not in wheels:
        raise Failure(f"--cuda is supported on x86_64 only; this is {platform.machine()}")
    nvidia = [wheel for name, wheel in wheels.items() if name.startswith("nvidia-")]
    return Folder(
        name=f"libtorch-{TORCH}-cuda13",
        wheels=[
            (wheels["torch"], [TORCH_CUDA, (r"(torch/include/.+)", r"\1"), LICENCES]),
            *((wheel, [*NVIDIA_CUDA, LICENCES]) for wheel in nvidia),
        ],
        links={"lib": "torch/lib", "include": "torch/include", "lib/libgomp.so": "libgomp.so.1"},
        texts={"build-version": f"{TORCH}+cu130\n"},
    )


def onnxruntime(project: str) -> Folder:
    """ONNX Runtime out of the wheel of `project`."""
    library = f"libonnxruntime.so.{ONNXRUNTIME}"
    return Folder(
        name=f"{project}-{ONNXRUNTIME}",
        wheels=[
            (
                wheels_here()[project],
                [
                    (r"onnxruntime/capi/(libonnxruntime[^/]*\.so[^/]*)", r"lib/\1"),
                    (r"onnxruntime/(LICENSE|ThirdPartyNotices\.txt)", r"licenses/\1"),
                ],
            )
        ],
        links={ONNXRUNTIME_LIBRARY: library, "lib/libonnxruntime.so.1": library},
    )


def library_folders(cuda: bool) -> Tuple[Folder, Folder]:
    """The folders of libtorch and of ONNX Runtime."""
    if cuda:
        return libtorch_cuda(), onnxruntime("onnxruntime-gpu")
    return libtorch_cpu(), onnxruntime("onnxruntime")


DATA = "fashion-mnist"
DATA_PACKAGE = "dataset-fashion-mnist"
# Where that package puts its files, each gzip-compressed.
DATA_INSTALLED = Path("/usr/share/datasets/fashion-mnist")
# The SHA-256 of each file uncompressed.
DATA_FILES = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

# --- The cache -------------------------------------------------------------------------------------------------------


def cache() -> Path:
    """The folder that every checkout of this user shares."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("SUPERNAUT_CACHE") or f"{home}/supernaut").expanduser().absolute()


@contextlib.contextmanager
def step(what: str) -> Iterator[None]:
    """Prints one line for a step: what it is when it begins, its seconds when it ends."""
    print(f"{what} ... ", end="", flush=True)
    begin = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed", flush=True)
        raise
    print(f"{time.monotonic() - begin:.1f} s", flush=True)


@contextlib.contextmanager
def cache_lock() -> Iterator[None]:
    """Keeps other runs of this script out of the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with step("waiting for another run of setup.py"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def is_whole(folder: Path, stamp: str) -> bool:
    """Whether `folder` was finished, out of what `stamp` names."""
    try:
        return (folder / STAMP).read_text() == stamp
    except OSError:
        return False


def ensure(name: str, stamp: str, fill: Callable[[Path, Path], None]) -> Path:
    """Returns the cache's folder `name`; unless it is whole, has `fill(folder, scratch)` make it first."""
    folder = cache() / name
    if is_whole(folder, stamp):
        return folder
    with cache_lock():
        if is_whole(folder, stamp):
            return folder
        for leftover in cache().glob("*.tmp"):  # of a run that was killed: a live one would hold the lock
            shutil.rmtree(leftover)
        with tempfile.TemporaryDirectory(prefix=f"{name}.", suffix=".tmp", dir=cache()) as scratch:
            fresh = Path(scratch, "fresh")
            fresh.mkdir()
            fill(fresh, Path(scratch))
            (fresh / STAMP).write_text(stamp)
            if folder.exists():
                folder.rename(Path(scratch, "stale"))
            fresh.rename(folder)
    return folder


# --- Wheels ----------------------------------------------------------------------------------------------------------


def run(command: Sequence[str], **options: object) -> subprocess.CompletedProcess:
    """Runs `command` silently and returns how it went."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, text=True, **streams, **options)


def reason(output: str) -> str:
    """The line of a failed command's output that is likeliest to say why it failed."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(ERROR|E|error)\b:", line)]
    return re.sub(r"^(ERROR|E|error): ", "", (errors or lines or ["it does not say why"])[-1])


def pip_reason(output: str) -> str:
    """Why pip failed, for the failures that pip's own words would not explain to somebody who never asked for pip."""
    if "No module named pip" in output:
        return f"{sys.executable} has no pip (Debian: apt install python3-pip)"
    if "No matching distribution found" in output:
        return "it found no such wheel, so perhaps PyPI or your mirror of it is out of reach"
    if "DO NOT MATCH THE HASHES" in output:
        return "what it got has another SHA-256 than the one pinned here"
    return reason(output)


def download(wheel: Wheel, scratch: Path) -> Path:
    """Downloads `wheel` through the user's own pip, which checks its SHA-256."""
    requirements = scratch / "requirements.txt"
    requirements.write_text(wheel.pin + "\n")
    target = scratch / wheel.name
    machine = platform.machine()
    # The same wheel whatever this Python is. Not every pip takes "2_28" to admit the older ones, so each is named.
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(28, 4, -1)]
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:"]
    options += ["--python-version=3.11", "--implementation=cp", "--abi=cp311"]
    options += platforms + [f"--platform=manylinux2014_{machine}"]
    # Not through pip's cache, for ours keeps what it needs; and unpacked in a folder of ours, for /tmp may be small.
    options += ["--no-cache-dir", "--quiet", "--disable-pip-version-check"]
    options += [f"--dest={target}", f"--requirement={requirements}"]
    with step(f"downloading {wheel.name} {wheel.version}, {wheel.megabytes} MB"):
        done = run([sys.executable, "-m", "pip", "download", *options], env={**os.environ, "TMPDIR": str(scratch)})
        if done.returncode != 0:
            raise Failure(f"pip could not download {wheel.name} {wheel.version}: {pip_reason(done.stdout)}")
    return next(target.glob("*.whl"))


def target_of(member: str, keep: Sequence[Keep]) -> str:
    """Where a wheel's member goes; empty if it is not kept."""
    for pattern, target in keep:
        match = re.fullmatch(pattern, member)
        if match and not member.endswith("/"):
            return match.expand(target)
    return ""


def unpack(wheel: Path, keep: Sequence[Keep], folder: Path) -> None:
    """Unpacks what is to be kept of `wheel` into `folder`."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            target = target_of(member.filename, keep)
            if not target:
                continue
            path = folder / target
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, open(path, "wb") as sink:
                shutil.copyfileobj(source, sink, 1 << 20)


def ensure_wheels(spec: Folder) -> Path:
    """Returns the cache's folder that `spec` describes, made if need be."""

    def fill(folder: Path, scratch: Path) -> None:
        for wheel, keep in spec.wheels:
            file = download(wheel, scratch)
            with step(f"unpacking {wheel.name} {wheel.version}"):
                unpack(file, keep, folder)
            file.unlink()
        for path, target in spec.links.items():
            (folder / path).symlink_to(target)
        for path, text in spec.texts.items():
            (folder / path).write_text(text)

    return ensure(spec.name, spec.stamp, fill)


# --- Fashion-MNIST ---------------------------------------------------------------------------------------------------


def download_package(scratch: Path) -> Path:
    """Downloads Debian's package of the data set and returns the folder of its files; needs no root."""
    download = ["apt-get", "--quiet", "download", DATA_PACKAGE]
    done = run(download, cwd=scratch)
    if done.returncode != 0:  # most often for want of package lists, which only root may fetch: so fetch our own
        for folder in ("lists/partial", "archives/partial"):
            (scratch / folder).mkdir(parents=True)
        settings = {
            "Dir::State": scratch,
            "Dir::State::status": "/var/lib/dpkg/status",
            "Dir::Cache": scratch,
            "APT::Sandbox::User": "root",  # as root, apt's own user cannot write here
        }
        private = [f"--option={name}={value}" for name, value in settings.items()]
        done = run(["apt-get", "--quiet", *private, "update"])
        if done.returncode == 0:
            done = run([*download, *private], cwd=scratch)
    package = next(scratch.glob("*.deb"), None)
    if done.returncode != 0 or package is None:
        raise Failure(f"apt-get could not download {DATA_PACKAGE}: {reason(done.stdout)}")
    unpacked = scratch / "package"
    done = run(["dpkg", "-x", str(package), str(unpacked)])
    if done.returncode != 0:
        raise Failure(f"dpkg could not unpack {package.name}: {reason(done.stdout)}")
    return unpacked / DATA_INSTALLED.relative_to("/")


def fill_data(folder: Path, scratch: Path) -> None:
    """Puts the four IDX files, uncompressed, into `folder`."""
    source = DATA_INSTALLED
    if not source.is_dir():
        if not shutil.which("apt-get"):
            raise Failure(
                f"Fashion-MNIST comes out of Debian's package {DATA_PACKAGE} and there is no apt-get here: put its "
                f"four files ({', '.join(DATA_FILES)}, plain or .gz) in a folder and run `make demo DATA=<folder>`"
            )
        with step(f"downloading {DATA_PACKAGE}, 31 MB"):
            source = download_package(scratch)
    with step("unpacking Fashion-MNIST, 55 MB"):
        for name, sha256 in DATA_FILES.items():
            packed = source / f"{name}.gz"
            try:
                content = gzip.decompress(packed.read_bytes())
            except (EOFError, zlib.error) as error:
                raise Failure(f"{packed} is damaged: {error}") from error
            if hashlib.sha256(content).hexdigest() != sha256:
                raise Failure(f"{packed} holds another data set than Fashion-MNIST: its SHA-256 differs")
            (folder / name).write_bytes(content)


def ensure_data() -> Path:
    """Returns the folder of the four IDX files, made if need be."""
    made_of = hashlib.sha256(json.dumps(DATA_FILES).encode()).hexdigest()
    return ensure(DATA, f"{DATA} {LAYOUT} {made_of}\n", fill_data)


# --- The Python that the benchmark compares with ---------------------------------------------------------------------

BENCH = f"bench-venv-{TORCH}"
BENCH_REQUIREMENTS = CHECKOUT / "benches" / "compare" / "requirements.txt"


def fill_bench(folder: Path, scratch: Path) -> None:
    """Makes a virtual environment in `folder`. Its python finds its packages also after the folder was renamed."""
    done = run([sys.executable, "-m", "venv", str(folder)])
    if done.returncode != 0:
        raise Failure(f"no virtual environment for PyTorch (Debian: apt install python3-venv): {reason(done.stdout)}")
    # PyPI's wheel has CUDA with it whatever the machine.
    with step(f"installing PyTorch {TORCH} for the benchmark, 5 GB"):
        options = ["--quiet", "--no-cache-dir", "--disable-pip-version-check", "--requirement", str(BENCH_REQUIREMENTS)]
        environment = {**os.environ, "TMPDIR": str(scratch)}
        done = run([str(folder / "bin" / "python"), "-m", "pip", "install", *options], env=environment)
    if done.returncode != 0:
        raise Failure(f"pip could not install PyTorch {TORCH} for the benchmark: {pip_reason(done.stdout)}")


def ensure_bench() -> Path:
    """Returns the folder of the virtual environment, made if need be."""
    made_of = hashlib.sha256(f"{sys.version} {BENCH_REQUIREMENTS.read_text()}".encode()).hexdigest()
    return ensure(BENCH, f"{BENCH} {LAYOUT} {made_of}\n", fill_bench)


# --- Commands --------------------------------------------------------------------------------------------------------


def cargo_config_line(name: str, value: str) -> str:
    """The line that sets an environment variable for Cargo and for whatever Cargo runs."""
    # force: what this checkout was set up with wins over what some other project left in the environment.
    return f"{name} = {{ value = {json.dumps(value)}, force = true }}"


def write_cargo_config(libtorch: Path, runtime: Path) -> None:
    """Has a plain `cargo build` in this checkout find the libraries."""
    variables = {"LIBTORCH": libtorch, "SUPERNAUT_ONNXRUNTIME": runtime}
    lines = [cargo_config_line(name, str(path)) for name, path in variables.items()]
    text = "\n".join([CARGO_CONFIG_MARKER, "[env]", *lines, ""])
    present = CARGO_CONFIG.read_text() if CARGO_CONFIG.exists() else CARGO_CONFIG_MARKER
    if not present.startswith(CARGO_CONFIG_MARKER):
        if not set(lines) <= set(present.splitlines()):
            request = f"{CARGO_CONFIG} is yours and was left alone: add these two lines to its [env] table"
            raise Failure("\n".join([request, *lines]))
    elif present != text:
        CARGO_CONFIG.parent.mkdir(exist_ok=True)
        draft = CARGO_CONFIG.with_name(f"config.{os.getpid()}.tmp")
        draft.write_text(text)
        draft.replace(CARGO_CONFIG)  # at once, for a build beside this one may be reading it
        print(f"wrote {CARGO_CONFIG}")


def configured_path(name: str) -> str:
    """The path that this checkout was set up with: the one that its last build used, whoever asks."""
    text = CARGO_CONFIG.read_text() if CARGO_CONFIG.exists() else ""
    line = re.search(rf"^{name} = {{ value = (\".*\"), force = true }}$", text, re.MULTILINE)
    if not line:
        raise Failure(f"{CARGO_CONFIG} sets no {name}: run `python3 scripts/setup.py libraries`")
    return json.loads(line.group(1))


def set_up_libraries(cuda: bool) -> None:
    """The command `libraries`."""
    libtorch, runtime = map(ensure_wheels, library_folders(cuda))
    write_cargo_config(libtorch, runtime / ONNXRUNTIME_LIBRARY)
    print(f"libtorch is in {libtorch}\nONNX Runtime is in {runtime}")


def set_up_data() -> None:
    """The command `data`."""
    print(f"Fashion-MNIST is in {ensure_data()}")


def set_up_bench() -> None:
    """The command `bench`."""
    print(f"the benchmark's Python is in {ensure_bench()}")


def show_path(what: str) -> None:
    """The command `path`."""
    if what == "data":
        print(cache() / DATA)
    elif what == "bench":
        print(cache() / BENCH / "bin" / "python")
    else:
        print(configured_path("LIBTORCH" if what == "libtorch" else "SUPERNAUT_ONNXRUNTIME"))


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    libraries = commands.add_parser("libraries", help="set up libtorch and ONNX Runtime")
    commands.add_parser("data", help="set up Fashion-MNIST")
    commands.add_parser("bench", help="set up a Python with PyTorch to compare with")
    path = commands.add_parser("path", help="print where this checkout finds one of them")
    path.add_argument("what", choices=("data", "bench", "libtorch", "onnxruntime"))
    libraries.add_argument("--cuda", action="store_true", help="the libraries for NVIDIA GPUs")
    return parser.parse_args()


def main() -> None:
    """Runs one command."""
    arguments = parse_arguments()
    try:
        if arguments.command == "libraries":
            set_up_libraries(arguments.cuda)
        elif arguments.command == "data":
            set_up_data()
        elif arguments.command == "bench":
            set_up_bench()
        else:
            show_path(arguments.what)
    except Failure as failure:
        fail(str(failure))
    except OSError as error:
        fail(f"{error.strerror}: {error.filename}" if error.filename else str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def fail(sentence: str) -> NoReturn:
    """Ends with `sentence` on stderr."""
    print(f"setup.py: {sentence}", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
