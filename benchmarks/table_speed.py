"""Readers of tables against their libraries, on the same file in the same run.

Prints a Markdown report: python -m thresher.benchmarks.table_speed > table_speed.md
Each side reads every value of every episode; ours also hands it over from the process
in which it was read. Best of three, files in the page cache unless
it says otherwise. The last part reads a
generated HDF5 file of 2 GB and tells the most memory that either process held.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Optional

import numpy as np

from thresher.episodes.images import EncodedImages, encode_image
from thresher.pipelines.ingest.delimited import DelimitedTable
from thresher.pipelines.ingest.hdf5 import Hdf5Table
from thresher.pipelines.ingest.lerobot import LeRobotTable
from thresher.pipelines.ingest.recording import EpisodeTable, Segment
from thresher.pipelines.ingest.tfds_set import TfdsTable
from thresher.pipelines.ingest.video import frames_at

RUNS = 3
FPS = 30
_PLAIN = {"guarded": "false"}


def best(work: Callable[[], Any], cold: Optional[Path] = None) -> float:
    """Returns the shortest time of a few runs, in seconds.

    Args:
      work: What is timed.
      cold: File that is put out of the page cache before each run.
    """
    times = []
    for _ in range(RUNS):
        if cold is not None:
            _forget(cold)
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def _forget(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(handle)


def reading(table: EpisodeTable) -> Callable[[], int]:
    """Returns what lists a table and reads all of it, as ingesting does."""
    fields = [f.name for f in table.contents().fields if f.type != "not read"]

    def read() -> int:
        pointers = table.pointers()
        return sum(_size(table.read(pointer, fields)) for pointer in pointers)

    return read


def _size(segment: Segment) -> int:
    columns = [stream.values for stream in segment.streams.values()]
    return sum(
        sum(map(len, c.frames)) if isinstance(c, EncodedImages) else c.nbytes
        for c in columns
    )


def _row(name: str, unit: str, amount: float, ours: float, theirs: float) -> str:
    mine, other = amount / ours, amount / theirs
    return (
        f"| {name} | {mine:,.0f} {unit} | {other:,.0f} {unit} | {theirs / ours:.2f} |"
    )


def _numbers_file(path: Path, gigabytes: float, **more: Any) -> float:
    """Writes episodes of numbers; returns how many MB of values they are."""
    import h5py

    rng = np.random.default_rng(0)
    block = rng.normal(size=(2000, 250)).astype(np.float32)
    count = max(int(gigabytes * 1e9 / block.nbytes / 2), 1)
    with h5py.File(path, "w") as file:
        for number in range(count):
            demo = file.create_group(f"data/demo_{number}")
            demo.create_dataset("obs/state", data=block + number, **more)
            demo.create_dataset("actions", data=block, **more)
    return count * block.nbytes * 2 / 1e6


def _h5py_alone(path: Path) -> None:
    import h5py

    with h5py.File(path) as file:
        for demo in file["data"].values():
            # An episode at once, as ours has it: memory then counts the same.
            episode = (demo["obs/state"][:], demo["actions"][:])
            del episode


def hdf5(folder: Path) -> Iterator[str]:
    """Compares HDF5 of numbers with h5py."""
    for name, more in (
        ("contiguous", {}),
        ("gzip, chunks of 100 rows", {"compression": "gzip", "chunks": (100, 250)}),
    ):
        path = folder / f"{len(name)}.hdf5"
        megabytes = _numbers_file(path, 0.4, **more)
        ours = best(reading(Hdf5Table(path, {})))
        theirs = best(lambda path=path: _h5py_alone(path))  # type: ignore[misc]
        yield _row(f"HDF5 numbers, {name}", "MB/s", megabytes, ours, theirs)
        ours = best(reading(Hdf5Table(path, _PLAIN)))
        yield _row("the same, `guarded: false`", "MB/s", megabytes, ours, theirs)
        theirs = best(lambda path=path: _h5py_alone(path), path)  # type: ignore[misc]
        ours = best(reading(Hdf5Table(path, {})), path)
        yield _row("the same, from the disk", "MB/s", megabytes, ours, theirs)
        ours = best(reading(Hdf5Table(path, _PLAIN)), path)
        yield _row(
            "the same, from the disk, `guarded: false`", "MB/s", megabytes, ours, theirs
        )


def _video_set(root: Path, frames: int) -> Path:
    """Writes a LeRobot v2.1 dataset of one episode with one camera, 480 × 640."""
    import av
    import pyarrow as pa
    import pyarrow.parquet as pq

    features = {
        "observation.images.top": {"dtype": "video", "shape": [480, 640, 3]},
        "action": {"dtype": "float32", "shape": [7]},
        **{n: {"dtype": "int64", "shape": [1]} for n in ("episode_index",)},
        "timestamp": {"dtype": "float32", "shape": [1]},
    }
    info = {
        "codebase_version": "v2.1",
        "fps": FPS,
        "features": features,
        "data_path": "data/{episode_index:06d}.parquet",
        "video_path": "videos/{video_key}/{episode_index:06d}.mp4",
    }
    for name in ("meta", "data", "videos/observation.images.top"):
        (root / name).mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    line = json.dumps({"episode_index": 0, "tasks": ["go"], "length": frames})
    (root / "meta/episodes.jsonl").write_text(line + "\n")
    columns = {
        "action": pa.array(np.zeros((frames, 7), np.float32).tolist()),
        "episode_index": pa.array([0] * frames),
        "timestamp": pa.array(np.arange(frames, dtype=np.float32) / FPS),
    }
    pq.write_table(pa.table(columns), root / "data/000000.parquet")
    path = root / "videos/observation.images.top/000000.mp4"
    y, x = np.mgrid[:480, :640]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = 640, 480, "yuv420p"
        for number in range(frames):
            planes = [x + 3 * number, y + 2 * number, x + y - number]
            pixels = np.stack(planes, axis=-1).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _av_alone(path: Path, encoding: str = "") -> None:
    import av

    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            pixels = frame.to_ndarray(format="rgb24")
            if encoding:
                encode_image(pixels, encoding)


def videos(folder: Path, frames: int = 240) -> Iterator[str]:
    """Compares frames by timestamp with PyAV's own loop."""
    path = _video_set(folder / "set", frames)
    times = np.arange(frames) / FPS

    def ours() -> None:
        for _ in frames_at(path, times, 0.5 / FPS):
            pass

    mine, alone = best(ours), best(lambda: _av_alone(path))
    yield _row("H.264 480 × 640, decoded", "frames/s", frames, mine, alone)
    for encoding in ("jpeg", "png"):
        table = LeRobotTable(folder / "set", {"images": encoding})
        mine = best(reading(table))
        alone = best(lambda kind=encoding: _av_alone(path, kind))  # type: ignore[misc]
        name = f"LeRobot episode, frames kept as {encoding}"
        yield _row(name, "frames/s", frames, mine, alone)


