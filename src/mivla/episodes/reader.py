"""Reading a LeRobotDataset v3.0: ours, or one that LeRobot wrote.

Columns are read once as NumPy arrays: whole by `column` and `window`, a data file at a time by
`raw` and `episode`. Pictures are decoded when they are asked for.
"""

import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Int, UInt8

from mivla import MivlaError
from mivla.embodiments import EMBODIMENTS, Embodiment, embodiment, is_known
from mivla.episodes import columns, files, schema
from mivla.episodes.files import INFO, WORKSHOP
from mivla.episodes.record import Episode, Motion
from mivla.episodes.video import VideoFrames

NUMBERS = frozenset(
    ("bool", "float16", "float32", "float64")
    + tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
)
"""The types of columns that are numbers."""


KEPT_FILES = 2
"""Data files whose columns are kept in memory; LeRobot's grow to 100 MB on the disk."""


class NotADataset(MivlaError):
    """There is no dataset at that path."""


class UnfinishedDataset(MivlaError):
    """A dataset whose writer was stopped before it was done."""


class UnsupportedVersion(MivlaError):
    """A dataset of a version that this library does not read."""


class DamagedDataset(MivlaError):
    """A dataset whose files contradict each other."""


class UnknownBody(MivlaError):
    """A dataset of a robot that is not known here, or whose vector is not that robot's."""


@dataclass(frozen=True)
class StoredImages:
    """Pictures that are kept one by one in the data files, decoded one after another."""

    images: pa.ChunkedArray
    height: int
    """Pixels."""
    width: int
    """Pixels."""

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.images)

    def __getitem__(self, step: int) -> UInt8[np.ndarray, "h w 3"]:
        """One RGB picture."""
        from PIL import Image

        stored = self.images[step].as_py()
        with Image.open(io.BytesIO(stored["bytes"])) as image:
            return np.array(image.convert("RGB"))

    def __iter__(self) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """RGB pictures from first to last."""
        return (self[step] for step in range(len(self)))


