#!/usr/bin/env python3
# ===- peers.py - Compiled layers beside other implementations -------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Times whole MoE layers compiled by us beside other implementations of them,
in turns within one process. README.md beside this file says what is measured."""

import argparse
import gc
import importlib
import json
import os
import re
import statistics
import sys
import tempfile
import time
from pathlib import Path

MODULES = ["with_torch", "with_onednn", "with_vllm", "with_zentorch", "with_onnxruntime", "with_ggml"]
TOLERANCE = {"f32": 5e-4, "bf16": 3e-2}  # of the largest element of a token
# Where rows are rounded to bytes, by one of the two or both: with a scale for few
# values, and with one for a row or for the 256 that ggml has in blocks of as many.
ROUNDED, ROUNDED_COARSELY = 3e-2, 6e-2
COARSE = re.compile(r"int8|.*_k|iq4_xs")
EVICTION_BYTES = 400 << 20
BUSY = 0.05  # share of the CPUs that others may take without being named
SLOW_SECONDS = 2  # for one call: timed three times only


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument

    def words(text):
        return [w.strip() for w in re.findall(r"(?:<[^>]*>|[^,])+", text)]

    def counts(text):
        return [int(w) for w in words(text)]

    add("--suite", default="layer", help="of benchmarks/suites, or a path of a .json file")
    add("--model", type=words, help="these of the suite only")
    add("--format", type=words, help="of the weights: f32, bf16, q4_0 and whatever moe-quantize writes "
        "(default: those of the suite)")
    add("--activations", default="int8", help="what our rows become that meet codes: int8, f32 (default: int8)")
    add("--tokens", type=counts, help="default: those of the suite")
    add("--peers", type=words, help="these only; none for ours alone (default: all that are installed)")
    add("--module", type=Path, help="a Python file with PEERS of your own, see peer.py")
    add("--threads", type=int, default=len(os.sched_getaffinity(0)))
    add("--repeats", type=int, help="of a row (default: about --seconds, at least 7)")
    add("--seconds", type=float, default=10)
    add("--seed", type=int, default=1)
    add("--json", help="also write a report")
    add("--list", action="store_true", help="say which peers there are, and stop")
    return parser.parse_args()


def set_threads(threads):
    """For libraries that read their settings when they are loaded: all of them
    the same, and none keeps a core busy while another is measured."""
    for name in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{name}_NUM_THREADS"] = str(threads)
    for name, value in (("OMP_WAIT_POLICY", "passive"), ("GOMP_SPINCOUNT", "0"), ("KMP_BLOCKTIME", "0"),
                        # Huge pages for all or for none.
                        ("NUMPY_MADVISE_HUGEPAGE", "0")):
        os.environ.setdefault(name, value)


def cpu():
    """What /proc/cpuinfo calls the first CPU."""
    names = {"model name": "name", "cpu family": "family", "model": "model"}
    found = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in names:
            found.setdefault(names[key.strip()], value.strip())
    return found


def available_bytes():
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


def busy_seconds():
    """CPU time of this process, and of all with what the hypervisor took."""
    user, nice, system, idle, waiting, *rest = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return sum(os.times()[:2]), (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def difference(ours, theirs):
    """The largest of a token's elements, by the token's largest."""
    worst = abs(ours - theirs).max(1) / abs(ours).max(1)
    return float(worst.max()) if (worst == worst).all() else float("inf")


class Benchmark:
    def __init__(self, options, suite, peers):
        self.options, self.suite, self.peers = options, suite, peers
        self.rows, self.notes, self.failed = [], [], False
        self.evicting = np.ones(0 if suite.get("quick") else EVICTION_BYTES // 4, np.float32)
        self.columns = [p.name for p in peers]
        self.width = max(4, *map(len, options.format or suite["formats"]))
        self.line("model", "fmt", "tokens", "thr", "ms", self.columns)

    def line(self, model, form, tokens, threads, ours, cells):
        print(f"{model:<16} {form:<{self.width}} {tokens:>6} {threads:>3} {ours:>9}",
              *[f"{c:>{max(len(n), 7)}}" for c, n in zip(cells, self.columns)], flush=True)

    def note(self, *where, text):
        self.notes.append(f"{' '.join(map(str, where))}: {text}")
        print(f"note: {self.notes[-1]}", file=sys.stderr)

    def run(self, folder):
        o = self.options
        for model in self.suite["models"]:
            if o.model and model["name"] not in o.model:
                continue
            for form in o.format or self.suite["formats"]:
                made = layer.build(model, form, o.activations, Path(folder), o.seed)
                contenders = [Ours(made, o.threads), *self.prepare(made)]
                for tokens in o.tokens or self.suite["tokens"]:
                    self.row(made, contenders, tokens)
                del contenders, made
                gc.collect()

    def prepare(self, made):
        for peer in self.peers:
            if made.format.partition("<")[0] not in peer.formats:
                self.note(made.name, made.format, peer.name, text=f"left out: multiplies {', '.join(peer.formats)}")
                continue
            needed = int(peer.copies * made.expert_bytes)
            if needed + (1 << 30) > available_bytes():
                self.note(made.name, made.format, peer.name, text=f"left out: needs {needed >> 20} MB")
                continue
            try:
                yield peer(made, self.options.threads)
            except Unavailable as reason:
                self.note(made.name, made.format, peer.name, text=f"left out: {reason}")

    def row(self, made, contenders, tokens):
        where, o = (made.name, made.format, tokens), self.options
        random = np.random.default_rng([o.seed, tokens])
        fitting = []
        for c in contenders:
            if c.call_bytes(tokens) > available_bytes() // 2:
                self.note(*where, c.name, text=f"left out: a call needs {c.call_bytes(tokens) >> 20} MB")
            else:
                fitting.append(c)
        tolerance = TOLERANCE.get(made.format, ROUNDED_COARSELY if COARSE.fullmatch(made.format) else ROUNDED)
        times, worst, slow = {}, {}, set()
        # The first repeat only finds out who differs and how many repeats there will be.
        repeat, repeats = -1, o.repeats or 7
        mine_before, all_before, first = *busy_seconds(), time.perf_counter()
        while repeat < repeats:
            began = time.perf_counter()
            x = random.standard_normal((tokens, made.spec.hidden), np.float32)
            reference = None
            for c in list(fitting):
                mine = times.setdefault(c.name, [])
                if c in slow and len(mine) >= 3:
                    continue
                # Not timed: makes what a library keeps for such shapes.
                start = time.perf_counter()
                try:
                    given = c.take(x)
                    y = c.give(c.run(given))
                except RuntimeError as error:  # of a library: the others go on
                    if reference is None:
                        raise
                    self.note(*where, c.name, text=f"not timed: it failed: {str(error).splitlines()[0]}")
                    self.failed = True
                    fitting.remove(c)
                    continue
                if time.perf_counter() - start > SLOW_SECONDS:
                    slow.add(c)
                reference = y.copy() if reference is None else reference
                worst[c.name] = max(worst.get(c.name, 0), difference(reference, y))
                if worst[c.name] > tolerance:
                    self.note(*where, c.name, text=f"not timed: differs from ours by {worst[c.name]:.1e}")
                    self.failed = True
                    fitting.remove(c)
                else:
                    self.evicting[::16].sum()
                    start = time.perf_counter()
                    c.run(given)
                    mine.append(time.perf_counter() - start)
            if repeat < 0:
                times.clear()
                if not o.repeats:
                    repeats = max(7, min(99, int(o.seconds / (time.perf_counter() - began)))) | 1
            repeat += 1
        elapsed, (mine_after, all_after) = time.perf_counter() - first, busy_seconds()
        # Counted in ticks, so that nothing can be said of a short row.
        others = (all_after - all_before - mine_after + mine_before) / elapsed / os.cpu_count() if elapsed > 1 else 0
        self.report(where, repeats, others, {c.name: times[c.name] for c in fitting}, worst)

    def report(self, where, repeats, others, times, worst):
        ms = {n: 1e3 * statistics.median(t) for n, t in times.items()}
        ours = ms.pop("ours")
        ratios = {n: t / ours for n, t in ms.items()}
        self.line(*where, self.options.threads, f"{ours:.3f}",
                  [f"{ratios[n]:.2f} x" if n in ratios else "-" for n in self.columns])
        if others > BUSY:
            self.note(*where, text=f"other programs took {others:.0%} of the CPUs")
        self.rows.append({
            "suite": self.options.suite, "model": where[0], "format": where[1], "tokens": where[2],
            "threads": self.options.threads, "repeats": repeats, "median_ms": ours, "baselines": ratios,
            "busy_elsewhere": max(0.0, others),
            "least_ms": {n: 1e3 * min(t) for n, t in times.items()},
            "max_relative_difference": {n: worst[n] for n in ratios}})


def find_peers(options):
    """The versions of the peers that are installed, and why others are not used."""
    modules = list(MODULES)
    if options.module:
        if not options.module.is_file():
            raise Failure(f"{options.module}: no such file")
        sys.path.append(str(options.module.parent))
        modules.append(options.module.stem)
    peers = [p for m in modules for p in importlib.import_module(m).PEERS]
    wanted = [] if options.peers == ["none"] else options.peers
    for name in wanted or []:
        if name not in [p.name for p in peers]:
            raise Failure(f"there is no peer '{name}'; known: {', '.join(p.name for p in peers)}")
    found, missing = {}, {}
    for peer in peers:
        if wanted is None or peer.name in wanted:
            try:
                found[peer] = peer.version()
            except Unavailable as reason:
                missing[peer.name] = str(reason)
    for peer, version in found.items():
        print(f"{peer.name} {version}")
    for name, reason in missing.items():
        print(f"{name}: not used: {reason}")
    if wanted and missing and not options.list:
        raise Failure(f"asked for, but not to be had: {', '.join(missing)}")
    return found


def main(options):
    suite = layer.read_suite(options.suite)
    known = [m["name"] for m in suite["models"]]
    for name in options.model or []:
        if name not in known:
            raise Failure(f"suite '{options.suite}' has no model '{name}'; known: {', '.join(known)}")
    found = find_peers(options)
    if options.list:
        return 0

    benchmark = Benchmark(options, suite, list(found))
    report = open(options.json, "w") if options.json else None  # refused now, not in the end
    with tempfile.TemporaryDirectory() as folder:
        benchmark.run(folder)
    if report:
        machine = {"cpu": cpu(), "cpus": len(os.sched_getaffinity(0)), "memory_available_bytes": available_bytes()}
        with report:
            json.dump({"machine": machine, "peers": {p.name: v for p, v in found.items()}, "rows": benchmark.rows,
                       "notes": benchmark.notes}, report, indent=2)
    return 1 if benchmark.failed else 0


if __name__ == "__main__":
    options = parse()
    set_threads(options.threads)
    try:
        import numpy as np
    except ImportError:
        sys.exit("peers.py: error: this Python has no numpy; benchmarks/peers/README.md says what to install")
    import layer
    from layer import Failure
    from ours import Ours
    from peer import Unavailable
    try:
        sys.exit(main(options))
    except (Failure, OSError) as error:
        sys.exit(f"peers.py: error: {error}")
