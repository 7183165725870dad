"""Disks of the broker's own: one that can lose its power, one that is small. Both are mounted, which needs root."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from contracts.topology import MiB
from tests.faults.row import NotPossibleHere

IMAGE_SIZE = "512M"
SHUTDOWN_REQUEST = 0x8004587D
"""EXT4_IOC_SHUTDOWN of the kernel's fs/ext4: nothing reaches the device any more."""
WITHOUT_FLUSH = struct.pack("I", 2)
FILLER = "filler"


@dataclass
class ImageDisk:
    """An ext4 file system in a file. What was not written to the file when the power goes is lost, as on a machine."""

    folder: Path
    cuts: int = 0

    @property
    def path(self) -> Path:
        return self.folder / "store"

    @property
    def image(self) -> Path:
        """The file that is mounted now: after each cut another."""
        return self.folder / f"disk-{self.cuts}.img"

    def create(self) -> None:
        self.path.mkdir()
        _run("truncate", "--size", IMAGE_SIZE, str(self.image))
        _run("mkfs.ext4", "-qF", str(self.image))
        self._mount()

    def sync(self) -> None:
        _run("sync", "--file-system", str(self.path))

    def cut(self) -> None:
        """The power goes: the kernel keeps back whatever it has not written yet, and the image is copied as it is."""
        before = self.image
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, SHUTDOWN_REQUEST, WITHOUT_FLUSH)
        finally:
            os.close(directory)
        self.cuts += 1
        _run("cp", "--sparse=always", str(before), str(self.image))

    def power_up(self) -> None:
        """Mount the copy. Nobody may have the disk open any more."""
        _unmount(self.path)
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.path))


@dataclass
class SmallDisk:
    """A file system of a few MiB in memory."""

    folder: Path
    size_bytes: int
    _pieces: list[Path] = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.folder / "store"

    def create(self) -> None:
        self.path.mkdir()
        _run("mount", "-t", "tmpfs", "-o", f"size={self.size_bytes}", "tmpfs", str(self.path))

    def fill(self) -> None:
        """Write until there is no room left."""
        piece = self.path / f"{FILLER}-{len(self._pieces)}"
        self._pieces.append(piece)
        with piece.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * MiB):
                    pass
            except OSError:
                return

    def make_room(self) -> None:
        while self._pieces:
            self._pieces.pop().unlink()


@contextmanager
def image_disk() -> Iterator[ImageDisk]:
    """A disk that can lose its power, in `folder / "store"`. Raises `NotPossibleHere` where it cannot be mounted."""
    with TemporaryDirectory(prefix="waggle-disk-") as folder:
        disk = ImageDisk(Path(folder))
        with _mounted(disk):
            yield disk


@contextmanager
def small_disk(size_bytes: int) -> Iterator[SmallDisk]:
    """A small disk, in `folder / "store"`. Raises `NotPossibleHere` where it cannot be mounted."""
    with TemporaryDirectory(prefix="waggle-disk-") as folder:
        disk = SmallDisk(Path(folder), size_bytes)
        with _mounted(disk):
            yield disk


@contextmanager
def _mounted(disk: ImageDisk | SmallDisk) -> Iterator[None]:
    try:
        disk.create()
    except (OSError, subprocess.CalledProcessError) as error:
        said = error.stderr.strip() if isinstance(error, subprocess.CalledProcessError) else error
        raise NotPossibleHere(f"no disk can be mounted here ({said})") from error
    try:
        yield
    finally:
        _unmount(disk.path)


def _unmount(path: Path) -> None:
    if path.is_mount():
        _run("umount", str(path))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
