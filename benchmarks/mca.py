#!/usr/bin/env python3
# ===- mca.py - How well micro-kernels fill the multiply-add units ---------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""Static analysis of AArch64 micro-kernels by llvm-mca; nothing is run.

Of every function named moek_*_m<rows> in an assembly listing (moe-compile
--emit=asm), the innermost loop with the most multiply-adds goes through
llvm-mca, once for each core. Printed is the fraction of the port limit: the
cycles that the loop's multiply-adds would take at the rate that the same tool
gives for 24 independent ones, by the cycles that it gives for the loop.
"""

import argparse
import re
import subprocess
import sys

CORES = ["cortex-a76", "neoverse-n1", "neoverse-v1", "neoverse-v2"]
MULTIPLY_ADD = re.compile(r"^\s+(fmla|bfmmla)\s+(\S+)")


def kernels(lines):
    """(name, lines) of each micro-kernel."""
    name, body = None, []
    for line in lines:
        label = re.match(r"(\w+):", line)
        if label:
            if name:
                yield name, body
            found = re.fullmatch(r"moek_\w+_m\d+", label.group(1))
            name, body = (label.group(1) if found else None), []
        elif name:
            body.append(line)
    if name:
        yield name, body


def innermost_loops(body):
    """Code between a label and a branch back to it, without other labels."""
    start, at = None, None
    for i, line in enumerate(body):
        label = re.match(r"(\.L\w+):", line)
        if label:
            start, at = label.group(1), i + 1
            continue
        target = re.match(r"\s+(?:b|b\.\w+|cbn?z|tbn?z)\s.*?(\.L\w+)\s*(?://.*)?$",
                          line)
        if target and target.group(1) == start:
            yield [l for l in body[at:i + 1]
                   if re.match(r"\s+[a-z]", l)]


def count(loop):
    return sum(bool(MULTIPLY_ADD.match(line)) for line in loop)


def cycles(args, core, code):
    """Cycles of one iteration."""
    command = [args.mca, "-mtriple=aarch64", f"-mcpu={core}",
               f"-mattr={args.mattr}", f"-iterations={args.iterations}"]
    done = subprocess.run(command, input="\n".join(code) + "\n", text=True,
                          capture_output=True)
    total = re.search(r"Total Cycles:\s+(\d+)", done.stdout)
    if not total:
        sys.exit(f"{' '.join(command)}:\n{done.stderr}")
    return int(total.group(1)) / args.iterations


def peak(args, core, loop, known={}):
    """Cycles per multiply-add of the loop's kind, if all are independent."""
    mnemonic, operand = next(m for m in map(MULTIPLY_ADD.match, loop)
                             if m).groups()
    kind = (core, mnemonic, operand[0])
    if kind not in known:
        source = "8h" if mnemonic == "bfmmla" else "4s"
        if operand[0] == "z":
            code = [f"\t{mnemonic} z{i}.s, p0/m, z24.s, z25.s"
                    for i in range(24)]
        else:
            code = [f"\t{mnemonic} v{i}.4s, v24.{source}, v25.{source}"
                    for i in range(24)]
        known[kind] = cycles(args, core, code) / 24
    return known[kind]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("listing", nargs="+", help="assembly file")
    parser.add_argument("--mca", default="llvm-mca")
    parser.add_argument("--mcpu", default=",".join(CORES),
                        help="cores, separated by commas")
    parser.add_argument("--mattr", default="+sve,+bf16",
                        help="features that the cores' names leave out")
    parser.add_argument("--iterations", type=int, default=200)
    parser.add_argument("--rows", help="only these, separated by commas")
    parser.add_argument("--at-least", type=float, metavar="FRACTION",
                        help="fail if the best tile of a listing is below, on "
                        "any of the cores")
    args = parser.parse_args()
    cores = args.mcpu.split(",")
    rows = args.rows and args.rows.split(",")

    low = []
    width = 40
    print(f"{'kernel':{width}}" + "".join(f"{c:>14}" for c in cores))
    for listing in args.listing:
        best = dict.fromkeys(cores, 0.0)
        with open(listing) as file:
            found = list(kernels(file.read().splitlines()))
        if not found:
            sys.exit(f"{listing}: no micro-kernel")
        for name, body in found:
            if rows and name.rsplit("_m")[-1] not in rows:
                continue
            loop = max(innermost_loops(body), key=count, default=[])
            if not count(loop):
                sys.exit(f"{listing}: no loop with multiply-adds in {name}")
            line = f"{name:{width}}"
            for core in cores:
                fraction = (count(loop) * peak(args, core, loop)
                            / cycles(args, core, loop))
                best[core] = max(best[core], fraction)
                line += f"{fraction:14.2f}"
            print(line)
        low += [f"{listing}: at best {best[core]:.2f} on {core}"
                for core in cores
                if args.at_least and best[core] < args.at_least]
    sys.exit("\n".join(low) or 0)


if __name__ == "__main__":
    main()
