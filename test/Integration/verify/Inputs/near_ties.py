"""Writes router weights whose first four rows differ in their last bits, with
`same` weights of experts that are all the same, or with `tokens` tokens that
differ ten by ten in their last bits."""

import json
import sys

import numpy as np

rng = np.random.default_rng(3)
if sys.argv[2:] == ["same"]:
    tensors = {name: np.repeat(rng.uniform(-0.2, 0.2, (1, *shape)), 8, axis=0)
               for name, shape in (("gate_proj", (24, 64)), ("up_proj", (24, 64)), ("down_proj", (64, 24)))}
elif sys.argv[2:] == ["tokens"]:
    rows = np.repeat(rng.standard_normal((30, 64)), 10, axis=0).astype(np.float32)
    tensors = {"x": rows * (1 + np.float32(2**-23) * rng.integers(-1, 2, rows.shape).astype(np.float32))}
else:
    rows = rng.uniform(-0.4, 0.4, (8, 64)).astype(np.float32)
    for i in range(4):
        rows[i] = rows[0] * (1 + np.float32(2**-23) * rng.integers(-1, 2, 64).astype(np.float32))
    tensors = {"router.weight": rows}
header, data = {}, b""
for name, values in tensors.items():
    values = values.astype(np.float32)
    header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
    data += values.tobytes()
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
with open(sys.argv[1], "wb") as out:
    out.write(len(text).to_bytes(8, "little") + text + data)
