#===- prove_targets.py - One router, all targets --------------------------===#
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#===----------------------------------------------------------------------===#
"""prove_targets.py OUTPUT INPUT --function=REGEX [--allow=REGEX] [compile options]
-- TARGET...

Compiles INPUT for each target, to IR and to the object that ships, and proves
of the functions that match that no branch depends on data. Fails unless all
are proved."""

import subprocess
import sys


def main():
    output, source = sys.argv[1:3]
    split = sys.argv.index("--")
    options, targets = sys.argv[3:split], sys.argv[split + 1:]
    check = [o for o in options if o.startswith(("--function=", "--allow="))]
    options = [o for o in options if o not in check]
    failed = 0
    for target in targets:
        base = "%s.%s" % (output, target)
        compiler = ["moe-compile", source, "--target=" + target] + options
        subprocess.run(compiler + ["--emit=llvm-ir", "-o", base + ".ll"], check=True)
        subprocess.run(compiler + ["--emit=obj", "-o", base], check=True)
        print("== " + target, flush=True)
        failed |= subprocess.run(["moe-branch-check", base + ".ll",
                                  "--object=" + base + ".o"] + check).returncode
    return failed


sys.exit(main())
