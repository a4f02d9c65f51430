"""A checkpoint of one layer whose experts are zeros that take no room on the disk:
usage: make_sparse.py FOLDER EXPERTS SIZE."""
import json
import os
import struct
import sys

folder, experts, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
os.makedirs(folder)
config = {"model_type": "olmoe", "num_hidden_layers": 1, "hidden_size": size,
          "intermediate_size": size, "num_experts": experts,
          "num_experts_per_tok": 2, "hidden_act": "silu", "norm_topk_prob": False}
with open(folder + "/config.json", "w") as file:
    json.dump(config, file)
prefix = "model.layers.0.mlp."
shapes = {prefix + "gate.weight": [experts, size]}
for e in range(experts):
    for name in "gate", "up", "down":
        shapes["%sexperts.%d.%s_proj.weight" % (prefix, e, name)] = [size, size]
header, at = {}, 0
for name, shape in shapes.items():
    end = at + 4 * shape[0] * shape[1]
    header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
    at = end
text = json.dumps(header).encode()
with open(folder + "/model.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text)
    file.truncate(8 + len(text) + at)
