# Layers as exporters write them: how far each is raised, that the result is the
# model's, in the interpreter and compiled, and that --check agrees.
#
# REQUIRES: python-numpy, x86-64-v3
# RUN: %python %s %t

import os
import re
import subprocess
import sys

import numpy as np

inputs_folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs")
sys.path.insert(0, inputs_folder)
from safetensors_file import save

here = os.path.join(inputs_folder, "exports")
folder = sys.argv[1]
os.makedirs(folder, exist_ok=True)
random = np.random.default_rng(11)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def silu(z):
    return z / (1 + np.exp(-z))


def normal(*shape, scale=1.0):
    return (random.normal(size=shape) * scale).astype(np.float32)


def layer(x, scores, k, weigh, expert):
    """Each token's best k by its scores; `weigh` makes weights of their scores."""
    y = np.zeros_like(x)
    for t, row in enumerate(x):
        best = np.argsort(-scores[t], kind="stable")[:k]
        for e, w in zip(best, weigh(scores[t][best])):
            y[t] += w * expert(row, e)
    return y


def torch_mixtral():
    x, wr, gu, d = normal(1, 6, 32), normal(4, 32), normal(4, 48, 32, scale=0.2), normal(4, 32, 24, scale=0.2)
    X, R, G, D = (a.astype(np.float64) for a in (x, wr, gu, d))

    def expert(row, e):
        h = G[e] @ row
        return D[e] @ (silu(h[:24]) * h[24:])
    rows = X[0]
    return [x, wr, gu, d], layer(rows, softmax(rows @ R.T), 2, lambda w: w / w.sum(), expert)[None]


def torch_gpt_oss():
    x, wr, br = normal(1, 6, 32), normal(4, 32), normal(4)
    gu, bgu = normal(4, 32, 48, scale=2), normal(4, 48)
    d, bd = normal(4, 24, 32, scale=0.2), normal(4, 32)
    X, R, BR, G, BG, D, BD = (a.astype(np.float64) for a in (x, wr, br, gu, bgu, d, bd))

    def expert(row, e):
        h = row @ G[e] + BG[e]
        gate, up = np.minimum(h[::2], 7), np.clip(h[1::2], -7, 7)
        return ((up + 1) * gate / (1 + np.exp(-1.702 * gate))) @ D[e] + BD[e]
    rows = X[0]
    return [x, wr, br, gu, bgu, d, bd], layer(rows, rows @ R.T + BR, 2, softmax, expert)[None]


def xla_mixtral():
    (x, wr, gu, d), y = torch_mixtral()
    return [wr, x, gu, d], y


def xla_deepseek_v3():
    # Weights of the shared expert, x, the correction bias and the router among them.
    sd, su, x, sg = normal(32, 24, scale=0.2), normal(24, 32, scale=0.2), normal(1, 6, 32), normal(24, 32, scale=0.2)
    bias, wr = normal(16, scale=0.1), normal(16, 32, scale=0.2)
    gu, d = normal(16, 48, 32, scale=0.2), normal(16, 32, 24, scale=0.2)
    X, SD, SU, SG, B, R, GU, D = (a.astype(np.float64) for a in (x[0], sd, su, sg, bias, wr, gu, d))
    scores = 1 / (1 + np.exp(-X @ R.T))
    y = (silu(X @ SG.T) * (X @ SU.T)) @ SD.T
    for t, row in enumerate(X):
        choice = scores[t] + B
        groups = np.sort(choice.reshape(4, 4), axis=1)[:, 2:].sum(axis=1)
        kept = np.repeat(np.isin(np.arange(4), np.argsort(-groups)[:2]), 4)
        best = np.argsort(-np.where(kept, choice, -np.inf))[:3]
        for e in best:
            h = GU[e] @ row
            y[t] += 2.5 * scores[t][e] / scores[t][best].sum() * (D[e] @ (silu(h[:24]) * h[24:]))
    return [sd, su, x, sg, bias, wr, gu, d], y[None]


def jax_swiglu(scores, weigh):
    # Weights by their names: wd, wg, wr, wu.
    x, wr = normal(12, 32), normal(32, 8)
    wd, wg, wu = normal(8, 48, 32, scale=0.2), normal(8, 32, 48, scale=0.2), normal(8, 32, 48, scale=0.2)
    X, D, G, R, U = (a.astype(np.float64) for a in (x, wd, wg, wr, wu))
    return [x, wd, wg, wr, wu], layer(X, scores(X @ R), 2, weigh,
                                      lambda row, e: (silu(row @ G[e]) * (row @ U[e])) @ D[e])


def places(mask, before, count):
    """[tokens, experts, places] of who chose an expert, after `before` others."""
    position = np.cumsum(mask, 0) - mask + before
    return mask[:, :, None] * (position[:, :, None] == np.arange(count))


def jax_capacity(choices, count, act, weigh):
    # Weights by their names: w1, w2, wr.
    x, wr = normal(12, 32), normal(32, 8)
    w1, w2 = normal(8, 32, 48, scale=0.2), normal(8, 48, 32, scale=0.2)
    X, W1, W2, R = (a.astype(np.float64) for a in (x, w1, w2, wr))
    p = softmax(X @ R)
    best = np.argsort(-p, 1, kind="stable")
    masks = [np.eye(8)[best[:, j]] for j in range(choices)]
    there = [places(mask, sum(m.sum(0) for m in masks[:j]), count) for j, mask in enumerate(masks)]
    rows = np.einsum("tec,th->ech", sum(there), X)
    weights = weigh([(p[:, :, None] * one).sum((1, 2)) for one in there])
    taken = sum(w[:, None, None] * one for w, one in zip(weights, there))
    return [x, w1, w2, wr], np.einsum("tec,ech->th", taken, act(rows @ W1) @ W2)


