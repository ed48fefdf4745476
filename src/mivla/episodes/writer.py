"""Writing a dataset: episodes are added one by one.

Each added episode is a folder of its own in the workshop, put there by one rename, so that a
killed writer goes on after the last whole episode. `close` (and every few hundred megabytes)
joins those pieces into LeRobot's files in one transaction. Until `close` the dataset has no
`meta/info.json` and nobody loads it.
"""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from mivla import MivlaError
from mivla.embodiments import Embodiment, embodiment
from mivla.episodes import columns, files, footage, schema, stats, tables
from mivla.episodes.files import INFO, WORKSHOP
from mivla.episodes.footage import H264, VideoCodec
from mivla.episodes.reader import (
    NotADataset,
    check_version,
    read_episode_rows,
    read_notes,
    read_tasks,
)
from mivla.episodes.record import Episode
from mivla.episodes.relabel import rewrite

_SIZES = ("data_bytes", "video_bytes")


class DatasetMismatch(MivlaError):
    """The dataset that is there is not the one that was asked for."""


class DatasetWriter:
    """A LeRobotDataset v3.0 that grows by whole episodes.

    Use it as a context. A block that ends well finishes the dataset; one that fails, or a killed
    process, leaves what was added, and a writer on the same folder goes on from there.

        with DatasetWriter(root, body="piper", fps=10, cameras={"head": (64, 64)}) as writer:
            for episode in episodes:
                if episode.origin not in writer:
                    writer.add(episode)
    """

    def __init__(
        self,
        root: Path | str,
        *,
        body: Embodiment | str,
        fps: int,
        cameras: Mapping[str, tuple[int, int]],
        codec: VideoCodec = H264,
        data_files_size_in_mb: float | int = 100,
        video_files_size_in_mb: float | int = 200,
    ):
        """Start a dataset, or go on with the one that is there.

        `cameras` gives each camera's (height, width) in pixels, which must be even.

        Raises:
            DatasetMismatch: there is a dataset of another body, rate or set of cameras.
            NotADataset: there is something else at `root`.
        """
        self.root = Path(root)
        self.body = embodiment(body) if isinstance(body, str) else body
        self.fps = fps
        self.cameras = {name: (int(h), int(w)) for name, (h, w) in cameras.items()}
        self._codec = codec
        self._limits_mb = (data_files_size_in_mb, video_files_size_in_mb)
        if fps <= 0:
            raise DatasetMismatch(f"a dataset needs at least one step a second, not {fps}")
        for name, (height, width) in self.cameras.items():
            if "/" in name:
                raise DatasetMismatch(f"a camera's name has no slash: {name!r}")
            if height % 2 or width % 2:
                raise DatasetMismatch(
                    f"camera {name!r} has {height} × {width} pixels; video needs even numbers: "
                    f"resize or crop its pictures"
                )
        _check_place(self.root)
        with ExitStack() as stack:
            stack.enter_context(files.locked(self.root))
            files.recover(self.root)
            self._info = self._load_or_new()
            self._tasks = read_tasks(self.root)
            self._place = tables.last_place(read_episode_rows(self.root))
            self._pieces = self._find_pieces()
            self._staged_bytes = [sum(p[k] for p in self._pieces) for k in _SIZES]
            self._lock = stack.pop_all()

    @classmethod
    def resume(cls, root: Path | str) -> "DatasetWriter":
        """Go on with an unfinished or finished dataset of ours, whatever it holds.

        Raises:
            NotADataset: there is none.
        """
        info = _known_info(Path(root))
        if info is None:
            raise NotADataset(f"{root} holds no dataset to go on with")
        cameras = {
            name.removeprefix(schema.IMAGES): tuple(spec["shape"][:2])
            for name, spec in info["features"].items()
            if spec["dtype"] == "video"
        }
        return cls(root, body=str(info["robot_type"]), fps=info["fps"], cameras=cameras)

    def __len__(self) -> int:
        """Number of episodes that are in."""
        return self._info["total_episodes"] + len(self._pieces)

    def __contains__(self, origin: object) -> bool:
        """Whether an episode of that origin is in."""
        return origin in self._origins

    @property
    def origins(self) -> frozenset[str]:
        """The origins of the episodes that are in: what need not be read again."""
        return frozenset(self._origins)

    def add(self, episode: Episode) -> None:
        """Add an episode; when this returns it is kept, whatever happens next.

        Raises:
            UnstorableEpisode, UnstorablePictures: it does not fit; the dataset is unchanged.
        """
        packed = columns.pack(episode, self.body, self.fps)
        if set(episode.cameras) != set(self.cameras):
            raise columns.UnstorableEpisode(
                f"the episode {episode.origin!r} has cameras "
                f"({', '.join(episode.cameras) or 'none'}); the dataset has "
                f"({', '.join(self.cameras) or 'none'})"
            )
        if not self._pieces:
            self._hide()
        index = len(self)
        folder = self.root / WORKSHOP / f"episode-{index:06d}"
        beside = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        beside.mkdir(parents=True)
        try:
            piece = self._write_piece(beside, episode, packed, index)
            os.replace(beside, folder)
        except BaseException:
            shutil.rmtree(beside, ignore_errors=True)
            raise
        self._pieces.append({**piece, "folder": folder})
        self._staged_bytes = [
            staged + piece[k] for staged, k in zip(self._staged_bytes, _SIZES, strict=True)
        ]
        self._origins.add(episode.origin)
        if episode.instruction not in self._tasks:
            self._tasks.append(episode.instruction)
        if self._is_full():
            self._commit(finish=False)

    def close(self) -> None:
        """Finish the dataset: join what was added, and let it be loaded."""
        if len(self) and not (self.root / INFO).exists():
            self._commit(finish=True)
        files.clear(self.root)
        self._lock.close()

    def __enter__(self) -> "DatasetWriter":
        """The writer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the dataset if the block ended well; keep what was added if it did not."""
        if kind is None:
            self.close()
        else:
            self._lock.close()

    @cached_property
    def _origins(self) -> set[str]:
        committed = read_notes(self.root).values()
        notes = [*committed, *(piece["note"] for piece in self._pieces)]
        return {note["origin"] for note in notes}

    def _load_or_new(self) -> dict[str, Any]:
        info = _known_info(self.root)
        if info is None:
            return self._new_info()
        there = {
            name.removeprefix(schema.IMAGES): tuple(spec["shape"][:2])
            for name, spec in info["features"].items()
            if spec["dtype"] == "video"
        }
        asked = (self.body.name, self.fps, self.cameras)
        if (info["robot_type"], info["fps"], there) != asked:
            raise DatasetMismatch(
                f"{self.root} holds a dataset of {info['robot_type']} at {info['fps']} Hz with "
                f"cameras {_sizes(there)}; {self.body.name} at {self.fps} Hz with "
                f"{_sizes(self.cameras)} cannot be added to it. Write to another folder"
            )
        return info

    def _new_info(self) -> dict[str, Any]:
        videos = {
            f"{schema.IMAGES}{name}": schema.video_feature(*size, self._codec.info(*size, self.fps))
            for name, size in self.cameras.items()
        }
        features = schema.in_order({**schema.own_features(self.body), **videos})
        return {
            "codebase_version": schema.VERSION,
            "fps": self.fps,
            "features": features,
            "total_episodes": 0,
            "total_frames": 0,
            "total_tasks": 0,
            "chunks_size": schema.CHUNK_SIZE,
            "data_files_size_in_mb": self._limits_mb[0],
            "video_files_size_in_mb": self._limits_mb[1],
            "data_path": schema.DATA_PATH,
            "video_path": schema.VIDEO_PATH if self.cameras else None,
            "robot_type": self.body.name,
            "splits": {"train": "0:0"},
        }

    def _find_pieces(self) -> list[dict[str, Any]]:
        """The episodes in the workshop that are not in LeRobot's files yet, in order."""
        pieces = []
        while True:
            index = self._info["total_episodes"] + len(pieces)
            folder = self.root / WORKSHOP / f"episode-{index:06d}"
            if not (folder / "piece.json").exists():
                break
            piece = json.loads((folder / "piece.json").read_text(encoding="utf-8"))
            piece["stats"] = {name: _arrays(s) for name, s in piece["stats"].items()}
            pieces.append({**piece, "folder": folder})
            if piece["task"] not in self._tasks:
                self._tasks.append(piece["task"])
        return pieces

    def _hide(self) -> None:
        """Mark the dataset as unfinished: what it was so far moves into the workshop."""
        files.write_json(self.root / WORKSHOP / "info.json", self._info, indent=4)
        (self.root / INFO).unlink(missing_ok=True)

    def _write_piece(
        self, folder: Path, episode: Episode, packed: columns.Packed, index: int
    ) -> dict[str, Any]:
        steps = len(episode)
        first = self._pieces[-1]["stop"] if self._pieces else self._info["total_frames"]
        tasks = [*self._tasks, episode.instruction]
        values = {
            **packed.columns,
            "timestamp": (np.arange(steps) / self.fps).astype(np.float32),
            "frame_index": np.arange(steps),
            "episode_index": np.full(steps, index),
            "index": np.arange(first, first + steps),
            "task_index": np.full(steps, tasks.index(episode.instruction)),
        }
        features = schema.in_order(packed.features)
        pq.write_table(
            tables.table_of(values, features), folder / "data.parquet", compression="snappy"
        )
        found = {name: stats.of_column(values[name]) for name in features}
        for name, size in self.cameras.items():
            path = folder / f"{name}.mp4"
            try:
                found[f"{schema.IMAGES}{name}"] = footage.encode(
                    path,
                    episode.cameras[name].frames,
                    steps=steps,
                    size=size,
                    fps=self.fps,
                    codec=self._codec,
                    samples=100,
                )
            except footage.UnstorablePictures as error:
                raise footage.UnstorablePictures(
                    f"camera {name!r} of {episode.origin or 'an episode'}: {error}"
                ) from error
            files.sync(path)
        files.sync(folder / "data.parquet")
        piece = {
            "start": first,
            "stop": first + steps,
            "length": steps,
            "data_bytes": (folder / "data.parquet").stat().st_size,
            "video_bytes": max(
                ((folder / f"{name}.mp4").stat().st_size for name in self.cameras), default=0
            ),
            "task": episode.instruction,
            "features": packed.features,
            "note": {"episode_index": index, **packed.note},
            "stats": found,
        }
        files.write_json(folder / "piece.json", piece)
        return piece

    def _is_full(self) -> bool:
        data, video = (size * 2**20 for size in self._limits_mb)
        return self._staged_bytes[0] >= data or self._staged_bytes[1] >= video

    def _commit(self, *, finish: bool) -> None:
        """Join the pieces into LeRobot's files; with `finish`, the dataset is whole afterwards."""
        groups = self._groups()
        info = dict(self._info)
        features = info["features"]
        for piece in self._pieces:
            features = {**features, **piece["features"]}
        info["features"] = features = schema.in_order(features)
        with files.transaction(self.root) as change:
            rows = read_episode_rows(self.root).to_pylist() if finish else []
            if features.keys() != self._info["features"].keys() and self._info["total_episodes"]:
                rewrite(self.root, change, features)
            place = self._place
            for group in groups:
                place = tables.next_place(place)
                rows += self._write_group(change, group, place, features)
            info["total_episodes"] += len(self._pieces)
            info["total_frames"] += sum(piece["length"] for piece in self._pieces)
            info["total_tasks"] = len(self._tasks)
            info["splits"] = {"train": f"0:{info['total_episodes']}"}
            pq.write_table(schema.tasks_table(self._tasks), change.beside("meta/tasks.parquet"))
            if finish:
                tables.write_stats(change, rows, features)
                change.beside(INFO).write_text(files.to_json(info, indent=4), encoding="utf-8")
            else:
                place_of_info = change.beside(f"{WORKSHOP}/info.json")
                place_of_info.write_text(files.to_json(info, indent=4), encoding="utf-8")
        self._info, self._place = info, place
        for piece in self._pieces:
            shutil.rmtree(piece["folder"], ignore_errors=True)
        self._pieces, self._staged_bytes = [], [0, 0]

    def _groups(self) -> list[list[dict[str, Any]]]:
        """Successive pieces whose videos can be joined: those that one encoder made."""
        groups: list[list[dict[str, Any]]] = []
        last = None
        for piece in self._pieces:
            headers = {n: footage.header(piece["folder"] / f"{n}.mp4") for n in self.cameras}
            if headers != last:
                groups.append([])
            groups[-1].append(piece)
            last = headers
        return groups

    def _write_group(
        self,
        change: files.Transaction,
        group: list[dict[str, Any]],
        place: dict[str, int],
        features: schema.Features,
    ) -> list[tables.Row]:
        data = change.beside(schema.DATA_PATH.format(**place))
        wanted = schema.arrow_schema(features)
        with pq.ParquetWriter(data, wanted, compression="snappy") as out:
            for piece in group:
                table = pq.read_table(piece["folder"] / "data.parquet")
                out.write_table(tables.widened(table, wanted, features))
        for name in self.cameras:
            video = schema.VIDEO_PATH.format(video_key=f"{schema.IMAGES}{name}", **place)
            footage.join([p["folder"] / f"{name}.mp4" for p in group], change.beside(video))
        rows, start = [], 0
        for piece in group:
            stop = start + piece["length"]
            row = {
                "episode_index": piece["note"]["episode_index"],
                "tasks": [piece["task"]],
                "length": piece["length"],
                "data/chunk_index": place["chunk_index"],
                "data/file_index": place["file_index"],
                "dataset_from_index": piece["start"],
                "dataset_to_index": piece["stop"],
            }
            for name in self.cameras:
                key = f"videos/{schema.IMAGES}{name}"
                row[f"{key}/chunk_index"] = place["chunk_index"]
                row[f"{key}/file_index"] = place["file_index"]
                row[f"{key}/from_timestamp"] = start / self.fps
                row[f"{key}/to_timestamp"] = stop / self.fps
            found = _filled_stats(piece["stats"], features, piece["length"])
            for name, of_name in found.items():
                row |= {f"stats/{name}/{key}": value.tolist() for key, value in of_name.items()}
            row["meta/episodes/chunk_index"] = place["chunk_index"]
            row["meta/episodes/file_index"] = place["file_index"]
            rows.append(row)
            start = stop
        held = {name: [row[name] for row in rows] for name in rows[0]}
        tables.write_episodes(change, held, place)
        notes = "".join(files.to_json(piece["note"]) + "\n" for piece in group)
        change.beside(schema.NOTES_PATH.format(**place)).write_text(notes, encoding="utf-8")
        return [{n: row[n] for n in row if not n.startswith("stats/")} for row in rows]


