"""usage: make_model.py ARTIFACT FILE: writes random tensors of an artifact's only layer."""
import sys
from pathlib import Path

import numpy as np

import moe_mlir
from moe_mlir import _safetensors

rng = np.random.default_rng(4)
_safetensors.write(Path(sys.argv[2]), [
    (a.name, "F32", a.shape, memoryview(rng.standard_normal(a.shape).astype(np.float32)).cast("B"))
    for a in moe_mlir.load(sys.argv[1]).model_tensors], {})
