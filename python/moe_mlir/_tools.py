# ===- _tools.py - The tools of the project -------------------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Finds and runs the tools of the project."""

from __future__ import annotations

import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Callable, List, NamedTuple, Optional, Sequence

from ._errors import fail


class Result(NamedTuple):
    """What a tool wrote; `notes` are what it said beside errors."""

    output: str
    notes: List[str]


def find(name: str) -> Path:
    """The tool `name`: in $MOE_MLIR_BIN, in the PATH, or beside the package."""
    named = os.environ.get("MOE_MLIR_BIN")
    own = Path(__file__).parent / "bin"
    # The folder that was named is the only one: another version elsewhere is not meant.
    path = shutil.which(name, path=named) if named else shutil.which(name) or shutil.which(name, path=str(own))
    if path is None:
        where = f"MOE_MLIR_BIN ({named})" if named else f"MOE_MLIR_BIN (not set), PATH and {own}"
        fail(f"{name}: not found in {where}; build the project (scripts/build.sh, docs/python.md) and set MOE_MLIR_BIN "
             "to its build/bin")
    return Path(path)


def identity(name: str) -> List[Any]:
    """What tells one build of a tool from another."""
    path = find(name).resolve()
    status = path.stat()
    return [str(path), status.st_size, status.st_mtime_ns]


@functools.lru_cache(maxsize=None)
def _help(path: str, size: int, mtime: int) -> str:
    return subprocess.run([path, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, check=False).stdout.decode("utf-8", "replace")


def has_option(tool: str, option: str) -> bool:
    """Whether `tool` has `--option`: the one check for what older builds cannot do."""
    return re.search(rf"^\s*--{re.escape(option)}(?![\w-])", _help(*identity(tool)), re.M) is not None


def need_option(tool: str, option: str, what: str) -> None:
    """Fails unless `tool` has `--option`, which `what` needs."""
    if not has_option(tool, option):
        fail(f"{find(tool)}: has no --{option}, which {what} needs; build a newer version of the project")


def message(name: str, status: int, text: str) -> str:
    """What says why a tool failed: its error, and the lines that belong to it."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    for at, line in enumerate(lines):
        if "error:" not in line:
            continue
        # Details are below it, indented.
        details = []
        for detail in lines[at + 1:at + 9]:
            if not detail.startswith(" "):
                break
            if detail.strip(" ^~"):  # Not what marks a place in the line above.
                details.append(detail.strip())
        said = re.sub(r"^<unknown>:0: error:", f"{name}: error:", line.strip())
        return said + (" " + "; ".join(details) if details else "")
    if status < 0:
        try:
            cause = signal.Signals(-status).name
        except ValueError:
            cause = f"signal {-status}"
        return f"{name}: ended by {cause}" + (" (out of memory?)" if cause == "SIGKILL" else "")
    said = ": " + " ".join(line.strip() for line in lines[-2:]) if lines else ""
    return f"{name}: failed with status {status}{said}"


def run(name: str, arguments: Sequence[object], tick: Optional[Callable[[], None]] = None,
        stdin: Optional[str] = None) -> Result:
    """Runs a tool and calls `tick` now and then; raises an Error with its message."""
    command = [str(find(name)), *map(str, arguments)]
    # Files, not pipes: nobody has to read them while the tool runs.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err, tempfile.TemporaryFile() as source:
        if stdin is not None:
            source.write(stdin.encode())
            source.seek(0)
        try:
            process = subprocess.Popen(command, stdin=source if stdin is not None else subprocess.DEVNULL, stdout=out,
                                       stderr=err)
        except OSError as error:
            fail(f"{command[0]}: cannot run: {error.strerror}")
        try:
            while True:
                try:
                    status = process.wait(timeout=0.2)
                    break
                except subprocess.TimeoutExpired:
                    if tick:
                        tick()
        except BaseException:
            # Ended, so that it takes its temporary files away.
            process.terminate()
            process.wait()
            raise
        out.seek(0)
        err.seek(0)
        text = err.read().decode("utf-8", "replace")
        if status:
            fail(message(name, status, text))
        return Result(out.read().decode("utf-8", "replace"), [line for line in text.splitlines() if line.strip()])
