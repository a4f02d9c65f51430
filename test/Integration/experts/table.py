# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: python-numpy
# RUN: moe-compile %examples/table_experts.mlir -o %t
# RUN: %python %s %t.so %t.folder %examples/table_experts.mlir | FileCheck %s
# CHECK: verify value: 200 tokens, largest error 0 of 0 allowed: PASS
"""Functions on tables in 64 bits: numbers that no float holds, empty masks, keys that
are not there and columns that do not exist."""
import os
import subprocess
import sys

import numpy as np

artifact, folder, model = sys.argv[1:]
random = np.random.default_rng(3)
tokens = 200
cells = random.integers(-2**55, 2**55, (tokens, 16, 4))
cells[:, :, 0] = random.integers(0, 12, (tokens, 16))  # keys, some of them twice
mask = random.integers(0, 2, (tokens, 16))
mask[::17] = 0
asked = random.integers(0, 4, (tokens, 2))
asked[5::29, 0], asked[7::31, 1] = 99, -3
key = random.integers(0, 14, tokens)
table = np.concatenate([cells.reshape(tokens, 64), mask, asked, key[:, None]], axis=1).astype(np.int64)
weights, question = np.zeros((5, 32), np.float32), np.zeros((tokens, 32), np.float32)
weights[:, :5] = np.eye(5)
experts = random.integers(0, 5, tokens)
question[np.arange(tokens), experts] = 1

os.makedirs(folder, exist_ok=True)
inputs = []
for name, value in (("question", question), ("table", table), ("router.weight", weights)):
    path = os.path.join(folder, name + ".npy")
    np.save(path, value)
    inputs.append("--inputs=" + path)
subprocess.run(["moe-run", artifact, *inputs, "--model=" + model, "--verify", "-o", folder + "/out"], check=True)
values = np.load(folder + "/out/value.npy")

seen = set()
for t in range(tokens):
    a, b = (min(max(int(c), 0), 3) for c in asked[t])
    rows = [[int(v) for v in row] for row, m in zip(cells[t], mask[t]) if m]
    sums = [sum(row[c] for row in rows) for c in (a, b)]
    found = [row for row in rows if row[0] == key[t]]
    expected = [(len(rows), 1), (sums[0], 1), (sums[0], len(rows)), (int(sums[0] < sums[1]), 1),
                (found[0][a] if found else -1, 1)][experts[t]]
    assert tuple(int(v) for v in values[t]) == expected, (t, experts[t], values[t], expected)
    seen.add((int(experts[t]), bool(rows), bool(found)))
assert len(seen) > 10, seen