def _check_place(root: Path) -> None:
    if root.is_file():
        raise NotADataset(f"{root} is a file; a dataset is a folder")
    if (root / INFO).exists():
        check_version(root, json.loads((root / INFO).read_text(encoding="utf-8")))
    elif root.exists() and not (root / WORKSHOP).exists() and any(root.iterdir()):
        raise NotADataset(
            f"{root} is not empty and holds no dataset; give a new folder, so that nothing is lost"
        )


def _known_info(root: Path) -> dict[str, Any] | None:
    for path in (root / INFO, root / WORKSHOP / "info.json"):
        if path.exists():
            info = json.loads(path.read_text(encoding="utf-8"))
            started = (root / WORKSHOP / "episode-000000").exists()
            return info if info["total_episodes"] or started else None
    return None


def _sizes(cameras: Mapping[str, tuple[int, int]]) -> str:
    return ", ".join(f"{name} {h}×{w}" for name, (h, w) in cameras.items()) or "none"


def _arrays(found: Mapping[str, Any]) -> stats.Stats:
    return {key: np.asarray(value) for key, value in found.items()}


def _filled_stats(
    found: Mapping[str, stats.Stats], features: schema.Features, steps: int
) -> dict[str, stats.Stats]:
    """Statistics of one episode for every column, those it lacks included."""
    fill = columns.missing({n: s for n, s in features.items() if n not in found}, steps)
    return {n: found[n] if n in found else stats.of_column(fill[n]) for n in features}
