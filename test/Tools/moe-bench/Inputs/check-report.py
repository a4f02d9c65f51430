"""Checks the JSON that moe-bench writes: every field, its type and its range."""

import argparse
import json
import math

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("--rows", type=int, required=True)
parser.add_argument("--repeats", type=int)
parser.add_argument("--phases", action="store_true")
parser.add_argument("--no-baselines", action="store_true")
parser.add_argument("--baselines", help="all that there are")
arguments = parser.parse_args()

with open(arguments.file) as file:
    report = json.load(file)

machine = report["machine"]
assert isinstance(machine["cpu"], str) and machine["cpu"]
assert machine["cpus"] >= 1 and machine["last_level_cache_bytes"] > 0
limits = {}
for limit in machine["limits"]:
    assert limit["f32_gflops"] > 0 and limit["dram_gbytes_per_s"] > 0, limit
    assert limit["bf16_gflops"] > 0.5 * limit["f32_gflops"], limit
    limits[limit["threads"]] = limit
assert 1 in limits and machine["cpus"] in limits

rows = report["rows"]
assert len(rows) == arguments.rows, (len(rows), report["notes"])
for row in rows:
    for key in ("suite", "model", "format", "variant"):
        assert isinstance(row[key], str) and row[key], (key, row)
    for key in ("tokens", "threads", "repeats", "copies"):
        assert isinstance(row[key], int) and row[key] >= 1, (key, row)
    for key in ("median_ms", "gflops", "gbytes_per_s", "dram_gbytes_per_s",
                "roofline_fraction", "tokens_per_s"):
        assert math.isfinite(row[key]) and row[key] > 0, (key, row)
    assert row["bound"] in ("compute", "memory"), row
    assert row["format"] in ("f32", "bf16"), row
    assert row["threads"] in limits, row
    if arguments.repeats:
        assert row["repeats"] == arguments.repeats, row

    # The fraction follows from the other fields.
    if row["bound"] == "memory":
        expected = row["gbytes_per_s"] / row["dram_gbytes_per_s"]
    else:
        expected = row["gflops"] / limits[row["threads"]][row["format"] + "_gflops"]
    assert math.isclose(row["roofline_fraction"], expected, rel_tol=1e-3), row

    expected = set()
    if not arguments.no_baselines:
        expected = {"unfused"}
        if machine["onednn"]:
            expected.add("onednn")
    if arguments.baselines:
        expected = set(arguments.baselines.split(","))
    assert set(row["baselines"]) == expected, (row, report["notes"])
    assert set(row["max_relative_difference"]) == expected, row
    for name in expected:
        assert row["baselines"][name] > 0, row
        bound = 5e-4 if row["format"] == "f32" else 3e-2
        assert 0 <= row["max_relative_difference"][name] <= bound, row
    if arguments.phases:
        assert row["phases"], row
        assert all(0 <= share <= 1 for share in row["phases"].values()), row
        # What one thread does is in balance, and not said.
        assert ("balance" in row) == (row["threads"] > 1), row
        assert 0 < row.get("balance", 1) <= 1.01, row
        assert ("synchrony" in row) == (row["threads"] > 1), row
        assert row.get("balance", 0) <= row.get("synchrony", 1) + 0.1 <= 1.11, row
