"""A layer in NumPy, from parts: scores, a choice, weights, experts.

Weights have the names of the IR. Sizes are tiny, and different from each other.
"""

import json
import subprocess

import numpy as np

T, H, I, E, K, S = 7, 6, 5, 8, 3, 4

# Scores.


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def sqrt_softplus(z):
    return np.sqrt(np.log1p(np.exp(z)))


def cap(z, c):
    return c * np.tanh(z / c)


# Activations of gate and up.


def swiglu(g, u):
    return g * sigmoid(g) * u


def geglu_tanh(g, u):
    return 0.5 * g * (1 + np.tanh(np.sqrt(2 / np.pi) * (g + 0.044715 * g ** 3))) * u


def clamped(alpha, limit, offset):
    def act(g, u):
        g = np.minimum(g, limit)
        return g * sigmoid(alpha * g) * (np.clip(u, -limit, limit) + offset)
    return act


def clamped_behind(limit):
    return lambda g, u: np.minimum(g * sigmoid(g), limit) * np.clip(u, -limit, limit)


def softcapped(a, b):
    return lambda g, u: cap(g, a) * sigmoid(g) * cap(u, b)


def ffn(x, w, name, act, e=None):
    def of(matrix):
        tensor = w[f"{name}.{matrix}"]
        return tensor if e is None else tensor[e]

    def bias(matrix):
        key = f"{name}.{matrix}_bias"
        return 0 if key not in w else w[key] if e is None else w[key][e]
    up = x @ of("up_proj").T + bias("up_proj")
    if f"{name}.gate_proj" in w:
        h = act(x @ of("gate_proj").T + bias("gate_proj"), up)
    else:
        h = act(up)
    return h @ of("down_proj").T + bias("down_proj")


def best(scores, k):
    return np.argsort(-scores, axis=-1, kind="stable")[:, :k]


def mask_groups(scores, groups, keep):
    """Scores of groups that are not among those whose two best sum up highest
    become minus infinity."""
    parts = scores.reshape(len(scores), groups, -1)
    rank = np.sort(parts, -1)[:, :, -2:].sum(-1)
    kept = np.zeros(rank.shape, bool)
    np.put_along_axis(kept, best(rank, keep), True, 1)
    return np.where(kept[:, :, None], parts, -np.inf).reshape(scores.shape)


def routed(x, chosen, weights, expert):
    """The sum of what the chosen experts give; `expert(e, x)` for one token."""
    y = np.zeros((len(x), len(expert(0, x[:1])[0])))
    for t in range(len(x)):
        for e, weight in zip(chosen[t], weights[t]):
            y[t] += weight * expert(e, x[t:t + 1])[0]
    return y


def standard(score=softmax, bias=False, groups=None, eps=None, floor=None, scale=1.0,
             after=None, act=swiglu, shared=None, gate=False, bend=None, logit_bias=False,
             k=K, on_logits=False):
    """`score` over all experts, a bias for the choice, groups, weights by `after`,
    a sum with `eps` or not below `floor`, a scale; a shared expert."""
    def formula(x, w):
        z = x @ w["router.weight"].T + (w["router.bias"] if logit_bias else 0)
        z = bend(z) if bend else z
        s = z if score is None else score(z)
        c = (z if on_logits else s) + (w["router.correction_bias"] if bias else 0)
        chosen = best(mask_groups(c, *groups) if groups else c, k)
        v = np.take_along_axis(s, chosen, 1)
        v = after(v) if after else v
        if eps is not None:
            v = v / (v.sum(1, keepdims=True) + eps)
        if floor is not None:
            v = v / np.maximum(v.sum(1, keepdims=True), floor)
        y = routed(x, chosen, v * scale, lambda e, r: ffn(r, w, "experts", act, e))
        if shared:
            own = ffn(x, w, "shared", shared)
            y = y + (sigmoid(x @ w["shared.gate"].T) * own if gate else own)
        return y
    return formula


def shapes(bias=False, shared=0, gate=False, biases=False, logit_bias=False, width=I):
    """Of a gated layer."""
    result = {"router.weight": (E, H), "experts.gate_proj": (E, width, H),
              "experts.up_proj": (E, width, H), "experts.down_proj": (E, H, width)}
    if bias:
        result["router.correction_bias"] = (E,)
    if logit_bias:
        result["router.bias"] = (E,)
    if biases:
        result.update({"experts.gate_proj_bias": (E, width), "experts.up_proj_bias": (E, width),
                       "experts.down_proj_bias": (E, H)})
    if shared:
        result.update({"shared.gate_proj": (shared, H), "shared.up_proj": (shared, H),
                       "shared.down_proj": (H, shared)})
    if gate:
        result["shared.gate"] = (1, H)
    return result


# Layers of their own.


def rms(x, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)


def gemma4(x, w):
    z = rms(x, 1e-6) * w["router.scale"] * H ** -0.5 @ w["router.weight"].T
    p = softmax(z)
    chosen = best(p, K)
    v = np.take_along_axis(p, chosen, 1)
    v = v / v.sum(1, keepdims=True) * w["router.per_expert_scale"][chosen]
    return routed(w["x_experts"], chosen, v, lambda e, r: ffn(r, w, "experts", geglu_tanh, e))


def relu2(u):
    return np.maximum(u, 0) ** 2


def nemotron(x, w):
    s = sigmoid(x @ w["router.weight"].T)
    chosen = best(mask_groups(s + w["router.correction_bias"], 4, 2), K)
    v = np.take_along_axis(s, chosen, 1)
    v = v / (v.sum(1, keepdims=True) + 1e-20) * 2.5
    inside = x @ w["latent.down"].T if "latent.down" in w else x
    y = routed(inside, chosen, v, lambda e, r: ffn(r, w, "experts", relu2, e))
    if "latent.up" in w:
        y = y @ w["latent.up"].T
    return y + ffn(x, w, "shared", relu2)


# Files and programs.


def save(path, tensors):
    header, data = {}, b""
    for name, tensor in tensors.items():
        raw = np.ascontiguousarray(tensor).tobytes()
        header[name] = {"dtype": {"float32": "F32", "int32": "I32", "int64": "I64"}[str(tensor.dtype)],
                        "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + data)


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout if done.returncode else ""


# Arguments of a layer that are no weights.
INPUTS = "x", "x_experts", "ids"


def make_values(number, tensors):
    """Random numbers for the rows and tensors of these shapes, by their names."""
    rng = np.random.default_rng(number)
    return {key: rng.normal(size=shape).astype(np.float32)
            for key, shape in {"x": (T, H), **tensors}.items()}, rng


def weights_of(values):
    return {key: value for key, value in values.items() if key not in INPUTS}


def check_layer(stem, checkpoint, layer, values, formula):
    """Whether a layer of a checkpoint, which has the weights of `values`, gives what
    `formula` gives in float64; a text of what is wrong."""
    wide = {key: value if value.dtype == np.int32 else value.astype(np.float64)
            for key, value in values.items()}
    y = formula(wide["x"], wide)
    save(stem + "-x.safetensors", {key: value for key, value in values.items() if key in INPUTS})
    save(stem + "-y.safetensors", {"y": y.astype(np.float32)})
    return run("moe-import", f"--layers={layer}", checkpoint, "-o", stem + ".mlir") or run(
        "moe-interpret", stem + ".mlir", f"--checkpoint={checkpoint}", f"--inputs={stem}-x.safetensors",
        f"--expect={stem}-y.safetensors", "--tolerance=2e-6")
