# Raises a text, and compares what the result computes with NumPy's.

import os
import subprocess

from safetensors_file import save


class Checker:
    def __init__(self, folder):
        os.makedirs(folder, exist_ok=True)
        self.folder = folder
        self.failures = 0

    def run(self, *command):
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if result.returncode:
            self.failures += 1
            print("FAILED:", *command)
            print(result.stdout[-2000:])
        return result.stdout

    def fail(self, *text):
        self.failures += 1
        print(*text)

    def check(self, name, text, inputs, y, said, found=(), absent=(), compile=False):
        """`text` says `said` when it is raised, its result has all of `found`
        and nothing of `absent`, and computes `y` of `inputs`."""
        path = lambda end: os.path.join(self.folder, name + end)
        with open(path(".mlir"), "w") as file:
            file.write(text)
        explained = self.run("moe-raise", "--explain", "--check=1", path(".mlir"), "-o", path(".out.mlir"))
        if said not in explained:
            self.fail("%s: %r is not in %r" % (name, said, explained))
            return
        result = open(path(".out.mlir")).read()
        wrong = [part for part in found if part not in result] + [part for part in absent if part in result]
        if wrong:
            self.fail("%s: %s in or not in %s" % (name, wrong, result))
        save(path(".in.safetensors"), inputs)
        save(path(".expected.safetensors"), {"y": y})
        self.run("moe-interpret", path(".out.mlir"), "--inputs=" + path(".in.safetensors"),
                 "--expect=" + path(".expected.safetensors"), "--tolerance=3e-6")
        if compile:
            self.run("moe-compile", path(".out.mlir"), "-o", path(".artifact"))
            self.run("moe-run", path(".artifact.json"), "--model=" + path(".out.mlir"), "--random=3",
                     "--verify", *(["--tokens=9"] if "moe.dims" in text else []))
