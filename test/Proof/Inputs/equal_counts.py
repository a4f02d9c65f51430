#===- equal_counts.py - The same number of instructions -------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#===----------------------------------------------------------------------===//
"""equal_counts.py [--cases=A,B] COMMAND...: runs a command once per case, the
case appended, and compares the numbers that it writes as `instructions N`.
Fails with 1 if two of them differ, with 2 if something else is wrong."""

import re
import subprocess
import sys

CASES = ["none", "one", "half", "all", "ties", "taken-ties", "nan", "infinite",
         "denormal", "mixed"]


def main():
    command, cases = sys.argv[1:], CASES
    if command[0].startswith("--cases="):
        cases = command.pop(0)[len("--cases="):].split(",")
    counts = {}
    for case in cases:
        run = subprocess.run(command + [case], stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, timeout=300)
        found = re.search(r"^instructions (\d+)", run.stdout, re.MULTILINE)
        if run.returncode != 0 or not found:
            print(run.stdout, end="")
            print("%s: failed with %d" % (case, run.returncode))
            return 2
        counts[case] = int(found.group(1))
    for case, count in counts.items():
        print("%-12s %d" % (case, count))
    if min(counts.values()) == 0:
        print("nothing was counted")
        return 2
    if len(set(counts.values())) > 1:
        print("different: the instructions depend on data")
        return 1
    print("equal")
    return 0


sys.exit(main())
