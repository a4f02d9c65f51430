#!/usr/bin/env python3
# ===- gpu.py - Layers on NVIDIA's GPUs: right, and how fast ---------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Whether our layers for NVIDIA's GPUs are right, and how fast they are beside other
implementations. README.md beside this file says what is measured."""

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import artifact
from report import Failure, Report, is_wrong, table

HERE = Path(__file__).resolve().parent
TOKENS = {"check": "1,3,17,129,700", "speed": "1,4,16,64,512,4096,16384"}
STAGES = ("check", "speed", "sanitize")
# And the modules that have them.
PEERS = {"grouped_mm": "with_torch", "dense": "with_torch", "triton": "with_triton", "bf16": "with_ours"}
ROUTINGS = ("random", "zipf")
TOOLS = ("memcheck", "racecheck", "synccheck")
# Seconds for one job, and for a process to start.
JOB_SECONDS = {"check": 60, "speed": 150, "sanitize": 120}
START_SECONDS = 120
DEATHS = 2  # of processes one after the other: then something is wrong with all of it
SANITIZED = "small"  # the model: every access is looked at
SANITIZER_FOUND = 9
UNFINISHED = 3


def parse():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument

    def words(text):
        return [w for w in text.split(",") if w]

    def counts(text):
        return [int(w) for w in words(text)]

    add("folder", type=Path, nargs="?", help="of artifacts, as make.sh makes it")
    add("--stage", choices=STAGES, required=True)
    add("--models", type=words, help="default: all that the folder has")
    add("--tokens", type=counts, help="default: " + "; ".join(f"{t} to {s}" for s, t in TOKENS.items()))
    add("--peers", type=words, default=list(PEERS), help=f"default: {','.join(PEERS)}")
    add("--routing", choices=ROUTINGS, default="random", help="of what is timed (default: random)")
    add("--tools", type=words, default=list(TOOLS), help=f"of compute-sanitizer (default: {','.join(TOOLS)})")
    add("--json", help="a report, written after every row")
    add("--resume", action="store_true", help="go on with that report: leave out what it has of these artifacts")
    add("--show", action="store_true", help="only print what the report has of the stage")
    add("--seconds", type=float, default=400, help="start nothing after that, and end with 3 (default: 400)")
    return parser.parse_args()


class Limit:
    def __init__(self, seconds):
        self.end = time.monotonic() + seconds

    def left(self):
        return self.end - time.monotonic()


def end_group(process):
    """With what it started: compute-sanitizer starts the program it looks at."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            pass  # it waits for the device; we do not


