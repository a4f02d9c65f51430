"""Random functions with whole layers through random passes, against the interpreter.

usage: fuzz_pipelines.py [--seed=S] [--runs=N] [--cases=40] [--seconds=S] [--keep=DIR]
                         [--program=moe-fuzz-pipelines] [--plant]

A run draws --cases functions as fuzz_layers.py does: one to three layers, ranges of
experts with bodies of up to three products, norms and trees of arithmetic, FFNs,
identities and scales, ordinary IR around. One process of moe-fuzz-pipelines takes
them all, each through passes of its own: some that keep the meaning of model IR,
behind which the interpreter has to give the same, and some of kernels. --plant makes
it compare with something else: the script has to fail.

--program may be of a build with sanitizers; ASAN_OPTIONS=detect_container_overflow=0
where MLIR is not one.
"""

import os

from fuzz_layers import Case
from fuzzlib import Failure, Fuzzer, run


class Checker:
    def __init__(self, options):
        self.options = options
        self.functions = self.passes = 0

    def check(self, cases, folder):
        path = os.path.join(folder, "functions.mlir")
        with open(path, "w") as f:
            for c in cases:
                f.write(c.text.replace("@layer(", f"@layer_{c.index}("))
        tokens = 1 + cases[0].seed % 7
        text = run([self.options.program, path, f"--seed={cases[0].seed}", f"--tokens={tokens}",
                    *(["--plant"] if self.options.plant else [])])
        words = text.split()
        self.functions += int(words[words.index("functions,") - 1])
        self.passes += int(words[words.index("passes,") - 1])
        if self.functions == 0:
            raise Failure("nothing ran")


def main():
    fuzzer = Fuzzer(__file__, __doc__, cases=40)
    fuzzer.parser.add_argument("--program", default="moe-fuzz-pipelines")
    fuzzer.parser.add_argument("--plant", action="store_true")
    options = fuzzer.parse()
    Case.bodies = ["tree"] * 4 + ["ffn"] * 4 + ["matmul", "scale", "identity"]
    checker = Checker(options)
    fuzzer.main(Case, checker.check, lambda: f"{checker.functions} functions, {checker.passes} passes", alone=False)
    print("all equal")


if __name__ == "__main__":
    main()
