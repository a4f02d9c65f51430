"""What the fuzzing scripts of this folder share: tensors in files, numbers as
MLIR reads them, running a program, and the loop over seeds that reports what
fails and how to repeat it."""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np

# Emulated AArch64 CPUs by a short name.
CPUS = {"a53": "cortex-a53", "a72": "cortex-a72", "a76": "cortex-a76", "n1": "neoverse-n1", "a64fx": "a64fx",
        "nosve": "max,sve=off", "sve128": "max,sve128=on,sve256=off,sve512=off",
        "sve256": "max,sve256=on,sve512=off", "sve512": "max,sve512=on"}
KINDS = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64,
         "BF16": np.uint16, "F16": np.float16}


class Failure(Exception):
    pass


def save(path, tensors):
    names = {np.dtype(v).name: k for k, v in KINDS.items()}
    header, data = {}, b""
    for key, a in tensors.items():
        raw = np.ascontiguousarray(a).tobytes()
        header[key] = {"dtype": names[a.dtype.name], "shape": list(a.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def load(path):
    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        data = f.read()
    header.pop("__metadata__", None)
    return {k: np.frombuffer(data[slice(*v["data_offsets"])], KINDS[v["dtype"]]).reshape(v["shape"]).copy()
            for k, v in header.items()}


def number(v):
    """A number as MLIR reads it, with the value of a float32."""
    text = repr(float(np.float32(v)))
    mantissa, exponent = (text.split("e") + [""])[:2]
    if "." not in mantissa:
        mantissa += ".0"
    return mantissa + ("e" + exponent if exponent else "")


def run(command, refusal=False, **environment):
    """Runs a program to its end, and returns its output. With `refusal`, an exit
    status of 1 with an error message is fine, too, and gives None."""
    result = subprocess.run(command, capture_output=True, text=True, errors="replace", env={**os.environ, **environment})
    text = result.stdout + result.stderr
    if result.returncode == 0:
        return text
    bad = [w for w in ("LLVM ERROR", " bug", "undefined symbol", "undefined reference", "Sanitizer") if w in text]
    if refusal and result.returncode == 1 and "error:" in text and not bad:
        return None
    shown = " ".join(f"{k}={v}" for k, v in environment.items()) + " " + " ".join(f"'{c}'" if " " in c or "*" in c else c for c in command)
    how = f"exit status {result.returncode}" if result.returncode > 0 else signal.Signals(-result.returncode).name
    raise Failure(f"{how} of\n  {shown.strip()}\n{text[-3000:]}")


class Fuzzer:
    """One run of a seed draws `--cases` cases that are checked together; when
    that fails, each of them alone."""

    def __init__(self, script, doc, cases):
        self.script = script
        self.parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
        add = self.parser.add_argument
        add("--seed", type=int, default=1)
        add("--runs", type=int, default=1)
        add("--seconds", type=float, default=1e9, help="no new run after so many")
        add("--case", type=int, help="this case only")
        add("--cases", type=int, default=cases)
        add("--levels", default="3,4,5", help="of x86-64, as MOE_X86_LEVEL has them")
        add("--emulators", default="", help=f"any of {','.join(CPUS)}, or all")
        add("--failures", type=int, default=3, help="stop after so many")
        add("--keep", default="fuzz-failures", help="folder for what fails")

    def parse(self):
        self.options = options = self.parser.parse_args()
        options.emulators = list(CPUS) if options.emulators == "all" else [e for e in options.emulators.split(",") if e]
        options.levels = [level for level in options.levels.split(",") if level]
        return options

    def again(self):
        """The options that a repetition needs, beside the seed and the case."""
        o = self.options
        return f" --levels={','.join(o.levels)}" + (f" --emulators={','.join(o.emulators)}" if o.emulators else "")

    def main(self, make, check, summary, alone=True):
        """`make(seed, index)` draws a case, `check(cases, folder)` raises a
        Failure. `summary()` is said in the end."""
        options, began, failed = self.options, time.time(), 0
        seed = options.seed
        for seed in range(options.seed, options.seed + options.runs):
            if time.time() - began > options.seconds:
                break
            cases = [make(seed, i) for i in ([options.case] if options.case is not None else range(options.cases))]
            print(f"seed {seed}: {len(cases)} cases", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                try:
                    check(cases, folder)
                    continue
                except Failure as error:
                    print(f"FAILED: {error}", flush=True)
                    failed += self.report(cases, folder, check, alone)
                    if failed >= options.failures:
                        break
        print(f"seeds {options.seed} to {seed}, {time.time() - began:.0f} s: {summary()}")
        if failed:
            sys.exit(f"{failed} failures")

    def report(self, cases, folder, check, alone):
        """Finds the cases that fail by themselves, and says how to repeat them."""
        options, found = self.options, 0
        script = f"{sys.executable} {self.script} --seed={cases[0].seed}"
        for c in cases if alone else []:
            where = os.path.join(options.keep, f"seed{c.seed}-case{c.index}")
            shutil.rmtree(where, ignore_errors=True)
            os.makedirs(where)
            try:
                check([c], where)
                shutil.rmtree(where)
            except Failure as error:
                found += 1
                print(f"FAILED case {c.index} alone: {error}\n  the IR is {where}; repeat by\n"
                      f"  {script} --case={c.index}{self.again()}", flush=True)
                if found >= options.failures:
                    break
        if not found:
            where = os.path.join(options.keep, f"seed{cases[0].seed}")
            shutil.rmtree(where, ignore_errors=True)
            shutil.copytree(folder, where)
            print(f"  only together: the IR is {where}; repeat by\n  {script} --cases={options.cases}{self.again()}", flush=True)
        return max(1, found)
