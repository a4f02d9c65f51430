# ===- _cache.py - What was compiled and packed ---------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""What was compiled and packed, kept for the next time.

    $MOE_MLIR_CACHE, $XDG_CACHE_HOME/moe-mlir or ~/.cache/moe-mlir
      artifacts/KEY/   model.so, model.json, model.mlir
      packed/KEY/      packed.safetensors
      tmp/             what is being made, or is on its way out
      locks/           one file for each key that is being made

An entry is a folder that is made in tmp/ and renamed when it is complete, so that
whoever sees it sees all of it; it goes the same way back. Locks are of the kind
that ends with its process. They only keep two processes from doing the same work:
without them all would be as right.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional

from ._errors import fail

KINDS = ("artifacts", "packed")

#: Bytes, if $MOE_MLIR_CACHE_LIMIT does not say otherwise.
DEFAULT_LIMIT = 50_000_000_000

#: Seconds after which a folder in tmp/ has no owner, where locks do not tell.
_STALE = 24 * 3600

#: The file of an entry that says what it is, and when it was used; and the one
#: that its maker has locked.
_MARK, _OWNED = "entry.json", "owned"


def root() -> Path:
    """The folder of the cache."""
    named = os.environ.get("MOE_MLIR_CACHE")
    if named:
        return Path(named).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "moe-mlir"


def parse_size(text: str) -> int:
    """Bytes of "50GB", "1.5 TB", "200MiB" or a number."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kKMGT]?)(i?)[bB]?\s*", text)
    if not match:
        fail(f"{text!r}: not a size; expected a number of bytes such as 50GB or 200MiB")
    power = " KMGT".index(match.group(2).upper() or " ")
    return int(float(match.group(1)) * (1024 if match.group(3) else 1000) ** power)


def limit() -> int:
    """How many bytes the cache may have."""
    text = os.environ.get("MOE_MLIR_CACHE_LIMIT")
    return parse_size(text) if text else DEFAULT_LIMIT


@dataclass(frozen=True)
class Entry:
    """One folder of the cache. used: when it was last used, in seconds since 1970."""

    kind: str
    key: str
    path: Path
    nbytes: int
    used: float
    what: str


def _entry(kind: str, path: Path) -> Optional[Entry]:
    try:
        size = sum(file.lstat().st_size for file in path.iterdir())
        mark = path / _MARK
        used = mark.stat().st_mtime
        text = mark.read_text(errors="replace")
    except OSError:
        return None
    try:
        what = json.loads(text).get("what", "")
    except (ValueError, AttributeError):
        what = ""
    return Entry(kind, path.name, path, size, used, str(what))


def entries() -> List[Entry]:
    """What there is, the most recently used first."""
    found: List[Entry] = []
    for kind in KINDS:
        folder = root() / kind
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            entry = _entry(kind, path)
            if entry:
                found.append(entry)
    return sorted(found, key=lambda entry: -entry.used)


def _writable(*parts: str) -> Path:
    """A folder of the cache, made if need be."""
    folder = root().joinpath(*parts)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fail(f"{folder}: cannot write to the cache: {error.strerror}; set MOE_MLIR_CACHE to another folder")
    return folder


@contextlib.contextmanager
def _locked(name: str) -> Iterator[None]:
    """Waits until no other process holds `name`."""
    path = _writable("locks") / name
    try:
        file = open(path, "ab")
    except OSError as error:
        fail(f"{path}: cannot write to the cache: {error.strerror}; set MOE_MLIR_CACHE to another folder")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # A file system without locks: work may be done twice.
        yield


def find(kind: str, key: str, is_good: Callable[[Path], bool]) -> Optional[Path]:
    """The folder of `key`, if it is there and good; it counts as used then."""
    path = root() / kind / key
    if not (path / _MARK).is_file():
        return None
    if not is_good(path):
        with contextlib.suppress(OSError):
            _remove(path)
        return None
    with contextlib.suppress(OSError):
        os.utime(path / _MARK)
    return path


def make(kind: str, key: str, is_good: Callable[[Path], bool], what: Dict[str, Any],
         fill: Callable[[Path], None]) -> Path:
    """The folder of `key`, made by `fill` unless it is there."""
    found = find(kind, key, is_good)
    if found:
        return found
    with _locked(f"{kind}-{key}"):
        found = find(kind, key, is_good)
        if found:
            return found
        _clean()
        try:
            folder = Path(tempfile.mkdtemp(prefix="new-", dir=_writable("tmp")))
        except OSError as error:
            fail(f"{root()}: cannot write to the cache: {error.strerror}; set MOE_MLIR_CACHE to another folder")
        try:
            with open(folder / _OWNED, "wb") as owned:
                with contextlib.suppress(OSError):
                    fcntl.flock(owned, fcntl.LOCK_EX)
                fill(folder)
                (folder / _MARK).write_text(json.dumps(what))
                folder.chmod(0o755)
                (folder / _OWNED).unlink()
                place = _writable(kind) / key
                if place.exists() and not (place / _MARK).is_file():
                    _remove(place)  # What somebody damaged is no entry, and in the way.
                try:
                    os.rename(folder, place)
                except OSError:
                    # Another process, where locks do not work, was as fast.
                    if not (place / _MARK).is_file():
                        raise
        except OSError as error:
            fail(f"{root()}: cannot write to the cache: {error.strerror}; free some space or set MOE_MLIR_CACHE")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    prune(keep=place)
    return place


def _remove(path: Path) -> None:
    """Takes an entry away at once, and then its files."""
    trash = Path(tempfile.mkdtemp(prefix="old-", dir=_writable("tmp")))
    try:
        os.rename(path, trash / "entry")
    except FileNotFoundError:
        pass  # Another process did.
    shutil.rmtree(trash, ignore_errors=True)


def _is_abandoned(path: Path) -> bool:
    """Whether what is in tmp/ has no process any more that makes it."""
    try:
        with open(path / _OWNED, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except BlockingIOError:
        return False
    except OSError:
        pass  # Not locked yet, or any more; or a file system without locks.
    try:
        times = [path.stat().st_mtime, *(file.stat().st_mtime for file in path.iterdir())]
    except OSError:
        return False
    return time.time() - max(times) > _STALE


def _clean() -> None:
    """Removes what processes left that were killed."""
    with contextlib.suppress(OSError):
        for path in (root() / "tmp").iterdir():
            if _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)


def prune(most: Optional[int] = None, keep: Optional[Path] = None) -> List[Entry]:
    """Removes the least recently used entries until at most `most` bytes are left; returns them."""
    most = limit() if most is None else most
    found = entries()
    total = sum(entry.nbytes for entry in found)
    if total <= most:
        return []
    gone: List[Entry] = []
    with _locked("prune"):
        for entry in reversed(found):
            if total <= most:
                break
            if entry.path == keep:
                continue
            try:
                _remove(entry.path)
            except OSError as error:
                fail(f"{entry.path}: cannot be removed: {error.strerror}")
            total -= entry.nbytes
            gone.append(entry)
    return gone


def clear() -> List[Entry]:
    """Removes all entries, and what killed processes left; returns the entries."""
    found = entries()
    for kind in KINDS:
        folder = root() / kind
        for path in folder.iterdir() if folder.is_dir() else ():
            try:
                _remove(path)
            except OSError as error:
                fail(f"{path}: cannot be removed: {error.strerror}")
    _clean()
    return found
