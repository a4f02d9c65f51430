# Checkpoints in every layout that is read: stacked, fused, interleaved,
# transposed, flattened, sharded, and in the formats of weights. Each is written
# here byte by byte from random weights, imported, and its first MoE layer run by
# the interpreter; what it should give is computed here in float64, from the
# values that were meant when they were written.
#
# RUN: %python %s %t

import json
import os
import struct
import subprocess
import sys

import numpy as np

folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(7)
TOKENS = 6

# --- Writing ---------------------------------------------------------------

TYPES = {"f4": "F32", "u2": "BF16", "f2": "F16", "i4": "I32", "u1": "U8",
         "i8": "I64"}


def bf16(values):
    """bf16 as 16 bits, and the values that they stand for."""
    bits = np.asarray(values, np.float32).view(np.uint32)
    bits = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
    return bits, (bits.astype(np.uint32) << 16).view(np.float32).astype(float)


def safetensors(path, tensors, types={}):
    header, data = {}, b""
    for name, array in tensors.items():
        raw = np.ascontiguousarray(array)
        dtype = types.get(name, TYPES[raw.dtype.str[1:]])
        header[name] = {"dtype": dtype, "shape": list(raw.shape),
                        "data_offsets": [len(data), len(data) + raw.nbytes]}
        data += raw.tobytes()
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def gguf(path, metadata, tensors):
    """`tensors`: name to (type number, shape slowest first, bytes)."""
    def string(text):
        return struct.pack("<Q", len(text)) + text.encode()

    out = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        out += string(key)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + string(value)
        elif isinstance(value, bool):
            out += struct.pack("<IB", 7, value)
        elif isinstance(value, float):
            out += struct.pack("<If", 6, value)
        else:
            out += struct.pack("<II", 4, value)
    data = b""
    for name, (kind, shape, raw) in tensors.items():
        data += b"\0" * (-len(data) % 32)
        out += string(name) + struct.pack("<I", len(shape))
        out += struct.pack(f"<{len(shape)}Q", *reversed(shape))
        out += struct.pack("<IQ", kind, len(data))
        data += raw
    out += b"\0" * (-len(out) % 32)
    with open(path, "wb") as file:
        file.write(out + data)


# --- What layers compute, in float64 ---------------------------------------


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def silu(z):
    return z * sigmoid(z)


def swiglu(x, gate, up, down):
    return (silu(x @ gate.T) * (x @ up.T)) @ down.T


def clamped(x, w, e):
    g = np.minimum(x @ w["gate"][e].T + w["gate_bias"][e], 7.0)
    u = np.clip(x @ w["up"][e].T + w["up_bias"][e], -7.0, 7.0)
    return (g * sigmoid(1.702 * g) * (u + 1)) @ w["down"][e].T + w["down_bias"][e]


def layer(x, w, k, weigh, expert=None, select=None):
    """`weigh` makes weights of the chosen logits, `select` what is chosen by."""
    z = x @ w["router"].T + w.get("router_bias", 0)
    s = select(z) if select else z
    y = np.zeros_like(x)
    for t in range(len(x)):
        chosen = np.argsort(-s[t], kind="stable")[:k]
        for e, p in zip(chosen, weigh(z[t], chosen)):
            if expert:
                y[t] += p * expert(x[t], e)
            else:
                y[t] += p * swiglu(x[t], w["gate"][e], w["up"][e], w["down"][e])
    return y


def softmax_of_chosen(z, chosen):
    return softmax(z[chosen])


def normalized(z, chosen):
    p = softmax(z)[chosen]
    return p / p.sum()


# --- Running ---------------------------------------------------------------

failures = []