def _rlds(folder: Path, episodes: int = 60, steps: int = 50) -> float:
    """Writes an RLDS dataset with TFDS's own serialiser; returns its MB."""
    import tensorflow_datasets as tfds

    from thresher.episodes.tfrecord import framed

    step = {
        "observation": {
            "image": tfds.features.Image(shape=(256, 256, 3), encoding_format="jpeg"),
            "state": tfds.features.Tensor(shape=(7,), dtype=np.float32),
        },
        "action": tfds.features.Tensor(shape=(7,), dtype=np.float32),
        "language_instruction": tfds.features.Text(),
        "is_last": np.bool_,
    }
    features = tfds.features.FeaturesDict({"steps": tfds.features.Dataset(step)})
    folder.mkdir(parents=True)
    features.save_config(folder)
    rng = np.random.default_rng(0)
    image = np.kron(rng.integers(0, 256, (32, 32, 3)), np.ones((8, 8, 1)))
    row = {
        "observation": {
            "image": image.astype(np.uint8),
            "state": np.zeros(7, np.float32),
        },
        "action": np.zeros(7, np.float32),
        "language_instruction": "go",
        "is_last": False,
    }
    record = framed(features.serialize_example({"steps": [row] * steps}))
    shard = folder / "x-train.tfrecord-00000-of-00001"
    shard.write_bytes(record * episodes)
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    split = {
        "name": "train",
        "shardLengths": [str(episodes)],
        "numBytes": str(shard.stat().st_size),
        "filepathTemplate": template,
    }
    info = {
        "name": "x",
        "version": "1.0.0",
        "fileFormat": "tfrecord",
        "moduleName": "x",
        "splits": [split],
    }
    (folder / "dataset_info.json").write_text(json.dumps(info))
    return shard.stat().st_size / 1e6


def _tfds_alone(folder: Path) -> None:
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(str(folder))
    skip = {"steps": {"observation": {"image": tfds.decode.SkipDecoding()}}}
    dataset = builder.as_dataset(split="train", decoders=skip)
    for episode in tfds.as_numpy(dataset):
        for _ in episode["steps"]:
            pass


