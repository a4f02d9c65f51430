# ===- report.py - What was found, in a file and as tables -----------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""The report: a file of rows that a later run goes on with, and short tables of it."""

import json
import os
from pathlib import Path

# What says that a row need not be measured again; `artifact` is a digest of its code.
KEY = ("stage", "card", "artifact", "model", "tokens", "tool", "routing")


class Failure(Exception):
    """What ends a run, with the message for its user."""


class Report:
    def __init__(self, path, resume):
        self.path, self.rows = path and Path(path), []
        if self.path and resume and self.path.exists():
            try:
                self.rows = json.loads(self.path.read_text())["rows"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise Failure(f"{self.path}: not a report of ours: {error!r}") from None
        if not resume:
            self.save()  # refused now, not in the end

    def save(self):
        """Whole or not at all, where it is a file."""
        if not self.path:
            return
        plain = self.path.is_file() or not self.path.exists()
        to = self.path.with_name(self.path.name + ".new") if plain else self.path
        to.write_text(json.dumps({"rows": self.rows}, indent=1) + "\n")
        if plain:
            os.replace(to, self.path)

    def find(self, row):
        return next((r for r in self.rows if all(r.get(k) == row.get(k) for k in KEY)), None)

    def done(self, row):
        found = self.find(row)
        return found is not None and "failed" not in found

    def add(self, row):
        old = self.find(row)
        if old is not None:
            self.rows.remove(old)
        self.rows.append(row)
        self.save()


def ratio(a, b):
    return f"{a / b:.2f}" if a and b else "-"


def products(row, who):
    """Microseconds of an implementation's two products, or None."""
    parts = [row["us"].get(f"{who}.{piece}") for piece in ("gate_up", "down")]
    return sum(parts) if all(parts) else None


def is_wrong(row):
    return bool(row.get("failed") or row.get("wrong"))


# Of the table of times: a heading above, the heading, its width.
COLUMNS = (("layer", "us", 10), ("sorted", "us", 9), ("products", "TFLOP/s", 8), ("", "TB/s", 6), ("", "dense", 6),
           ("", "grouped", 8), ("", "triton", 7), ("", "bf16", 6), ("sorted", "grouped", 8), ("", "triton", 7))


def speed_cells(first, cells):
    return (f"{first:<23}" + " ".join(f"{c:>{width}}" for c, (*_, width) in zip(cells, COLUMNS))).rstrip()


SPEED_HEAD = [speed_cells("", [c[0] for c in COLUMNS]),
              speed_cells(f"{'model':<15} {'tokens':>6}", [c[1] for c in COLUMNS])]


def speed_line(row):
    if row["model"] == "memory":
        return f"memory: copy {row['copy_tbs']:.2f} TB/s, read {row['read_tbs']:.2f} TB/s"
    us, ours = row["us"], products(row, "ours")
    return speed_cells(f"{row['model']:<15} {row['tokens']:>6}", [
        f"{us['ours.layer']:.1f}", f"{us['ours.sorted']:.1f}", f"{row['flops'] / ours / 1e6:.0f}",
        f"{row['weight_bytes'] / ours / 1e6:.2f}", ratio(products(row, "dense"), ours),
        *[ratio(products(row, who), ours) for who in ("grouped_mm", "triton", "bf16")],
        *[ratio(us.get(f"{who}.layer"), us["ours.sorted"]) for who in ("grouped_mm", "triton")]])


def check_line(row):
    return (f"{row['model']:<15} {row['tokens']:>6} {row['cases']:>3} cases, {len(row['wrong'])} wrong; "
            f"off by {row['worst']:.1e}")


def sanitize_line(row):
    return f"{row['tool']:<10} {row['summary']}"


LINES = {"check": check_line, "speed": speed_line, "sanitize": sanitize_line}


def table(stage, rows):
    """Its lines; with the card above the rows that are of it."""
    lines, card = [], None
    for row in sorted(rows, key=lambda r: r["card"]):
        if row["card"] != card:
            card = row["card"]
            lines += [f"{stage}, {card}", *(SPEED_HEAD if stage == "speed" else [])]
        if "failed" in row:
            what = row.get("tool") or f"{row['model']} {row['tokens']}"
            lines.append(f"{what}: FAILED: {row['failed']}")
            continue
        lines.append(LINES[stage](row))
        lines += [f"    {problem}" for problem in row.get("wrong", [])[:3]]
        lines += [f"    {note}" for note in row.get("notes", [])]
    return "\n".join(lines)