def check(name, path, x, expected, tolerance=1e-9, options=()):
    """Imports `path`, runs its first MoE layer, and compares."""
    ir, inputs = f"{folder}/{name}.mlir", f"{folder}/{name}-x.safetensors"
    safetensors(inputs, {"x": x.astype(np.float32)})
    output = f"{folder}/{name}-y.safetensors"
    for command in (["moe-import", *options, path, "-o", ir],
                    ["moe-interpret", ir, f"--checkpoint={path}",
                     f"--inputs={inputs}", "-o", output]):
        done = subprocess.run(command, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120)
        if done.returncode:
            failures.append(f"{name}: {' '.join(command)}: {done.stderr}")
            return
    with open(output, "rb") as file:
        raw = file.read()
    size = struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:8 + size])["y"]
    begin, end = (8 + size + at for at in header["data_offsets"])
    kind = {"F64": np.float64, "F32": np.float32}[header["dtype"]]
    y = np.frombuffer(raw[begin:end], kind).reshape(header["shape"])
    error = np.abs(y - expected).max() / np.abs(expected).max()
    if not error < tolerance:
        failures.append(f"{name}: off by {error} of the largest")


def make(directory, config, tensors, types={}):
    path = f"{folder}/{directory}"
    os.makedirs(path, exist_ok=True)
    with open(f"{path}/config.json", "w") as file:
        json.dump(config, file)
    safetensors(f"{path}/model.safetensors", tensors, types)
    return path


def tokens(hidden):
    return np.round(random.standard_normal((TOKENS, hidden)) * 64) / 64


def weights(experts, inner, hidden, values=lambda v: np.float32(v).astype(float)):
    w = {"router": (experts, hidden), "gate": (experts, inner, hidden),
         "up": (experts, inner, hidden), "down": (experts, hidden, inner)}
    return {key: values(random.standard_normal(shape) / np.sqrt(shape[-1]))
            for key, shape in w.items()}


common = {"num_hidden_layers": 2, "num_experts_per_tok": 2}
qwen = {"model_type": "qwen3_moe", "norm_topk_prob": True, **common}
E, I, H = 5, 24, 16

# Experts one by one, in shards: expert 0 of the layer here, the rest there.
x, w = tokens(H), weights(E, I, H, lambda v: bf16(v)[1])
shards = [{}, {}]
for e in range(E):
    for part in "gate", "up", "down":
        shards[e > 0][f"model.layers.0.mlp.experts.{e}.{part}_proj.weight"] = bf16(w[part][e])[0]
shards[1]["model.layers.0.mlp.gate.weight"] = bf16(w["router"])[0]
path = make("sharded", {**qwen, "hidden_size": H, "moe_intermediate_size": I, "num_experts": E},
            shards[0])
os.rename(f"{path}/model.safetensors", f"{path}/model-00001-of-00002.safetensors")
safetensors(f"{path}/model-00002-of-00002.safetensors", shards[1])
with open(f"{path}/model.safetensors.index.json", "w") as file:
    json.dump({"metadata": {"total_size": 1}, "weight_map": {
        name: f"model-0000{i + 1}-of-00002.safetensors"
        for i, shard in enumerate(shards) for name in shard}}, file)
check("sharded", path, x, layer(x, w, 2, normalized))

# Gate and up one behind the other, below the prefix of a model of several parts.
x, w = tokens(H), weights(E, I, H)
path = make("fused", {"model_type": "qwen3_vl_moe", "text_config": {
    **qwen, "hidden_size": H, "moe_intermediate_size": I, "num_experts": E}}, {
        "model.language_model.layers.0.mlp.gate.weight": w["router"].astype("f4"),
        "model.language_model.layers.0.mlp.experts.gate_up_proj":
            np.concatenate([w["gate"], w["up"]], 1).astype("f4"),
        "model.language_model.layers.0.mlp.experts.down_proj": w["down"].astype("f4")})
check("fused", path, x, layer(x, w, 2, normalized))

# The same in f16, under Granite's names; rows that are no multiple of 32 too.
for inner in (32, 24):
    x, w = tokens(32), weights(E, inner, 32, lambda v: v.astype("f2").astype(float))
    path = make(f"granite{inner}", {"model_type": "granitemoe", **common, "hidden_size": 32,
                                    "intermediate_size": inner, "num_local_experts": E}, {
        "model.layers.0.block_sparse_moe.router.layer.weight": w["router"].astype("f2"),
        "model.layers.0.block_sparse_moe.input_linear.weight":
            np.concatenate([w["gate"], w["up"]], 1).astype("f2"),
        "model.layers.0.block_sparse_moe.output_linear.weight": w["down"].astype("f2")})
    check(f"granite{inner}", path, x, layer(x, w, 2, softmax_of_chosen))