def gelu_tanh(z):
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z ** 3)))


cases = {
    "torch_mlir_mixtral": (torch_mixtral, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "torch_mlir_mixtral_grouped": (torch_mixtral, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "torch_mlir_mixtral_linalg": (torch_mixtral, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "torch_mlir_gpt_oss_linalg": (torch_gpt_oss, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.softmax]"),
    "xla_mixtral": (xla_mixtral, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "xla_deepseek_v3": (xla_deepseek_v3, "16 experts, 3 of them a token; rung 2: #moe.group_top_k<3, groups = 4, keep = 2, reduce = top2>, "
                        "weighing [#moe.normalize<sum, eps = 9.999999682655225e-21>, #moe.scale<2.5>], selected by other scores than weighed",
                        "an FFN of all tokens is added"),
    "torch_mlir_gpt_oss": (torch_gpt_oss, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.softmax]"),
    "jax_ragged": (lambda: jax_swiglu(softmax, lambda w: w / w.sum()),
                   "8 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "jax_ragged_tpu": (lambda: jax_swiglu(softmax, lambda w: w / w.sum()),
                       "8 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "jax_dense": (lambda: jax_swiglu(lambda z: z, softmax),
                  "8 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.softmax]"),
    "jax_switch": (lambda: jax_capacity(1, 3, lambda z: np.maximum(z, 0), lambda w: w),
                   "8 experts, 1 of them a token; rung 2: #moe.top_k<1>, 3 places for each expert"),
    "jax_gshard": (lambda: jax_capacity(2, 6, gelu_tanh, lambda w: w / np.maximum(sum(w), 1.1920929e-07)),
                   "8 experts, 2 of them a token; rung 2: #moe.top_k<2>, 6 places for each expert, then weighing "
                   "[#moe.normalize<clamp, min = 1.1920928955078125e-07>]"),
    "mixtral": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "gpt_oss": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.softmax]"),
    "granite": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.softmax]"),
    "qwen2": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>", "times a number of each is added"),
    "deepseek_v3": (None, "16 experts, 3 of them a token; rung 2: #moe.group_top_k<3, groups = 4, keep = 2, reduce = top2>, "
                    "weighing [#moe.normalize<sum, eps = 0.0>, #moe.scale<2.5>], selected by other scores than weighed",
                    "an FFN of all tokens is added"),
    "phimoe": (None, "4 experts, 2 of them a token; rung 1"),
    "mixtral_model": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "mixtral_model_grouped": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "llama4": (None, "4 experts, 1 of them a token; rung 2: #moe.top_k<1>, weighing [#moe.sigmoid], of the rows that "
               "experts read", "an FFN of all tokens is added"),
    "mixtral_loop": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>, weighing [#moe.normalize<sum, eps = 0.0>]"),
    "olmoe_loop": (None, "4 experts, 2 of them a token; rung 2: #moe.top_k<2>"),
    "switch_loop": (None, "4 experts, 1 of them a token; rung 2: #moe.top_k<1>, limited to 3 of an expert"),
}

failures = 0


def run(*command, ok=True):
    global failures
    result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if (result.returncode == 0) != ok:
        failures += 1
        print("FAILED:", *command)
        print(result.stdout[-2000:])
    return result.stdout


for name, (make, found, *shared) in cases.items():
    source = os.path.join(here, name + (".mlir" if make else ".onnx"))
    raised = os.path.join(folder, name + ".mlir")
    said = run("moe-raise", "--explain", "--check=1", source, "-o", raised)
    layers = [line for line in said.splitlines() if ": a layer of" in line]
    if (found is None) != (not layers) or (found and (len(layers) != 1 or found not in layers[0])):
        failures += 1
        print("%s: found %s, expected %s" % (name, layers, found))
    experts = [line for line in said.splitlines() if "rung 3: its shared expert" in line]
    if len(experts) != len(shared) or not all(a in b for a, b in zip(shared, experts)):
        failures += 1
        print("%s: found shared experts %s, expected %s" % (name, experts, shared))
    data = os.path.join(here, name + ".npz")
    if not make and not os.path.exists(data):
        continue
    text = open(raised).read()
    head = text[text.index("func.func"):text.index("\n", text.index("func.func"))]
    names = re.findall(r'moe\.name = "([^"]*)"', head)
    inputs, expected = os.path.join(folder, "in.safetensors"), os.path.join(folder, "out.safetensors")
    if make:
        arguments, y = make()
        save(inputs, dict(zip(names, arguments)))
        files = inputs
    else:
        given = np.load(data)
        y = given["y"]
        save(inputs, {"x": given["x"].astype(np.float32)})
        files = inputs + "," + raised[:-5] + ".safetensors"
    save(expected, {names[-1]: y.astype(np.float64)})
    run("moe-interpret", raised, "--inputs=" + files, "--expect=" + expected, "--tolerance=3e-6")
    if found:
        artifact = os.path.join(folder, name)
        run("moe-compile", raised, "-o", artifact)
        run("moe-run", artifact + ".json", "--model=" + raised, "--random=3", "--verify",
            *(["--size=" + ",".join(d + "=9" for d in set(re.findall(r'moe\.dims = \["(\w+)"\]', head)))]
              if "moe.dims" in head else []))

print("%d failures" % failures)
sys.exit(failures != 0)
