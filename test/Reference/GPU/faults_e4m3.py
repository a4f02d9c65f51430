# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# RUN: %python %s %t
"""The faults of faults.py that only products in 8 bits can have: words that are copied one by
one, and scales."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "Inputs"))
from kernels import must
from layers import make_layer
from plant import RACE, STUCK, WRONG, plant, removed

folder, = sys.argv[1:]
ANY = r"%[\w#-]+"

# See faults.py.
FAULTS = [
]

os.makedirs(folder, exist_ok=True)
layer, stored = [os.path.join(folder, name) for name in ("layer.mlir", "stored.mlir")]
with open(layer, "w", encoding="utf-8") as file:
    file.write(make_layer(("fp8", "fp8<rows = 1, columns = 0>"), 256, 256))
must("moe-opt", "--moe-store-weights", layer, "-o", stored)
plant(FAULTS, stored, folder, options=("--activations=e4m3",), bound=E4M3_BOUND)
