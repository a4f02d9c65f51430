"""Tools that write files, killed at random moments and on full disks.

usage: fuzz_files.py [--seed=S] [--runs=N] [--seconds=S] [--tools=compile,...]
                     [--keep=DIR] [--plant]

For each tool there are two inputs with different outputs. The first one's output
is there when the tool starts to write the second one's:

- killed (SIGKILL) at a random moment, every file is the old or the new one, byte
  for byte: nothing is cut off, nothing that was there is lost;
- with no room for more than N bytes in a file, or in the folder (a small tmpfs,
  where one can be mounted), the tool fails with a message, every file is the old
  one, and nothing else is left in the folder.

--plant runs a tool that writes in place: the script has to fail.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time

from fuzzlib import Failure, Fuzzer, run, save

import numpy as np

LAYER = """func.func @layer(%x: tensor<?x8xf32> {{moe.name = "x", moe.dims = ["T"]}}, %z: tensor<?x4xf32> {{moe.name = "z", moe.dims = ["T"]}},
    %u: tensor<4x{i}x8xf32> {{moe.name = "u"}}, %d: tensor<4x8x{i}xf32> {{moe.name = "d"}}) -> (tensor<?x8xf32> {{moe.name = "y", moe.dims = ["T"]}}) {{
  %r = moe.router #moe.top_k<2> select(%z) weigh(%z) : tensor<?x4xf32> -> !moe.routing<4 x 2>
  %rows = moe.dispatch %x by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  %out = moe.expert %rows by %r : (tensor<?x8xf32>, !moe.routing<4 x 2>) -> tensor<?x8xf32>
  experts 0 to 4 weights(%u, %d : tensor<4x{i}x8xf32>, tensor<4x8x{i}xf32>) {{
  ^bb0(%t: tensor<?x8xf32>, %up: tensor<{i}x8xf32>, %down: tensor<8x{i}xf32>):
    %f = moe.ffn %t up(%up) down(%down) activation(#moe.relu) : (tensor<?x8xf32>, tensor<{i}x8xf32>, tensor<8x{i}xf32>) -> tensor<?x8xf32>
    moe.yield %f : tensor<?x8xf32>
  }}
  %y = moe.combine %out by %r : tensor<?x8xf32>, !moe.routing<4 x 2> -> tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}}
"""
CONFIG = """{{"model_type": "mixtral", "num_hidden_layers": 2, "hidden_size": 16, "intermediate_size": {i}, "num_local_experts": 4,
  "num_experts_per_tok": 2, "hidden_act": "silu", "vocab_size": 8}}"""


class Inputs:
    """Two of everything that tools read, made once."""

    def __init__(self, folder):
        self.folder = folder
        for n, i in enumerate((16, 24)):
            with open(self.at(f"layer{n}.mlir"), "w") as f:
                f.write(LAYER.format(i=i))
            with open(self.at(f"config{n}.json"), "w") as f:
                f.write(CONFIG.format(i=i))
            run(["moe-compile", self.at(f"layer{n}.mlir"), "-o", self.at(f"made{n}"), "--emit=shared,manifest", "--target=x86-64-v3"])
            save(self.at(f"in{n}.safetensors"), {"x": np.full((3, 8), n, np.float32), "z": np.ones((3, 4), np.float32)})

    def at(self, name):
        return os.path.join(self.folder, name)

    def command(self, tool, n, out):
        at, o = self.at, lambda name: os.path.join(out, name)
        return {
            "compile": ["moe-compile", at(f"layer{n}.mlir"), "-o", o("layer"), "--target=x86-64-v3"],
            "asm": ["moe-compile", at(f"layer{n}.mlir"), "-o", o("layer.s"), "--emit=asm", "--target=x86-64-v3"],
            "stage": ["moe-compile", at(f"layer{n}.mlir"), "-o", o("fused.mlir"), "--compile-to=fused"],
            "opt": ["moe-opt", at(f"layer{n}.mlir"), "-o", o("opt.mlir"), "--moe-fusion-pipeline"],
            "import": ["moe-import", at(f"config{n}.json"), "-o", o("model.mlir")],
            "pack": ["moe-pack", at(f"made{n}.json"), "--random=1", "-o", o("packed.safetensors")],
            "run": ["moe-run", at(f"made{n}.json"), f"--inputs={at(f'in{n}.safetensors')}", "--random=1", "--threads=1", "-o", o("y.safetensors")],
            "report": ["moe-run", at(f"made{n}.json"), f"--inputs={at(f'in{n}.safetensors')}", "--random=1", "--threads=1", "--routing-report=" + o("report.html")],
            "interpret": ["moe-interpret", at(f"layer{n}.mlir"), f"--inputs={at(f'in{n}.safetensors')}", "--random=1", "-o", o("y.safetensors")],
            "plant": [sys.executable, "-c", f"import time\nwith open({o('y')!r}, 'w') as f:\n"
                      f"  for i in range(100): f.write('{n}' * 1000); f.flush(); time.sleep(0.002)"],
        }[tool]


TOOLS = ["compile", "asm", "stage", "opt", "import", "pack", "run", "report", "interpret"]


def contents(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), "rb") as f:
            found[name] = f.read()
    return found


class Tool:
    """A tool with what it writes, and how long it takes."""

    def __init__(self, inputs, name, folder):
        self.inputs, self.name = inputs, name
        self.out = os.path.join(folder, name)
        self.versions = []
        for n in (0, 1):
            shutil.rmtree(self.out, ignore_errors=True)
            os.makedirs(self.out)
            began = time.time()
            run(inputs.command(name, n, self.out))
            self.seconds = time.time() - began
            self.versions.append(contents(self.out))
        if self.versions[0] == self.versions[1]:
            raise Failure(f"{name}: both inputs give the same files")

    def restore(self):
        shutil.rmtree(self.out, ignore_errors=True)
        os.makedirs(self.out)
        for name, data in self.versions[0].items():
            with open(os.path.join(self.out, name), "wb") as f:
                f.write(data)

    def look(self, how, allowed, strict):
        found = contents(self.out)
        for name in self.versions[0]:
            if name not in found:
                raise Failure(f"{self.name}, {how}: {name} is gone")
            if found[name] not in [v.get(name) for v in allowed]:
                raise Failure(f"{self.name}, {how}: {name} of {len(found[name])} bytes is neither the old file nor the new one")
        extra = set(found) - set(self.versions[0]) - set(self.versions[1])
        if strict and extra:
            raise Failure(f"{self.name}, {how}: {', '.join(sorted(extra))} left behind")

    def killed(self, after):
        self.restore()
        process = subprocess.Popen(self.inputs.command(self.name, 1, self.out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(after)
        process.kill()
        process.wait()
        self.look(f"killed after {after:.4f} s", self.versions, strict=False)

    def full(self, limit):
        """No file may be longer than `limit`."""
        self.restore()

        def restrict():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        result = subprocess.run(self.inputs.command(self.name, 1, self.out), capture_output=True, text=True, preexec_fn=restrict)
        self.failed(result, f"with files of {limit} bytes at most")

    def failed(self, result, how):
        text = result.stdout + result.stderr
        if result.returncode == 0:
            self.look(how + ", successful", self.versions[1:], strict=True)
            return
        if result.returncode < 0 or "LLVM ERROR" in text or not text.strip():
            raise Failure(f"{self.name}, {how}: exit status {result.returncode}\n{text[-1000:]}")
        self.look(how, self.versions[:1], strict=True)

    def small(self, kilobytes):
        """A file system with so little room left."""
        self.restore()
        size = sum((len(d) + 4095) // 4096 * 4 for d in self.versions[0].values()) + kilobytes
        command = self.inputs.command(self.name, 1, self.out)
        script = ('set -e; old="$1"; out="$2"; shift 2; cp -r "$out" "$old"; mount -t tmpfs -o size="$SIZE"k none "$out"; cp "$old"/* "$out"; '
                  'status=0; "$@" || status=$?; rm -rf "$old"; cp -r "$out" "$old"; exit $status')
        copy = self.out + ".copy"
        shutil.rmtree(copy, ignore_errors=True)
        result = subprocess.run(["unshare", "-rm", "sh", "-c", script, "sh", copy, self.out, *command], capture_output=True, text=True,
                                env={**os.environ, "SIZE": str(size)})
        shutil.rmtree(self.out)
        os.rename(copy, self.out)
        self.failed(result, f"on a file system with {kilobytes} KiB left")


def can_mount():
    try:
        return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True).returncode == 0
    except OSError:
        return False


class Case:
    def __init__(self, seed, index):
        self.seed, self.index = seed, index


class Checker:
    def __init__(self, options):
        self.options, self.tools, self.kills, self.fulls, self.smalls = options, {}, 0, 0, 0
        self.mounts = can_mount()

    def check(self, cases, folder):
        inputs = None
        for c in cases:
            draw = random.Random(f"{c.seed} {c.index}")
            name = self.options.tools[c.index % len(self.options.tools)]
            if inputs is None:
                inputs = Inputs(folder)
            tool = Tool(inputs, name, folder)
            largest = max(len(d) for d in tool.versions[1].values())
            for i in range(self.options.tries):
                tool.killed(draw.random() * tool.seconds * 1.1)
                # Only the end has no room: GNU's linker does not notice.
                tool.full(largest - 1 if i == 0 else draw.choice([0, 1, 4096, draw.randrange(largest)]))
                self.kills, self.fulls = self.kills + 1, self.fulls + 1
                if self.mounts:
                    tool.small(draw.choice([0, 4, 4 * draw.randrange(1 + largest // 4096)]))
                    self.smalls += 1


def main():
    fuzzer = Fuzzer(__file__, __doc__, cases=len(TOOLS))
    add = fuzzer.parser.add_argument
    add("--tools", default=",".join(TOOLS))
    add("--tries", type=int, default=3, help="of each tool and kind in a run")
    add("--plant", action="store_true")
    options = fuzzer.parse()
    options.tools = ["plant"] if options.plant else options.tools.split(",")
    checker = Checker(options)
    fuzzer.again = lambda: f" --tools={','.join(options.tools)} --tries={options.tries}"
    if options.plant:
        options.cases = 1
        fuzzer.again = lambda: " --plant"
    elif len(options.tools) < len(TOOLS):
        options.cases = len(options.tools)
    fuzzer.main(Case, checker.check, lambda: f"{checker.kills} killed, {checker.fulls} with short files, {checker.smalls} on small file systems")
    print("all equal")


if __name__ == "__main__":
    main()
