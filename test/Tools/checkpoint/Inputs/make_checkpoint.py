"""Writes a tiny model as others publish it, from a seed, and what it should
give, byte by byte and without the project. Needs no NumPy.

usage: make_checkpoint.py FOLDER

  hf/             config.json and three shards with an index; layer 0 has a tensor
                  for each expert, layer 1 stacked and transposed ones, with gate
                  and up in turns
  m.gguf          layer 0 in q8_0, layer 1 in q4_0
  plain.safetensors, plain-gguf-N.safetensors
                  the same weights by the names that they have in the IR
  x.safetensors   rows
  y-hf-N.safetensors, y-gguf-N.safetensors
                  what layer N makes of them, in float64
"""
import json
import math
import os
import random
import struct
import sys

EXPERTS, HIDDEN, INNER, SLOTS, TOKENS = 4, 64, 32, 2, 5


def write_safetensors(path, tensors):
    """`tensors` maps names to (type, shape, bytes)."""
    header, data = {}, b""
    for name, (kind, shape, raw) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def write_gguf(path, pairs, tensors):
    """`tensors` holds (name, shape in elements, type, bytes)."""
    head, infos, data = b"", b"", b""
    for key, value in pairs.items():
        head += text(key)
        if isinstance(value, str):
            head += struct.pack("<I", 8) + text(value)
        else:
            head += struct.pack("<II", 4, value)
    for name, shape, kind, raw in tensors:
        data += bytes(-len(data) % 32)
        infos += text(name) + struct.pack("<I", len(shape))
        for size in reversed(shape):
            infos += struct.pack("<Q", size)
        infos += struct.pack("<IQ", kind, len(data))
        data += raw
    head = (b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + head +
            infos)
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % 32) + data)


def floats(values):
    return struct.pack("<%df" % len(values), *values)


def bf16(values):
    """The bits of values that bf16 has."""
    raw = floats(values)
    assert all(raw[i] == raw[i + 1] == 0 for i in range(0, len(raw), 4))
    return b"".join(raw[i + 2:i + 4] for i in range(0, len(raw), 4))


def random_bf16(rng, count, scale):
    values = []
    for _ in range(count):
        raw = struct.pack("<f", rng.gauss(0, scale))
        values.append(struct.unpack("<f", b"\0\0" + raw[2:])[0])
    return values


def transpose(values, rows, columns):
    return [values[r * columns + c] for c in range(columns)
            for r in range(rows)]