class Dataset:
    """A finished dataset, for reading.

    `dataset[i]` is an `Episode`; `raw` and `window` hand out what is stored, as LeRobot does.
    """

    def __init__(self, root: Path, info: Mapping[str, Any]):
        """Use `Dataset.open`."""
        self.root = root
        self.info = dict(info)
        rows = read_episode_rows(root)
        # Whole columns: a dictionary an episode would be a gigabyte for a large dataset.
        self._rows = {
            name: rows.column(name).to_pylist() if name == "tasks" else rows.column(name).to_numpy()
            for name in rows.column_names
        }
        steps = int(self.lengths.sum())
        if len(self) != info["total_episodes"] or steps != info["total_frames"]:
            raise DamagedDataset(
                f"{root}: {INFO} tells of {info['total_episodes']} episodes and "
                f"{info['total_frames']} steps, meta/episodes of {len(self)} and {steps}"
            )
        self._read: dict[str, np.ndarray] = {}
        self._files: dict[tuple[int, int], columns.Columns] = {}
        self._images: dict[str, pa.ChunkedArray] = {}

    @classmethod
    def open(cls, root: Path | str) -> "Dataset":
        """The dataset at a path.

        Raises:
            NotADataset: there is nothing, or something else.
            UnfinishedDataset: its writer was stopped.
            UnsupportedVersion: it is not of version v3.0.
        """
        root = Path(root)
        if not root.is_dir():
            raise NotADataset(f"there is no folder {root}")
        if not (root / INFO).exists() and files.stopped_midway(root):
            with files.locked(root):
                files.recover(root)
        if not (root / INFO).exists():
            if (root / WORKSHOP).exists():
                raise UnfinishedDataset(
                    f"{root} is unfinished: the command that writes it was stopped, or is still "
                    f"at it. The same command goes on where it stopped; "
                    f"`mivla inspect {root} --finish` makes a dataset of what is there"
                )
            raise NotADataset(
                f"{root} holds no dataset: there is no {INFO}. "
                f"`mivla convert` makes one from other recordings"
            )
        try:
            info = json.loads((root / INFO).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise DamagedDataset(f"{root / INFO} is not JSON: {error}") from error
        check_version(root, info)
        return cls(root, info)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._rows["episode_index"])

    def __getitem__(self, index: int) -> Episode:
        """One episode of the dataset's own body."""
        return self.episode(index)

    def __iter__(self) -> Iterator[Episode]:
        """Every episode, in order."""
        return (self.episode(i) for i in range(len(self)))

    @property
    def fps(self) -> int:
        """Steps per second."""
        return self.info["fps"]

    @property
    def features(self) -> schema.Features:
        """LeRobot's description of every column and camera."""
        return self.info["features"]

    @property
    def robot_type(self) -> str | None:
        """What the dataset says of its robot."""
        return self.info.get("robot_type")

    @property
    def body(self) -> str | None:
        """The name of its body, where it is one that is known here."""
        return self.robot_type if self.robot_type and is_known(self.robot_type) else None

    @property
    def cameras(self) -> dict[str, tuple[int, int]]:
        """(height, width) of each camera's pictures, by name; depth maps are left out."""
        return {
            name.removeprefix(schema.IMAGES): (spec["shape"][0], spec["shape"][1])
            for name, spec in self._camera_features().items()
        }

    @cached_property
    def tasks(self) -> list[str]:
        """Instructions, by task index."""
        return read_tasks(self.root)

    @property
    def lengths(self) -> Int[np.ndarray, " n"]:
        """Number of steps of each episode."""
        return np.asarray(self._rows["length"] if len(self) else (), dtype=np.int64)

    @cached_property
    def stats(self) -> dict[str, dict[str, np.ndarray]]:
        """What `meta/stats.json` says of each column."""
        path = self.root / "meta/stats.json"
        if not path.exists():
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
        return {n: {k: np.asarray(v) for k, v in of.items()} for n, of in found.items()}

    @property
    def episode_tasks(self) -> list[list[str]]:
        """Every instruction that is given in each episode."""
        return [list(tasks) for tasks in self._rows["tasks"]]

    @property
    def data_files(self) -> list[Path]:
        """The data files that hold the episodes, in order."""
        return [self._file_path(place) for place in sorted(self._file_starts)]

    def length(self, index: int) -> int:
        """Number of steps of an episode."""
        return self._row(index)["length"]

    def episode(self, index: int, body: Embodiment | str | None = None) -> Episode:
        """One episode, of the dataset's own body or of the one that its vectors are said to be.

        Raises:
            UnknownBody: the body is not known here and none is given, or its vector has another
                length.
        """
        own = self._embodiment(body)
        note = self.note(index, own)
        values = self.raw(index)
        state, action = (
            self._motion(values, own, kind, note[kind]) for kind in ("state", "action")
        )
        labels = {
            name: columns.unpack_labels(values, name, of) for name, of in note["labels"].items()
        }
        cameras = {}
        for key in self._camera_features():
            name = key.removeprefix(schema.IMAGES)
            of_camera = note["cameras"].get(name, {})
            frames = self.frames(index, name)
            cameras[name] = columns.unpack_camera(values, name, frames, of_camera)
        confidence = columns.restore(values, schema.CONFIDENCE) if note["confidence"] else None
        return Episode(
            body=own.name,
            instruction=self.tasks[int(values["task_index"][0])],
            clock_s=self._clock(values),
            state=state,
            action=action,
            cameras=cameras,
            labels=labels,
            confidence=confidence,
            quality=note.get("quality"),
            subtasks=tuple((start, text) for start, text in note.get("subtasks", ())),
            success=note["success"] if "success" in note else _success(values),
            origin=note.get("origin", f"{self.root.name}#{index}"),
            notes=tuple(note.get("notes", ())),
        )

    def note(self, index: int, body: Embodiment | None = None) -> columns.Note:
        """What LeRobot has no place for: origin, success, notes, which parts are there."""
        row = self._row(index)
        note = self.notes.get(row["episode_index"])
        # LeRobot's tools that drop or reorder episodes leave our notes behind.
        if note is not None and note["length"] == row["length"]:
            return note
        body = body or self._embodiment(None)
        found = columns.note_from_features(self.features, self.raw(index), body)
        return {**found, "episode_index": index, "length": self.length(index)}

    def raw(self, index: int) -> columns.Columns:
        """Every column of an episode as it is stored, pictures left out."""
        row = self._row(index)
        place = (row["data/chunk_index"], row["data/file_index"])
        values = self._file(place)
        start = row["dataset_from_index"] - self._file_starts[place]
        rows = slice(start, start + row["length"])
        if not np.array_equal(
            values["episode_index"][rows], np.full(row["length"], row["episode_index"])
        ):
            raise DamagedDataset(
                f"{self._file_path(place)} does not hold episode {row['episode_index']} where "
                f"meta/episodes says"
            )
        return {name: of_file[rows] for name, of_file in values.items()}

    @property
    def column_names(self) -> tuple[str, ...]:
        """Every column that is numbers."""
        return tuple(n for n, spec in self.features.items() if spec["dtype"] in NUMBERS)

    def column(self, name: str) -> np.ndarray:
        """A whole column: (t) for plain numbers, else (t d)."""
        if name not in self._read:
            self._read[name] = self._shaped(name, self._stored(name))
        return self._read[name]

    def _shaped(self, name: str, stored: pa.ChunkedArray) -> np.ndarray:
        values, shape = array_from_arrow(stored), self.features[name]["shape"]
        flat = shape in ([1], []) and values.ndim == 1
        return values if flat else values.reshape(len(values), *shape)

    def _file(self, place: tuple[int, int]) -> columns.Columns:
        """The columns of one data file; the last few are kept, as episodes come in order."""
        if place not in self._files:
            self.take_file(place, _read_table(self._file_path(place), list(self.column_names)))
        return self._files[place]

    def take_file(self, place: tuple[int, int], table: pa.Table) -> None:
        """Use the columns of a data file, by chunk and file, that somebody has read already."""
        while len(self._files) >= KEPT_FILES:
            self._files.pop(next(iter(self._files)))
        self._files[place] = {n: self._shaped(n, table.column(n)) for n in self.column_names}

    def take_notes(self, notes: dict[int, columns.Note]) -> None:
        """Use these notes, by episode, and read no others: all may be gigabytes."""
        self.__dict__["notes"] = notes

    def _file_path(self, place: tuple[int, int]) -> Path:
        chunk, file = place
        return self.root / self.info["data_path"].format(chunk_index=chunk, file_index=file)

    @cached_property
    def _file_starts(self) -> dict[tuple[int, int], int]:
        """The first step of each data file, by chunk and file."""
        names = ("data/chunk_index", "data/file_index", "dataset_from_index")
        starts: dict[tuple[int, int], int] = {}
        for chunk, file, first in zip(*(self._rows[n].tolist() for n in names), strict=True):
            starts[chunk, file] = min(first, starts.get((chunk, file), first))
        return starts

    def frames(self, index: int, camera: str) -> VideoFrames | StoredImages:
        """The pictures of one camera in an episode."""
        key, row = f"{schema.IMAGES}{camera}", self._row(index)
        if key not in self._camera_features():
            key = camera
        spec = self._camera_features()[key]
        height, width = spec["shape"][:2]
        if spec["dtype"] == "image":
            if key not in self._images:
                self._images[key] = self._stored(key)
            images = self._images[key].slice(row["dataset_from_index"], row["length"])
            return StoredImages(images, height, width)
        path = self.root / self.info["video_path"].format(
            video_key=key,
            chunk_index=row[f"videos/{key}/chunk_index"],
            file_index=row[f"videos/{key}/file_index"],
        )
        start_s = row[f"videos/{key}/from_timestamp"]
        # A tenth of a step early: a file whose clock is coarse may have rounded down.
        times_s = start_s + (np.arange(row["length"]) - 0.1) / self.fps
        return VideoFrames(path, height, width, times_s, first=round(start_s * self.fps))

    def window(self, step: int, deltas: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """What `LeRobotDataset[step]` returns, with `deltas` in steps instead of seconds.

        Steps beyond the episode are held at its first or last one, and `<name>_is_pad` says so.
        Pictures are uint8 (3 h w).
        """
        index = int(np.searchsorted(self._starts, step, side="right") - 1)
        row = self._row(index)
        first, last = row["dataset_from_index"], row["dataset_to_index"] - 1
        item: dict[str, Any] = {name: self.column(name)[step] for name in self.column_names}
        for key in self._camera_features():
            frames = self.frames(index, key.removeprefix(schema.IMAGES))
            item[key] = frames[step - first].transpose(2, 0, 1)
        for name, of_name in deltas.items():
            wanted = step + np.asarray(of_name)
            held = np.clip(wanted, first, last)
            item[f"{name}_is_pad"] = wanted != held
            if name in self._camera_features():
                frames = self.frames(index, name.removeprefix(schema.IMAGES))
                pictures = [frames[int(i) - first].transpose(2, 0, 1) for i in held]
                item[name] = np.stack(pictures)
            else:
                item[name] = self.column(name)[held]
        return {**item, "task": self.tasks[int(item["task_index"])]}

    @cached_property
    def _starts(self) -> Int[np.ndarray, " n"]:
        return np.asarray(self._rows["dataset_from_index"], dtype=np.int64)

    @cached_property
    def notes(self) -> dict[int, columns.Note]:
        """What LeRobot has no place for, by episode; empty where it wrote the dataset alone."""
        return read_notes(self.root)

    def _row(self, index: int) -> dict[str, Any]:
        if not 0 <= index < len(self):
            raise IndexError(f"no episode {index}; {self.root} has {len(self)}")
        values = {name: column[index] for name, column in self._rows.items()}
        return {n: v.item() if isinstance(v, np.generic) else v for n, v in values.items()}

    def _camera_features(self) -> schema.Features:
        return {
            name: spec
            for name, spec in self.features.items()
            if spec["dtype"] in ("video", "image")
            and len(spec["shape"]) == 3
            and spec["shape"][2] == 3
            and not (spec.get("info") or {}).get("is_depth_map")
        }

    def _embodiment(self, body: Embodiment | str | None) -> Embodiment:
        if isinstance(body, Embodiment):
            return body
        name = body or self.body
        if name is None:
            raise UnknownBody(
                f"{self.root} is of {self.robot_type or 'an unnamed robot'}, which is not known "
                f"here. If it is one of {', '.join(EMBODIMENTS)}, `mivla convert lerobot "
                f"{self.root} --body NAME --out DIR` makes a dataset that says so; else describe "
                f"it (docs/add-a-robot.md) and put the folder of the description into $MIVLA_ROBOTS"
            )
        return embodiment(name)

    def _motion(
        self, values: columns.Columns, body: Embodiment, kind: str, parts: Sequence[str]
    ) -> Motion:
        name = schema.STATE if kind == "state" else schema.ACTION
        if name not in values:
            raise UnknownBody(f"{self.root} has no {name!r}; it has {', '.join(values)}")
        own = values[name].reshape(len(values[name]), -1)
        if own.shape[1] != body.own_dim:
            raise UnknownBody(
                f"{self.root}: {name!r} has {own.shape[1]} numbers, but {body.title} has "
                f"{body.own_dim} ({', '.join(body.own_names)}). `mivla convert lerobot {self.root} "
                f"--body NAME --out DIR` makes a dataset of another body"
            )
        own = own[:, own_order(body, self.features[name].get("names"))].astype(np.float32)
        valid = values.get(f"{schema.motion_name(body.name, kind, body.own_part)}.valid")
        if valid is not None:
            own = np.where(valid, own, np.float32(np.nan))
        others = [part for part in parts if part != body.own_part]
        return {
            body.own_part: body.part_from_own(own),
            **columns.unpack_motion(values, body, kind, others),
        }

    def _clock(self, values: columns.Columns) -> np.ndarray:
        """Seconds of each step: steps over fps, which float32 would blur, plus what is stored."""
        clock_s = values["frame_index"] / self.fps
        if schema.CLOCK_OFFSET in values:
            return clock_s + values[schema.CLOCK_OFFSET]
        if np.abs(clock_s - values["timestamp"]).max() > columns.REGULAR_S:
            return values["timestamp"].astype(np.float64)
        return clock_s

    def _stored(self, name: str) -> pa.ChunkedArray:
        """A column of all data files, which are checked to hold the episodes in order."""
        chunks = []
        for path in self.data_files:
            table = _read_table(path, [name])
            chunks += table.column(name).chunks
        stored = pa.chunked_array(chunks)
        if len(stored) != self.info["total_frames"]:
            raise DamagedDataset(
                f"{self.root}: the data files hold {len(stored)} steps; "
                f"{self.info['total_frames']} are announced"
            )
        if name != "episode_index" and "episode_index" in self.features:
            self._check_order()
        return stored

    def _check_order(self) -> None:
        if "episode_index" in self._read:
            return
        episodes = self.column("episode_index")
        expected = np.repeat(self._rows["episode_index"], self.lengths)
        if not np.array_equal(episodes, expected):
            raise DamagedDataset(
                f"{self.root}: the data files hold other episodes than meta/episodes tells of"
            )


def own_order(body: Embodiment, names: Any) -> Int[np.ndarray, " own"]:
    """Where each number of the body's own vector stands in a vector with these names.

    Names of any make are understood that tell the side and, for a gripper, that it is one: joints
    count in the order in which they come. Other names leave the order as it is: left before right,
    each with its gripper last.
    """
    unchanged = np.arange(body.own_dim)
    if isinstance(names, Mapping):
        names = next(iter(names.values()), None)
    if not isinstance(names, list) or len(names) != body.own_dim or body.is_human:
        return unchanged
    if tuple(names) == body.own_names:
        return unchanged
    joints: dict[str, list[int]] = {"left": [], "right": []}
    grippers: dict[str, list[int]] = {"left": [], "right": []}
    for i, name in enumerate(names):
        side = next((side for side in joints if side in str(name).lower()), None)
        if side is None:
            return unchanged
        is_gripper = any(word in str(name).lower() for word in ("gripper", "opening"))
        (grippers if is_gripper else joints)[side].append(i)
    order: list[int] = []
    for arm in body.arms:
        if len(joints[arm.side]) != arm.dof or len(grippers[arm.side]) != 1:
            return unchanged
        order += [*joints[arm.side], *grippers[arm.side]]
    return np.array(order)


def is_dataset(path: Path) -> bool:
    """Whether a dataset is at a path, finished or not."""
    return (path / INFO).exists() or (path / WORKSHOP).exists()


def check_version(root: Path, info: Mapping[str, Any]) -> None:
    """Refuse what is not a LeRobotDataset v3.0.

    Raises:
        UnsupportedVersion: it is of another version, or keeps its data in another way.
    """
    version = str(info.get("codebase_version"))
    if not version.startswith("v3."):
        raise UnsupportedVersion(
            f"{root} is a LeRobot dataset of version {version}; v3.0 is read here. LeRobot turns "
            f"v2.1 into v3.0 with `python -m lerobot.scripts.convert_dataset_v21_to_v30`"
        )
    if info.get("storage_format") not in (None, "parquet"):
        raise UnsupportedVersion(
            f"{root} keeps its data as {info['storage_format']}; parquet is read here"
        )


def read_episode_rows(root: Path) -> pa.Table:
    """The rows of `meta/episodes` without their statistics, in order of their index."""
    tables = []
    for path in sorted((root / "meta/episodes").glob("*/*.parquet")):
        try:
            names = [n for n in pq.read_schema(path).names if not n.startswith("stats/")]
            tables.append(pq.read_table(path, columns=names))
        except pa.ArrowInvalid as error:
            raise DamagedDataset(f"{path} cannot be read: {error}") from error
    if not tables:
        return pa.table({"episode_index": pa.array([], pa.int64())})
    return pa.concat_tables(tables, promote_options="default").sort_by("episode_index")


def _read_table(path: Path, names: list[str]) -> pa.Table:
    try:
        table = pq.read_table(path, columns=names)
    except (FileNotFoundError, pa.ArrowInvalid) as error:
        raise DamagedDataset(f"{path} cannot be read: {error}") from error
    lacking = [name for name in names if name not in table.column_names]
    if lacking:
        raise DamagedDataset(f"{path} has no column {lacking[0]!r}, which {INFO} tells of")
    return table


def read_notes(root: Path) -> dict[int, columns.Note]:
    """The notes of `meta/mivla`, by episode; empty where LeRobot alone wrote the dataset."""
    notes = {}
    for path in sorted((root / "meta/mivla").glob("*/*.jsonl")):
        notes |= read_notes_file(path)
    return notes


def read_notes_file(path: Path) -> dict[int, columns.Note]:
    """The notes of one file, by episode; empty where there is none."""
    if not path.exists():
        return {}
    notes = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return {note["episode_index"]: note for note in notes}


def read_tasks(root: Path) -> list[str]:
    """The instructions of `meta/tasks.parquet`, by task index."""
    path = root / "meta/tasks.parquet"
    if not path.exists():
        return []
    table = pq.read_table(path)
    # LeRobot keeps the text as the index of a pandas frame; it has had no name at times.
    text = "task" if "task" in table.column_names else "__index_level_0__"
    by_index = dict(
        zip(table.column("task_index").to_pylist(), table.column(text).to_pylist(), strict=True)
    )
    return [by_index[i] for i in sorted(by_index)]


def array_from_arrow(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers, or of lists of equal length, as an array."""
    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks)
    rows = len(array)
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    nested = False
    while pa.types.is_nested(array.type):
        array, nested = array.flatten(), True
    values = array.to_numpy(zero_copy_only=False)
    return values.reshape(rows, -1) if nested else values


def _success(values: columns.Columns) -> bool | None:
    """Whether LeRobot recorded a success; None where it recorded nothing of the kind."""
    return bool(values["next.success"].any()) if "next.success" in values else None