# Transposed and interleaved, with I = H, which no shape would tell.
x, w = tokens(32), weights(E, 32, 32)
for bias, shape in ("router_bias", (E,)), ("gate_bias", (E, 32)), ("up_bias", (E, 32)), ("down_bias", (E, 32)):
    w[bias] = random.standard_normal(shape).astype("f4").astype(float)
gpt = {"model_type": "gpt_oss", **common, "hidden_size": 32, "intermediate_size": 32,
       "num_local_experts": E}


def interleave(a, b):
    return np.stack([a, b], 2).reshape(a.shape[0], -1, *a.shape[2:])


mlp = "model.layers.0.mlp."
shared = {mlp + "router.weight": w["router"].astype("f4"),
          mlp + "router.bias": w["router_bias"].astype("f4"),
          mlp + "experts.gate_up_proj_bias": interleave(w["gate_bias"], w["up_bias"]).astype("f4"),
          mlp + "experts.down_proj_bias": w["down_bias"].astype("f4")}
path = make("interleaved", gpt, {
    **shared,
    mlp + "experts.gate_up_proj": interleave(w["gate"], w["up"]).transpose(0, 2, 1).astype("f4"),
    mlp + "experts.down_proj": w["down"].transpose(0, 2, 1).astype("f4")})
check("interleaved", path, x, layer(x, w, 2, softmax_of_chosen, lambda x, e: clamped(x, w, e)))

# MXFP4: 32 E2M1 and an exponent, two in a byte, gate and up interleaved.
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6])