def random_blocks(rng, count, bits):
    """Blocks of 32 in `bits` with an f16 scale: bytes, and their values."""
    raw, values = b"", []
    for _ in range(count // 32):
        scale = struct.pack("<e", rng.uniform(0.001, 0.01 if bits == 8 else 0.1))
        codes = bytes(rng.randrange(256) for _ in range(32 * bits // 8))
        d = struct.unpack("<e", scale)[0]
        if bits == 8:
            values += [d * q for q in struct.unpack("32b", codes)]
        else:
            values += [d * ((q & 15) - 8) for q in codes]
            values += [d * ((q >> 4) - 8) for q in codes]
        raw += scale + codes
    return raw, values


def product(matrix, row, rows):
    """A matrix of `rows` rows times a vector."""
    n = len(row)
    return [math.fsum(matrix[r * n + k] * row[k] for k in range(n))
            for r in range(rows)]


def layer(x, router, gate, up, down):
    """A layer of OLMoE: softmax, the best, not normalised. Weights are lists of
    each expert's values."""
    y = []
    for row in x:
        logits = product(router, row, EXPERTS)
        parts = [math.exp(v - max(logits)) for v in logits]
        out = [0.0] * HIDDEN
        for e in sorted(range(EXPERTS), key=lambda e: -parts[e])[:SLOTS]:
            g, u = product(gate[e], row, INNER), product(up[e], row, INNER)
            h = [a / (1 + math.exp(-a)) * b for a, b in zip(g, u)]
            for i, v in enumerate(product(down[e], h, HIDDEN)):
                out[i] += parts[e] / sum(parts) * v
        y += out
    return {"y": ("F64", [len(x), HIDDEN], struct.pack("<%dd" % len(y), *y))}


def join(lists):
    return [value for values in lists for value in values]


SHAPES = {"gate": [INNER, HIDDEN], "up": [INNER, HIDDEN],
          "down": [HIDDEN, INNER]}


def make_hf(rng, x, out):
    shards, plain = [{}, {}, {}], {}
    for n in (0, 1):
        folder = "model.layers.%d.mlp." % n
        router = random_bf16(rng, EXPERTS * HIDDEN, 1)
        weights = {name: [random_bf16(rng, HIDDEN * INNER, 0.125)
                          for _ in range(EXPERTS)] for name in SHAPES}
        shards[n][folder + "gate.weight"] = ("BF16", [EXPERTS, HIDDEN],
                                             bf16(router))
        if n == 0:
            for e in range(EXPERTS):
                for name, shape in SHAPES.items():
                    shards[e % 3]["%sexperts.%d.%s_proj.weight" %
                                  (folder, e, name)] = \
                        ("BF16", shape, bf16(weights[name][e]))
        else:
            both = []
            for gate, up in zip(weights["gate"], weights["up"]):
                rows = join(m[r * HIDDEN:(r + 1) * HIDDEN]
                            for r in range(INNER) for m in (gate, up))
                both += transpose(rows, 2 * INNER, HIDDEN)
            down = join(transpose(m, HIDDEN, INNER) for m in weights["down"])
            shards[1][folder + "experts.gate_up_proj"] = \
                ("BF16", [EXPERTS, HIDDEN, 2 * INNER], bf16(both))
            shards[2][folder + "experts.down_proj"] = \
                ("BF16", [EXPERTS, INNER, HIDDEN], bf16(down))
        own = "layer_%d/" % n
        plain[own + "router.weight"] = ("F32", [EXPERTS, HIDDEN],
                                        floats(router))
        for name, shape in SHAPES.items():
            plain["%sexperts.%s_proj" % (own, name)] = \
                ("F32", [EXPERTS] + shape, floats(join(weights[name])))
        write_safetensors(out + "/y-hf-%d.safetensors" % n,
                          layer(x, router, **weights))
    index = {}
    for i, shard in enumerate(shards):
        name = "model-%05d-of-00003.safetensors" % (i + 1)
        write_safetensors(out + "/hf/" + name, shard)
        index.update({tensor: name for tensor in shard})
    with open(out + "/hf/model.safetensors.index.json", "w") as file:
        json.dump({"metadata": {}, "weight_map": index}, file)
    with open(out + "/hf/config.json", "w") as file:
        json.dump({"model_type": "olmoe", "num_hidden_layers": 2,
                   "hidden_size": HIDDEN, "intermediate_size": INNER,
                   "num_experts": EXPERTS, "num_experts_per_tok": SLOTS,
                   "hidden_act": "silu", "norm_topk_prob": False}, file)
    write_safetensors(out + "/plain.safetensors", plain)


def make_gguf(rng, x, out):
    tensors = []
    for n, (bits, kind) in enumerate(((8, 8), (4, 2))):
        router = random_bf16(rng, EXPERTS * HIDDEN, 1)
        tensors.append(("blk.%d.ffn_gate_inp.weight" % n, [EXPERTS, HIDDEN], 0,
                        floats(router)))
        plain = {"router.weight": ("F32", [EXPERTS, HIDDEN], floats(router))}
        weights = {}
        for name, shape in SHAPES.items():
            raw, values = random_blocks(rng, EXPERTS * HIDDEN * INNER, bits)
            tensors.append(("blk.%d.ffn_%s_exps.weight" % (n, name),
                            [EXPERTS] + shape, kind, raw))
            plain["experts.%s_proj" % name] = \
                ("U8", [EXPERTS, shape[0], shape[1] // 32, 2 + 4 * bits], raw)
            size = HIDDEN * INNER
            weights[name] = [values[e * size:(e + 1) * size]
                             for e in range(EXPERTS)]
        write_safetensors(out + "/plain-gguf-%d.safetensors" % n, plain)
        write_safetensors(out + "/y-gguf-%d.safetensors" % n,
                          layer(x, router, **weights))
    write_gguf(out + "/m.gguf",
               {"general.architecture": "olmoe", "olmoe.expert_count": EXPERTS,
                "olmoe.expert_used_count": SLOTS, "olmoe.block_count": 2,
                "olmoe.embedding_length": HIDDEN,
                "olmoe.feed_forward_length": INNER},
               tensors)


def main():
    out = sys.argv[1]
    os.makedirs(out + "/hf", exist_ok=True)
    rng = random.Random(7)
    x = random_bf16(rng, TOKENS * HIDDEN, 1)
    write_safetensors(out + "/x.safetensors",
                      {"x": ("F32", [TOKENS, HIDDEN], floats(x))})
    rows = [x[t * HIDDEN:(t + 1) * HIDDEN] for t in range(TOKENS)]
    make_hf(rng, rows, out)
    make_gguf(rng, rows, out)


main()
