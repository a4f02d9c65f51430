"""Lowers the micro-kernels of kernel IR for one CPU to LLVM IR.

usage: kernels.py kernels.mlir CPU [keep-layout] > kernels.ll
"""

import os
import subprocess
import sys

extract = os.path.join(os.path.dirname(__file__), "..", "..", "Inputs", "extract_kernels.py")
source, cpu, *options = sys.argv[1:]
lower = """--convert-moek-to-vector --lower-affine --convert-scf-to-cf --convert-vector-to-llvm
    --expand-strided-metadata --finalize-memref-to-llvm --convert-math-to-llvm --convert-arith-to-llvm
    --convert-index-to-llvm --convert-func-to-llvm --convert-cf-to-llvm --reconcile-unrealized-casts""".split()
text = None
for command in [
    ["moe-opt", source, f"--moe-set-target=chip={cpu}", "=".join(["--moek-select-schedule", *options]), "--moek-hoist-packing",
     "--one-shot-bufferize=bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map",
     "--convert-moek-to-vector"],
    [sys.executable, extract],
    ["moe-opt", *lower],
    ["mlir-translate", "--mlir-to-llvmir"],
]:
    text = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout
sys.stdout.write(text)
