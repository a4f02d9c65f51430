"""Makes a small checkpoint of random numbers, as Hugging Face has them: a folder
with config.json and two shards with an index. The names and layouts are those
of Qwen3-MoE; whatever reads it reads a real one.

usage: make.py FOLDER [--seed=N]
"""

import json
import os
import struct
import sys

import numpy as np

LAYERS, HIDDEN, INNER, EXPERTS, CHOSEN = 2, 64, 32, 8, 2


def to_bf16(values):
    """The nearest bf16 of each f32, as 16 bits."""
    bits = values.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_safetensors(path, tensors):
    """`tensors`: name to f32 array; they are stored as bf16."""
    header, data = {}, b""
    for name, values in tensors.items():
        stored = to_bf16(values).tobytes()
        header[name] = {"dtype": "BF16", "shape": list(values.shape),
                        "data_offsets": [len(data), len(data) + len(stored)]}
        data += stored
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def main():
    arguments = sys.argv[1:]
    seed = next((int(a[7:]) for a in arguments if a.startswith("--seed=")), 1)
    folders = [a for a in arguments if not a.startswith("-")]
    if len(folders) != 1:
        sys.exit(__doc__)
    folder = folders[0]
    os.makedirs(folder, exist_ok=True)
    random = np.random.default_rng(seed)

    def matrix(rows, columns):
        return random.standard_normal((rows, columns)) / np.sqrt(columns)

    config = {
        "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe",
        "num_hidden_layers": LAYERS, "hidden_size": HIDDEN,
        "moe_intermediate_size": INNER, "num_local_experts": EXPERTS,
        "num_experts_per_tok": CHOSEN, "norm_topk_prob": True,
        "hidden_act": "silu", "dtype": "bfloat16"}
    with open(os.path.join(folder, "config.json"), "w") as file:
        json.dump(config, file, indent=1)

    places = {}
    for layer in range(LAYERS):
        prefix = f"model.layers.{layer}.mlp."
        tensors = {prefix + "gate.weight": matrix(EXPERTS, HIDDEN)}
        for e in range(EXPERTS):
            for name, shape in [("gate_proj", (INNER, HIDDEN)),
                                ("up_proj", (INNER, HIDDEN)),
                                ("down_proj", (HIDDEN, INNER))]:
                tensors[f"{prefix}experts.{e}.{name}.weight"] = matrix(*shape)
        shard = f"model-{layer + 1:05}-of-{LAYERS:05}.safetensors"
        write_safetensors(os.path.join(folder, shard), tensors)
        places.update(dict.fromkeys(tensors, shard))
    with open(os.path.join(folder, "model.safetensors.index.json"), "w") as file:
        json.dump({"metadata": {}, "weight_map": places}, file, indent=1)


main()