def mxfp4(shape):
    codes = random.integers(0, 16, shape)
    scales = random.integers(122, 126, (*shape[:-1], shape[-1] // 32))
    values = E2M1[codes] * np.repeat(2.0 ** (scales - 127.0), 32, -1)
    pairs = (codes[..., 0::2] | codes[..., 1::2] << 4).astype("u1")
    return values, pairs.reshape(*shape[:-1], -1, 16), scales.astype("u1")


fused, blocks, scales = mxfp4((E, 64, 32))
w["gate"], w["up"] = fused[:, 0::2], fused[:, 1::2]
w["down"], down_blocks, down_scales = mxfp4((E, 32, 32))
path = make("mxfp4", {**gpt, "quantization_config": {"quant_method": "mxfp4"}}, {
    **shared, mlp + "experts.gate_up_proj_blocks": blocks,
    mlp + "experts.gate_up_proj_scales": scales,
    mlp + "experts.down_proj_blocks": down_blocks,
    mlp + "experts.down_proj_scales": down_scales})
check("mxfp4", path, x, layer(x, w, 2, softmax_of_chosen, lambda x, e: clamped(x, w, e)))

# Transposed and concatenated; the weight of an expert scales its input.
x, w = tokens(H), weights(E, I, H)
s = weights(1, I, H)
path = make("llama4", {"model_type": "llama4_text", **common, "num_experts_per_tok": 1,
                       "hidden_size": H, "intermediate_size": I, "num_local_experts": E}, {
    "model.layers.0.feed_forward.router.weight": w["router"].astype("f4"),
    "model.layers.0.feed_forward.experts.gate_up_proj":
        np.concatenate([w["gate"], w["up"]], 1).transpose(0, 2, 1).astype("f4"),
    "model.layers.0.feed_forward.experts.down_proj": w["down"].transpose(0, 2, 1).astype("f4"),
    **{f"model.layers.0.feed_forward.shared_expert.{part}_proj.weight": s[part][0].astype("f4")
       for part in ("gate", "up", "down")}})
z = x @ w["router"].T
chosen = z.argmax(1)
expected = np.stack([
    swiglu(x[t] * sigmoid(z[t, e]), w["gate"][e], w["up"][e], w["down"][e])
    + swiglu(x[t], s["gate"][0], s["up"][0], s["down"][0])
    for t, e in enumerate(chosen)])
check("llama4", path, x, expected)

# All experts as the rows of one matrix, down transposed.
x, w = tokens(H), weights(E, I, H)
path = make("dbrx", {"model_type": "dbrx", "n_layers": 1, "d_model": H, "ffn_config": {
    "ffn_hidden_size": I, "moe_num_experts": E, "moe_top_k": 2}}, {
        "transformer.blocks.0.ffn.router.layer.weight": w["router"].astype("f4"),
        "transformer.blocks.0.ffn.experts.mlp.w1": w["gate"].reshape(-1, H).astype("f4"),
        "transformer.blocks.0.ffn.experts.mlp.v1": w["up"].reshape(-1, H).astype("f4"),
        "transformer.blocks.0.ffn.experts.mlp.w2":
            w["down"].transpose(0, 2, 1).reshape(-1, H).astype("f4")})
check("dbrx", path, x, layer(x, w, 2, normalized))
# The first experts of a checkpoint that has more.
few = {part: w[part][:3] for part in w}
check("dbrx-3", path, x, layer(x, few, 2, normalized), options=["--experts=3"])

# FP8 with a scale for each 128 x 128, whole and partial; a shared expert, and a
# bias that only the choice sees.
E4M3 = np.array([(-1) ** (b >> 7) * ((b & 7) * 2.0 ** -9 if (b >> 3 & 15) == 0 else
                                     (8 + (b & 7)) * 2.0 ** ((b >> 3 & 15) - 10))
                 for b in range(256)])


def fp8(rows, columns):
    codes = random.integers(0, 0x70, (rows, columns)) | random.integers(0, 2, (rows, columns)) << 7
    grid = (-(-rows // 128), -(-columns // 128))
    scales = ((0.5 + random.random(grid)) * 0.004).astype("f4")
    values = E4M3[codes] * np.repeat(np.repeat(scales.astype(float), 128, 0), 128, 1)[:rows, :columns]
    return values, codes.astype("u1"), scales


for inner in (128, 160):
    hidden, experts = 256, 3
    x = tokens(hidden)
    w = {"router": random.standard_normal((experts, hidden)).astype("f4").astype(float) / 16}
    correction = random.standard_normal(experts).astype("f4")
    tensors = {mlp + "gate.weight": w["router"].astype("f4"),
               mlp + "gate.e_score_correction_bias": correction}
    w["router"] = tensors[mlp + "gate.weight"].astype(float)
    types = {}
    for part, shape in ("gate", (inner, hidden)), ("up", (inner, hidden)), ("down", (hidden, inner)):
        w[part] = []
        for owner in [f"experts.{e}" for e in range(experts)] + ["shared_experts"]:
            name = f"{mlp}{owner}.{part}_proj.weight"
            values, tensors[name], tensors[name + "_scale_inv"] = fp8(*shape)
            types[name] = "F8_E4M3"
            w[part].append(values)
    path = make(f"fp8-{inner}", {
        "model_type": "deepseek_v3", **common, "hidden_size": hidden,
        "moe_intermediate_size": inner, "n_routed_experts": experts, "n_group": 1,
        "topk_group": 1, "n_shared_experts": 1, "first_k_dense_replace": 0,
        "routed_scaling_factor": 2.5, "quantization_config": {
            "quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}},
        tensors, types)

    def scaled(z, chosen):
        p = sigmoid(z[chosen])
        return 2.5 * p / p.sum()

    expected = layer(x, w, 2, scaled, select=lambda z: sigmoid(z) + correction)
    expected += swiglu(x, w["gate"][experts], w["up"][experts], w["down"][experts])
    # Sums are of f32 values: scale times code is rounded to one.
    check(f"fp8-{inner}", path, x, expected, tolerance=1e-5)

# Four bits with scales and zeros of groups of 32, in three orders.
AWQ = [0, 2, 4, 6, 1, 3, 5, 7]


def pack(nibbles, order=range(8)):
    """[a, 8 b] nibbles to [a, b] words; `order`: which nibble is at bits 4 i."""
    groups = nibbles.reshape(nibbles.shape[0], -1, 8).astype(np.uint32)
    word = np.zeros(groups.shape[:2], np.uint32)
    for i, at in enumerate(order):
        word |= groups[:, :, at] << (4 * i)
    return word.view(np.int32)


def int4(rows, columns, method):
    """The values, and the tensors by what their names end in."""
    groups = columns // 32
    q = random.integers(0, 16, (rows, columns))
    scales = (random.random((rows, groups)) * 0.1 + 0.05).astype("f2")
    zeros = random.integers(1, 16, (rows, groups))
    if method == "pack_quantized":
        zeros[:] = 8
    values = np.repeat(scales.astype(float), 32, 1) * (q - np.repeat(zeros, 32, 1))
    if method == "awq":
        return values, {"qweight": pack(q.T, AWQ), "qzeros": pack(zeros.T, AWQ),
                        "scales": np.ascontiguousarray(scales.T)}
    if method == "gptq":
        words = pack(q).T  # Eight k of a row in a word.
        return values, {"qweight": np.ascontiguousarray(words), "qzeros": pack(zeros.T - 1),
                        "scales": np.ascontiguousarray(scales.T),
                        "g_idx": (np.arange(columns) // 32).astype("i4")}
    if method == "gptq-act":
        group = random.permutation(np.arange(columns) // 32)
        q = random.integers(0, 16, (rows, columns))
        values = scales.astype(float)[:, group] * (q - zeros[:, group])
        return values, {"qweight": np.ascontiguousarray(pack(q).T), "qzeros": pack(zeros.T - 1),
                        "scales": np.ascontiguousarray(scales.T), "g_idx": group.astype("i4")}
    return values, {"weight_packed": pack(q), "weight_scale": scales,
                    "weight_shape": np.array([rows, columns], "i8")}


for method in "awq", "gptq", "gptq-act", "pack_quantized":
    inner, hidden = 32, 64
    x = tokens(hidden)
    w = {"router": random.standard_normal((E, hidden)).astype("f4").astype(float)}
    tensors = {mlp + "gate.weight": w["router"].astype("f4")}
    for part, shape in ("gate", (inner, hidden)), ("up", (inner, hidden)), ("down", (hidden, inner)):
        w[part] = []
        for e in range(E):
            values, stored = int4(*shape, method)
            w[part].append(values)
            for name, tensor in stored.items():
                tensors[f"{mlp}experts.{e}.{part}_proj.{name}"] = tensor
    quantization = {"quant_method": method.split("-")[0], "bits": 4, "group_size": 32}
    if method == "pack_quantized":
        quantization = {"quant_method": "compressed-tensors", "format": "pack-quantized"}
    path = make(method, {**qwen, "hidden_size": hidden, "moe_intermediate_size": inner,
                         "num_experts": E, "quantization_config": quantization}, tensors)
    check(method, path, x, layer(x, w, 2, normalized), tolerance=1e-5)

# GGUF: stacked Q8_0 and Q4_0, the router in f32; and tensors of single experts.


def q8_0(shape):
    codes = random.integers(-127, 128, shape)
    scales = (random.random((*shape[:-1], shape[-1] // 32)) * 0.01 + 0.001).astype("f2")
    raw = np.concatenate([scales[..., None].view("u1").reshape(*scales.shape, 2),
                          codes.astype("i1").view("u1").reshape(*scales.shape, 32)], -1)
    return codes * np.repeat(scales.astype(float), 32, -1), raw


def q4_0(shape):
    codes = random.integers(0, 16, shape)
    scales = (random.random((*shape[:-1], shape[-1] // 32)) * 0.1 + 0.01).astype("f2")
    halves = codes.reshape(*scales.shape, 2, 16)
    raw = np.concatenate([scales[..., None].view("u1").reshape(*scales.shape, 2),
                          (halves[..., 0, :] | halves[..., 1, :] << 4).astype("u1")], -1)
    return (codes - 8) * np.repeat(scales.astype(float), 32, -1), raw


for stacked in True, False:
    inner, hidden = 32, 64
    x = tokens(hidden)
    w = {"router": random.standard_normal((E, hidden)).astype("f4").astype(float)}
    tensors = {"blk.0.ffn_gate_inp.weight": (0, (E, hidden), w["router"].astype("f4").tobytes())}
    for part, shape, (kind, quantize) in (("gate", (E, inner, hidden), (8, q8_0)),
                                          ("up", (E, inner, hidden), (2, q4_0)),
                                          ("down", (E, hidden, inner), (8, q8_0))):
        w[part], raw = quantize(shape)
        if stacked:
            tensors[f"blk.0.ffn_{part}_exps.weight"] = (kind, shape, raw.tobytes())
        else:
            for e in range(E):
                tensors[f"blk.0.ffn_{part}.{e}.weight"] = (kind, shape[1:], raw[e].tobytes())
    arch = "qwen3moe" if stacked else "llama"
    path = f"{folder}/{arch}.gguf"
    gguf(path, {"general.architecture": arch, "general.name": "made up",
                f"{arch}.block_count": 1, f"{arch}.embedding_length": hidden,
                f"{arch}.feed_forward_length": inner, f"{arch}.expert_count": E,
                f"{arch}.expert_used_count": 2,
                **({f"{arch}.expert_feed_forward_length": inner} if stacked else {}),
                f"{arch}.attention.layer_norm_rms_epsilon": 1e-6}, tensors)
    check(arch, path, x, layer(x, w, 2, normalized if stacked else softmax_of_chosen))

# Tensors that are not there, sizes that are not those of the configuration, and
# no configuration at all.


def refuses(path, *expected):
    done = subprocess.run(["moe-import", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True)
    if (done.returncode != 1 or done.stdout or done.stderr.count("\n") != 1
            or not all(text in done.stderr for text in expected)):
        failures.append(f"{path}: {done.returncode} {done.stderr}")


tiny = {**qwen, "hidden_size": H, "moe_intermediate_size": I, "num_experts": E}
router = {mlp + "gate.weight": np.zeros((E, H), "f4")}
refuses(make("missing", tiny, router), "no tensor for 'experts.gate_proj'; looked for ")
refuses(make("wide", {**tiny, "hidden_size": 2 * H}, router), "layer 0: 'router.weight'",
        "F32[5x16]", "and the weight is f32[5x32]")
refuses(f"{folder}/wide/model.safetensors", "has no configuration")
os.rename(f"{folder}/missing/config.json", f"{folder}/missing/config.jsn")
refuses(f"{folder}/missing", "has no configuration")

# Stored in a way that would be read wrongly.
_, stored = int4(32, 64, "pack_quantized")
tensors = {f"{mlp}experts.{e}.{part}_proj.{name}": tensor for e in range(E)
           for part in ("gate", "up") for name, tensor in
           {**stored, "weight_g_idx": (np.arange(64) % 2).astype("i4")}.items()}
refuses(make("act-order", {**tiny, "hidden_size": 64, "moe_intermediate_size": 32},
             {mlp + "gate.weight": np.zeros((E, 64), "f4"), **tensors}), "weight_g_idx")
_, codes, _ = fp8(160, 160)
tensors = {f"{mlp}experts.{e}.gate_proj.weight": codes for e in range(E)}
types = dict.fromkeys(tensors, "F8_E4M3")
tensors.update({name + "_scale": np.ones(1, "f4") for name in types})
refuses(make("one-scale", {**tiny, "hidden_size": 160, "moe_intermediate_size": 160},
             {mlp + "gate.weight": np.zeros((E, 160), "f4"), **tensors}, types),
        "one scale for a whole matrix")

print("\n".join(failures))
sys.exit(1 if failures else 0)