def rlds(folder: Path) -> Iterator[str]:
    """Compares RLDS with TFDS, image files undecoded on both sides."""
    megabytes = _rlds(folder / "x" / "1.0.0")
    ours = best(reading(TfdsTable(folder / "x" / "1.0.0", {})))
    theirs = best(lambda: _tfds_alone(folder / "x" / "1.0.0"))
    yield _row("RLDS, JPEG 256 × 256, undecoded", "MB/s", megabytes, ours, theirs)


def csv(folder: Path, rows: int = 300_000) -> Iterator[str]:
    """Compares CSV with pyarrow's reader of the whole file."""
    import pyarrow.csv as pacsv

    rng = np.random.default_rng(0)
    columns = rng.normal(size=(rows, 8))
    path = folder / "x.csv"
    with open(path, "w") as file:
        file.write("episode," + ",".join(f"c{k}" for k in range(8)) + "\n")
        for number, row in enumerate(columns):
            cells = ",".join(f"{value:.6f}" for value in row)
            file.write(f"{number // 1000},{cells}\n")
    megabytes = path.stat().st_size / 1e6
    ours = best(reading(DelimitedTable(path, {"episode": "episode"})))
    theirs = best(lambda: pacsv.read_csv(path))
    yield _row("CSV, 9 columns of numbers", "MB/s", megabytes, ours, theirs)
    alone = pacsv.ReadOptions(use_threads=False)
    single = best(lambda: pacsv.read_csv(path, read_options=alone))
    yield _row("the same, pyarrow on one processor", "MB/s", megabytes, ours, single)
    guarded = {"episode": "episode", "guarded": "true"}
    ours = best(reading(DelimitedTable(path, guarded)))
    yield _row("the same, `guarded: true`", "MB/s", megabytes, ours, theirs)


def _peak(path: Path, pipe: Any) -> None:
    import psutil

    before = _high_water(os.getpid())
    started = time.perf_counter()
    reading(Hdf5Table(path, {"images": "jpeg"}))()
    seconds = time.perf_counter() - started
    (child,) = psutil.Process().children()
    pipe.send((before, _high_water(os.getpid()), _high_water(child.pid), seconds))


def _high_water(process: int) -> float:
    """Returns the most memory that a process ever had resident, MiB."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def memory(folder: Path) -> Iterator[str]:
    """Reads 2 GB of camera frames and numbers; tells the peak of both processes."""
    import h5py

    path = folder / "large.hdf5"
    rng = np.random.default_rng(0)
    frames = np.kron(rng.integers(0, 256, (200, 30, 40, 3)), np.ones((1, 8, 8, 1)))
    pixels = frames.astype(np.uint8)
    with h5py.File(path, "w") as file:
        for number in range(42):
            demo = file.create_group(f"data/demo_{number}")
            demo["obs/image"] = pixels
            demo["obs/state"] = rng.normal(size=(50_000, 10))[:200]
            demo["actions"] = rng.normal(size=(200, 7))
    size = path.stat().st_size / 1e9
    context = multiprocessing.get_context("spawn")
    pipe, theirs = context.Pipe()
    process = context.Process(target=_peak, args=(path, theirs))
    process.start()
    before, host, child, seconds = pipe.recv()
    process.join()
    path.unlink()
    yield (
        f"A generated HDF5 of {size:.2f} GB (42 episodes of 200 frames 240 × 320, kept "
        f"as JPEG) was read in {seconds:.0f} s with at most {host:,.0f} MiB in the "
        f"host, of which its imports are {before:,.0f}, and {child:,.0f} MiB in the "
        "reading process."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    chosen = parser.parse_args().folder
    with tempfile.TemporaryDirectory(dir=chosen) as scratch:
        folder = Path(scratch)
        rows = [*hdf5(folder), *videos(folder), *rlds(folder), *csv(folder)]
        peaks = list(memory(folder))
    packages = ("h5py", "av", "pyarrow", "tensorflow-datasets", "numpy")
    names = ", ".join(f"{name} {version(name)}" for name in packages)
    lines = [
        "# Readers of tables, measured",
        "",
        "Ours against the format's library alone, the same file in the same run. Ours "
        "includes listing, checks, and (but for `guarded: false`, RLDS and CSV, which "
        "are read where they are wanted) handing over from the process that reads.",
        "",
        "| what | ours | library alone | ours ÷ library |",
        "|---|---|---|---|",
        *rows,
        "",
        *peaks,
        "",
        f"{platform.machine()}, {multiprocessing.cpu_count()} cores, Python "
        f"{platform.python_version()}, {names}. Best of {RUNS}, files in the page "
        "cache.",
        "",
        f"Other work on the machine while this ran: load {os.getloadavg()[1]:.1f}.",
        "",
        "`python -m thresher.benchmarks.table_speed`",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