class Worker:
    """A process that runs jobs, and what it says of them."""

    def __init__(self, folder, jobs):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, HERE / "worker.py", folder, json.dumps(jobs)], stdout=subprocess.PIPE, stderr=self.log,
            text=True, start_new_session=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.listen, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_group(self.process)
        self.log.close()

    def listen(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put("")

    def next(self, seconds):
        """What it says next, or {"failed": why, "lost": true}."""
        try:
            line = self.lines.get(timeout=max(seconds, 0.1))
            if line:
                return json.loads(line)
            reason = f"the process ended with {self.process.wait()}"
        except queue.Empty:
            reason = f"nothing for {seconds:.0f} s"
        except ValueError:
            reason = f"not an answer: {line[:80]!r}"
        self.log.seek(0)
        print(*self.log.read().splitlines()[-15:], sep="\n", file=sys.stderr, flush=True)
        return {"failed": reason, "lost": True}


def progress(row):
    if row["stage"] == "sanitize":
        print(table("sanitize", [row]), file=sys.stderr, flush=True)
        return
    what = row.get("failed") or ("wrong" if is_wrong(row) else "done")
    print(f"{row['stage']} {row['model']} {row['tokens']}: {what}", file=sys.stderr, flush=True)


def run_jobs(folder, jobs, report, limit):
    """Rows of these jobs, pairs of a row's beginning and the worker's job; False if
    the time was up before the last."""
    deaths = 0
    while jobs and deaths < DEATHS:
        if limit.left() < 10:
            return False
        with Worker(folder, [job for _, job in jobs]) as worker:
            started = worker.next(min(START_SECONDS, limit.left()))
            if "lost" in started:
                raise Failure(f"nothing runs on the device: {started['failed']}")
            while jobs:
                row, _ = jobs[0]
                began, seconds = time.monotonic(), min(JOB_SECONDS[row["stage"]], limit.left())
                answer = worker.next(seconds)
                if "lost" in answer and limit.left() <= 0:
                    return False
                row = {**row, **answer, **started, "seconds": round(time.monotonic() - began, 1)}
                report.add(row)
                progress(row)
                jobs = jobs[1:]
                if "lost" in answer:
                    deaths += 1
                    break
                deaths = 0
                if limit.left() <= 0:
                    return not jobs
    if jobs:
        raise Failure(f"{DEATHS} jobs in a row took their process with them; {len(jobs)} are left")
    return True


def chosen_models(options):
    found = artifact.models(options.folder)
    for name in options.models or []:
        if name not in found:
            raise Failure(f"{options.folder} has no '{name}', which would be {name}.so and {name}.json")
        artifact.read(options.folder, name)
    if options.models:
        return options.models
    chosen = []
    for name in found:
        try:
            artifact.read(options.folder, name)
            chosen += [name] if options.stage == "check" or name != SANITIZED else []
        except Failure as error:
            print(f"gpu.py: left out: {error}", file=sys.stderr)
    if not chosen:
        raise Failure(f"{options.folder} has no models; make.sh makes folders that have all")
    return chosen


def wanted_rows(options, card):
    """How the rows of a stage begin, and the worker's job for each."""
    stage, extra, wanted = options.stage, {}, []
    if stage == "speed":
        extra = {"peers": {name: PEERS[name] for name in options.peers}, "routing": options.routing}
        wanted.append(({"stage": stage, "card": card, "artifact": None, "model": "memory", "tokens": 0},
                       {"stage": stage, "model": "memory", "tokens": 0}))
    for model in options.models:
        for tokens in options.tokens or [int(t) for t in TOKENS[stage].split(",")]:
            row = {"stage": stage, "card": card, "artifact": artifact.digest(options.folder, model), "model": model,
                   "tokens": tokens}
            if stage == "speed":
                row["routing"] = options.routing
            wanted.append((row, {"stage": stage, "model": model, "tokens": tokens, **extra}))
    return wanted


def run_stage(options, card, report, limit):
    """On the device by worker.py: whether it came to the end, and the rows."""
    wanted = wanted_rows(options, card)
    try:
        finished = run_jobs(options.folder, [w for w in wanted if not report.done(w[0])], report, limit)
    except Failure as error:
        print(f"gpu.py: error: {error}", file=sys.stderr)
        finished = False
    return finished, [row for row, _ in wanted]


def sanitize_once(tool, folder, seconds):
    """What a tool of compute-sanitizer says of sanitize.py."""
    command = [shutil.which("compute-sanitizer") or "/usr/local/cuda/bin/compute-sanitizer", "--tool", tool,
               "--error-exitcode", str(SANITIZER_FOUND), sys.executable, str(HERE / "sanitize.py"), str(folder)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   start_new_session=True)
    except OSError as error:
        return {"failed": f"compute-sanitizer does not start: {error}"}
    try:
        output, _ = process.communicate(timeout=max(seconds, 1))
    except subprocess.TimeoutExpired:
        end_group(process)
        return {"failed": f"not done after {seconds:.0f} s"}
    lines = [line for line in (line.removeprefix("=========").strip() for line in output.splitlines()) if line]
    summary = next((line for line in reversed(lines) if "SUMMARY" in line), "")
    right, wrong = (sum(word in line for line in lines) for word in (": right,", ": WRONG,"))
    found = process.returncode == SANITIZER_FOUND or wrong
    if "Device not supported" in output or not summary or not found and (process.returncode or not right):
        return {"failed": f"ended with {process.returncode}: {' | '.join(lines[-4:])[:300]}", "output": lines[-200:]}
    problems = [line for line in lines if ": right," not in line and line not in ("COMPUTE-SANITIZER", summary)]
    return {"summary": f"{summary}; of {right + wrong} layers {right} right", "wrong": problems[:40] if found else [],
            "output": lines[:200]}


def run_sanitizer(options, card, report, limit):
    """The same, by compute-sanitizer."""
    wanted, finished = [], True
    for tool in options.tools:
        row = {"stage": "sanitize", "card": card, "artifact": artifact.digest(options.folder, SANITIZED),
               "model": SANITIZED, "tool": tool}
        wanted.append(row)
        if report.done(row):
            continue
        if limit.left() < 10:
            finished = False
            continue
        row = {**row, **sanitize_once(tool, options.folder, min(JOB_SECONDS["sanitize"], limit.left()))}
        report.add(row)
        progress(row)
    return finished, wanted


def check_options(options):
    """What is wrong with them, before there is a device."""
    if options.show:
        return
    if not options.folder:
        raise Failure("a folder of artifacts is needed")
    for known, names in ((PEERS, options.peers), (TOOLS, options.tools)):
        for name in names:
            if name not in known:
                raise Failure(f"there is no '{name}'; known: {', '.join(known)}")
    if options.stage == "sanitize":
        options.models = [SANITIZED]
    options.models = chosen_models(options)


def main(options):
    check_options(options)
    report = Report(options.json, options.resume or options.show)
    if options.show:
        print(table(options.stage, [row for row in report.rows if row["stage"] == options.stage]))
        return 0
    card = artifact.card()
    limit = Limit(options.seconds)
    run = run_sanitizer if options.stage == "sanitize" else run_stage
    finished, wanted = run(options, card, report, limit)
    rows = [row for row in map(report.find, wanted) if row]
    print(table(options.stage, rows), flush=True)
    if not finished:
        print(f"{len(wanted) - len(rows)} of {len(wanted)} rows are left: run it again with --resume", flush=True)
    return 1 if any(map(is_wrong, rows)) else 0 if finished else UNFINISHED


if __name__ == "__main__":
    try:
        sys.exit(main(parse()))
    except (Failure, artifact.DeviceError, OSError) as error:
        sys.exit(f"gpu.py: error: {error}")
