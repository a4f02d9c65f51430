#!/usr/bin/env python3
"""Writes the fixtures of this folder: layers in MLIR, inputs, expected values.

Expected values come from an oracle in NumPy that is no part of this project:

    python3 gen_fixtures.py --oracle=PATH/reference.py [--seed=20240607]

The oracle has the functions route_topk, switch_route, combine, stacked_experts,
ffn, shared_expert, permute, sigmoid and the dictionary PRESETS. The seed is
recorded in every data file (`__metadata__`). Inputs are stored in the type that
the layer declares, so they are exact; expected floats are stored as F64.
"""
import argparse
import importlib.util
import json
import os
import warnings

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
T_SIZES = (5, 1, 0)
H, I = 6, 5


# --------------------------------------------------------------------------
# Data files
# --------------------------------------------------------------------------

def to_bf16(a):
    """Nearest even, as the upper halves of f32."""
    bits = np.asarray(a, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(h):
    return (h.astype(np.uint32) << 16).view(np.float32)


DTYPES = {"float64": "F64", "float32": "F32", "uint16": "BF16", "int32": "I32"}


def save(name, tensors, seed):
    """A .safetensors file; uint16 arrays hold bf16."""
    header = {"__metadata__": {"seed": str(seed), "generator": "gen_fixtures.py"}}
    data = b""
    for key, a in sorted(tensors.items(), key=lambda kv: -kv[1].itemsize):
        raw = np.ascontiguousarray(a).tobytes()
        header[key] = {"dtype": DTYPES[a.dtype.name], "shape": list(a.shape),
                       "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(os.path.join(HERE, "Inputs", name + ".safetensors"), "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text + data)


def write_mlir(name, runs, text):
    with open(os.path.join(HERE, name + ".mlir"), "w") as f:
        f.write("// Written by gen_fixtures.py.\n")
        for run in runs:
            f.write(f"// RUN: moe-interpret %s {run}\n")
        f.write("\n" + text.strip() + "\n")


# --------------------------------------------------------------------------
# Pieces of IR
# --------------------------------------------------------------------------

MATMUL = """
  %zero = arith.constant 0.0 : f32
  %c0 = arith.constant 0 : index
  %T = tensor.dim %x, %c0 : tensor<?x{H}xf32>
  %ze = tensor.empty(%T) : tensor<?x{E}xf32>
  %zf = linalg.fill ins(%zero : f32) outs(%ze : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %wr : tensor<?x{H}xf32>, tensor<{E}x{H}xf32>) outs(%zf : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
"""

ADD_BIAS = """
  %{out} = linalg.generic {{indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]}} ins(%{inp}, %{bias} : tensor<?x{E}xf32>, tensor<{E}xf32>) outs(%ze : tensor<?x{E}xf32>) {{
  ^bb0(%a: f32, %b: f32, %o: f32):
    %sum = arith.addf %a, %b : f32
    linalg.yield %sum : f32
  }} -> tensor<?x{E}xf32>
"""

SOFTMAX = """
  %s = linalg.softmax dimension(1) ins(%{inp} : tensor<?x{E}xf32>) outs(%ze : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
"""

SIGMOID = """
  %s = linalg.generic {{indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]}} ins(%{inp} : tensor<?x{E}xf32>) outs(%ze : tensor<?x{E}xf32>) {{
  ^bb0(%a: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %d = arith.addf %e, %one : f32
    %q = arith.divf %one, %d : f32
    linalg.yield %q : f32
  }} -> tensor<?x{E}xf32>
"""

SHARED_GATE = """
  %ge = tensor.empty(%T) : tensor<?x1xf32>
  %gf = linalg.fill ins(%zero : f32) outs(%ge : tensor<?x1xf32>) -> tensor<?x1xf32>
  %gz = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %sgate : tensor<?x{H}xf32>, tensor<1x{H}xf32>) outs(%gf : tensor<?x1xf32>) -> tensor<?x1xf32>
  %g = linalg.generic {{indexing_maps = [affine_map<(t, e) -> (t, e)>, affine_map<(t, e) -> (t, e)>],
      iterator_types = ["parallel", "parallel"]}} ins(%gz : tensor<?x1xf32>) outs(%ge : tensor<?x1xf32>) {{
  ^bb0(%a: f32, %o: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %d = arith.addf %e, %one : f32
    %q = arith.divf %one, %d : f32
    linalg.yield %q : f32
  }} -> tensor<?x1xf32>
"""

VIEWS = """
  %idx = moe.routing.indices %{r} : {rt} -> tensor<?x{K}xi32>
  %w = moe.routing.weights %{r} : {rt} -> tensor<?x{K}xf32>
  %off = moe.routing.offsets %{r} : {rt} -> tensor<{E1}xi32>
  %tok = moe.routing.tokens %{r} : {rt} -> tensor<?xi32>
"""


def ffn_text(x, ops, types, activation, result="%f"):
    """One moe.ffn; ops: keyword -> value name, in the op's order."""
    words = " ".join(f"{k}({v})" for k, v in ops.items())
    kinds = ", ".join(["tensor<?x%dxf32>" % H] + types)
    return (f"{result} = moe.ffn {x} {words} activation({activation})\n"
            f"        : ({kinds}) -> tensor<?x{H}xf32>")


# --------------------------------------------------------------------------
# Layers
# --------------------------------------------------------------------------

class Layer:
    """One layer: weights, the IR and the oracle's result for any x."""

    def __init__(self, oracle, rng, name, experts, slots, route, policy, weighing,
                 score="softmax", when="before", gated=True, act="silu",
                 act_attr="#moe.silu", dtype="f32", router_bias=False,
                 select_bias=False, biases=False, weight_on="output",
                 shared=None, capacity=None, x_scale=1.0):
        self.__dict__.update(locals())
        E = experts
        normal = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        store = to_bf16 if dtype == "bf16" else (lambda a: a)
        self.weights = {"router.weight": rng.standard_normal((E, H)).astype(np.float32)}
        if router_bias:
            self.weights["router.bias"] = normal(E)
        if select_bias:
            self.weights["router.correction_bias"] = (rng.standard_normal(E) / 2).astype(np.float32)
        parts = (["gate"] if gated else []) + ["up"]
        for part in parts:
            self.weights[f"experts.{part}_proj"] = store(2 * normal(E, I, H))
        self.weights["experts.down_proj"] = store(normal(E, H, I))
        if biases:
            for part in parts:
                self.weights[f"experts.{part}_proj_bias"] = normal(E, I)
            self.weights["experts.down_proj_bias"] = normal(E, H)
        if shared:
            for part in ("gate", "up"):
                self.weights[f"shared.{part}_proj"] = store(2 * normal(I, H))
            self.weights["shared.down_proj"] = store(normal(H, I))
            if shared == "gated":
                self.weights["shared.gate"] = normal(1, H)

    def value(self, name):
        a = self.weights.get(name)
        if a is None:
            return None
        return (from_bf16(a) if a.dtype == np.uint16 else a).astype(np.float64)

    def expected(self, x):
        o, v = self.oracle, self.value
        z = o.router_logits(x, v("router.weight"), v("router.bias"))
        idx, w = self.route(o, z, v("router.correction_bias"))
        experts = o.stacked_experts(v("experts.gate_proj"), v("experts.up_proj"),
                                    v("experts.down_proj"), self.act,
                                    v("experts.gate_proj_bias"), v("experts.up_proj_bias"),
                                    v("experts.down_proj_bias"))
        y = o.combine(x, idx, w, experts, self.weight_on)
        if self.shared:
            one = lambda a: o.ffn(a, v("shared.up_proj"), v("shared.down_proj"),
                                  v("shared.gate_proj"), self.act)
            y = y + o.shared_expert(x, one, v("shared.gate"))
        tok, _, off = o.permute(idx, self.experts)
        return {"y": y, "idx": idx.astype(np.int32), "w": np.asarray(w, np.float64),
                "offsets": np.asarray(off).astype(np.int32), "tokens": tok.astype(np.int32)}

    def mlir(self, fold_shared=False):
        E, K, wt = self.experts, self.slots, self.dtype
        rt = f"!moe.routing<{E} x {K}>"
        args = [f'%x: tensor<?x{H}xf32> {{moe.name = "x", moe.dims = ["T"]}}']
        short = {"router.weight": "wr", "router.bias": "br",
                 "router.correction_bias": "bc", "shared.gate": "sgate"}
        for name, a in self.weights.items():
            kind = "bf16" if a.dtype == np.uint16 else "f32"
            shape = "x".join(map(str, a.shape))
            var = short.get(name) or name.replace(".", "_")
            args.append(f'%{var}: tensor<{shape}x{kind}> {{moe.name = "{name}"}}')
        fmt = dict(H=H, E=E)
        body = MATMUL.format(**fmt)
        z = "z"
        if self.router_bias:
            body += ADD_BIAS.format(out="zb", inp="z", bias="br", **fmt)
            z = "zb"
        weigh = select = z
        if self.when == "before":
            body += (SOFTMAX if self.score == "softmax" else SIGMOID).format(inp=z, **fmt)
            weigh = select = "s"
        if self.select_bias:
            body += ADD_BIAS.format(out="c", inp=weigh, bias="bc", **fmt)
            select = "c"
        listed = f" weighing [{self.weighing}]" if self.weighing else ""
        body += f"""
  %r = moe.router {self.policy} select(%{select}) weigh(%{weigh}){listed}
      : tensor<?x{E}xf32> -> {rt}
"""
        r = "r"
        if self.capacity:
            body += f"  %rl = moe.routing.limit %r capacity {self.capacity} : {rt}\n"
            r = "rl"
        body += VIEWS.format(r=r, rt=rt, K=K, E1=E + 1)
        re, ret = r, rt
        if fold_shared:
            ret = f"!moe.routing<{E + 1} x {K + 1}>"
            given = ""
            if self.shared == "gated":
                body += SHARED_GATE.format(**fmt)
                given = " weights(%g : tensor<?x1xf32>)"
            body += f"  %ra = moe.routing.append %{r}{given} : {rt} -> {ret}\n"
            re = "ra"

        on_input = self.weight_on == "input"
        body += (f"  %rows = moe.dispatch %x by %{re}{' weighted' if on_input else ''}"
                 f" : tensor<?x{H}xf32>, {ret} -> tensor<?x{H}xf32>\n")
        parts = (["gate"] if self.gated else []) + ["up"]
        names, kinds, inner, ops = [], [], [], {}
        for part in parts + ["down"]:
            shape = f"{H}x{I}" if part == "down" else f"{I}x{H}"
            names.append(f"%experts_{part}_proj")
            kinds.append(f"tensor<{E}x{shape}x{wt}>")
            inner.append(f"tensor<{shape}x{wt}>")
            ops[part] = f"%{part}"
        if self.biases:
            for part in parts + ["down"]:
                n = H if part == "down" else I
                names.append(f"%experts_{part}_proj_bias")
                kinds.append(f"tensor<{E}x{n}xf32>")
                inner.append(f"tensor<{n}xf32>")
                ops[part + "_bias"] = f"%{part}_bias"
        bound = [f"%t: tensor<?x{H}xf32>"] + [f"{v}: {k}" for v, k in zip(ops.values(), inner)]
        body += f"""  %out = moe.expert %rows by %{re} : (tensor<?x{H}xf32>, {ret}) -> tensor<?x{H}xf32>
  experts 0 to {E} weights({', '.join(names)} : {', '.join(kinds)}) {{
    ^bb0({', '.join(bound)}):
    {ffn_text('%t', ops, inner, self.act_attr)}
    moe.yield %f : tensor<?x{H}xf32>
  }}"""
        shared_kinds = [f"{I}x{H}x{wt}", f"{I}x{H}x{wt}", f"{H}x{I}x{wt}"]
        shared_ops = {p: f"%shared_{p}_proj" for p in ("gate", "up", "down")}
        init = ""
        if fold_shared:
            expand = "".join(
                f"  %e_{p} = tensor.expand_shape %shared_{p}_proj [[0, 1], [2]] output_shape"
                f" [1, {k.split('x')[0]}, {k.split('x')[1]}] : tensor<{k}> into tensor<1x{k}>\n"
                for p, k in zip(("gate", "up", "down"), shared_kinds))
            body = body.replace("  %rows =", expand + "  %rows =")
            lifted = ", ".join(f"tensor<1x{k}>" for k in shared_kinds)
            bound = ", ".join([f"%t: tensor<?x{H}xf32>"] + [
                f"%{p}: tensor<{k}>" for p, k in zip(("gate", "up", "down"), shared_kinds)])
            body += f""" experts {E} to {E + 1} weights(%e_gate, %e_up, %e_down : {lifted}) {{
    ^bb0({bound}):
    {ffn_text('%t', {p: '%' + p for p in ('gate', 'up', 'down')}, [f'tensor<{k}>' for k in shared_kinds], self.act_attr)}
    moe.yield %f : tensor<?x{H}xf32>
  }}"""
        elif self.shared:
            body += "\n  " + ffn_text("%x", shared_ops, [f"tensor<{k}>" for k in shared_kinds],
                                      self.act_attr, "%sh")
            init = f" init(%sh : tensor<?x{H}xf32>)"
        body += f"""
  %y = moe.combine %out by %{re}{' unweighted' if on_input else ''}{init}
      : tensor<?x{H}xf32>, {ret} -> tensor<?x{H}xf32>
  return %y, %idx, %w, %off, %tok : tensor<?x{H}xf32>, tensor<?x{K}xi32>, tensor<?x{K}xf32>, tensor<{E + 1}xi32>, tensor<?xi32>
"""
        results = (f'tensor<?x{H}xf32> {{moe.name = "y", moe.dims = ["T"]}}, '
                   f'tensor<?x{K}xi32> {{moe.name = "idx"}}, tensor<?x{K}xf32> {{moe.name = "w"}}, '
                   f'tensor<{E + 1}xi32> {{moe.name = "offsets"}}, tensor<?xi32> {{moe.name = "tokens"}}')
        return (f"func.func @layer(\n    " + ",\n    ".join(args) +
                f")\n    -> ({results}) {{" + body.rstrip() + "\n}")

    def write(self, seed):
        base = "%S/Inputs/" + self.name
        save(self.name + "-weights", self.weights, seed)
        runs = []
        for t in T_SIZES:
            x = (self.rng.standard_normal((t, H)) * self.x_scale).astype(np.float32)
            save(f"{self.name}-t{t}", {"x": x, **self.expected(x.astype(np.float64))}, seed)
            runs.append(f"--inputs={base}-weights.safetensors,{base}-t{t}.safetensors "
                        f"--expect={base}-t{t}.safetensors --tolerance=1e-12")
        # A shared expert that is added to the routed sum, and the same layer with
        # it folded in as an always-chosen one. A gated one is folded only.
        if self.shared != "gated":
            write_mlir(self.name, runs, self.mlir())
        if self.shared:
            write_mlir(self.name + "-folded", runs, self.mlir(fold_shared=True))


def layers(oracle, rng):
    def topk(preset, k, **more):
        return lambda o, z, bias: o.route_topk(z, k, select_bias=bias, **o.PRESETS[preset], **more)
    make = lambda *a, **kw: Layer(oracle, rng, *a, **kw)
    return [
        make("mixtral", 8, 2, topk("mixtral", 2), "#moe.top_k<2>", "#moe.softmax", when="after"),
        make("qwen3", 7, 3, topk("qwen3_norm", 3), "#moe.top_k<3>",
             "#moe.normalize<sum, eps = 0.0>", dtype="bf16"),
        make("olmoe", 6, 6, topk("olmoe", 6), "#moe.top_k<6>", ""),
        make("qwen2-moe", 5, 2, topk("olmoe", 2), "#moe.top_k<2>", "", shared="gated"),
        make("deepseek-v2", 6, 2, topk("deepseek_v2", 2, groups=3, topk_group=2, scale=1.5),
             "#moe.group_top_k<2, groups = 3, keep = 2, reduce = max>", "#moe.scale<1.5>",
             shared="plain"),
        make("deepseek-v3", 12, 3, topk("deepseek_v3", 3, groups=4, topk_group=2, scale=2.5),
             "#moe.group_top_k<3, groups = 4, keep = 2, reduce = top2>",
             "#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<2.5>", score="sigmoid",
             select_bias=True, shared="plain"),
        make("llama4", 4, 1, topk("llama4", 1), "#moe.top_k<1>", "#moe.sigmoid",
             when="after", weight_on="input", shared="plain"),
        make("gpt-oss", 6, 2, topk("gpt_oss", 2), "#moe.top_k<2>", "#moe.softmax",
             when="after", router_bias=True, biases=True, act="swiglu_clamped",
             act_attr="#moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>", x_scale=4.0),
        make("switch", 3, 1, lambda o, z, bias: o.switch_route(z, 1)[:2], "#moe.top_k<1>", "",
             gated=False, act="relu", act_attr="#moe.relu", capacity=1),
        make("ernie", 6, 2, topk("ernie45", 2), "#moe.top_k<2>",
             "#moe.normalize<clamp, min = 1.0e-12>", select_bias=True),
        make("dbrx", 6, 2, topk("dbrx", 2), "#moe.top_k<2>",
             "#moe.normalize<p_norm, p = 1.0>", gated=True, act="gelu", act_attr="#moe.gelu"),
    ]


# --------------------------------------------------------------------------
# Adversarial scores
# --------------------------------------------------------------------------

def adversarial_scores(rng):
    nan, inf = np.nan, np.inf
    rows = [
        [1, 2, 2, 1, 2, 1],                    # ties
        [0.0, -0.0, 0.0, -0.0, 0.0, -0.0],     # zeros are equal whatever their sign
        [nan, 1, nan, -inf, 2, nan],           # NaN after -inf
        [nan] * 6,
        [-inf] * 6,
        [inf, 1, inf, 0, -inf, 2],
        [-inf, -inf, 3, -inf, -inf, -inf],     # fewer finite scores than slots
        [-1, -2, -3, -4, -5, -6],              # all below zero: a mask of 0 would win
        [1e-320, 0, -1e-320, 5e-324, 0, 0],    # denormals (of f64; zeros in f32)
        [3, 3, 3, 3, 3, 3],
        [6, 1, 5, 5, 4, 4],                    # groups of two: sums 7, 10, 8
    ]
    return np.concatenate([np.array(rows), rng.standard_normal((3, 6))]).astype(np.float64)


def write_adversarial(oracle, rng, seed):
    z = adversarial_scores(rng)
    cases = []   # name, policy, weighing, route

    def add(name, policy, weighing, k, **kw):
        idx, w = oracle.route_topk(z, k, **kw)
        if kw["fn"] == "softmax":
            # Softmax over a row with +inf is NaN throughout (inf - inf); the
            # oracle gives NaN to the infinite ones only.
            w = np.where(np.take_along_axis(z, idx, 1).max(1, keepdims=True) == np.inf, np.nan, w)
        cases.append((name, policy, weighing, k, idx, w))

    for k in (1, 3, 6):
        add(f"top{k}", f"#moe.top_k<{k}>", "", k, fn="identity")
    add("softmax", "#moe.top_k<3>", "#moe.softmax", 3, fn="softmax", when="after")
    add("sigmoid", "#moe.top_k<3>", "#moe.sigmoid", 3, fn="sigmoid", when="after")
    add("sigmoid_sum", "#moe.top_k<3>", "#moe.sigmoid, #moe.normalize<sum, eps = 0.0>", 3,
        fn="sigmoid", when="after", norm="sum")
    for reduce in ("max", "top2"):
        for keep in (1, 2, 3):
            k = 2 * keep if keep < 3 else 4
            add(f"group_{reduce}_{keep}",
                f"#moe.group_top_k<{k}, groups = 3, keep = {keep}, reduce = {reduce}>", "", k,
                fn="identity", groups=3, topk_group=keep, group_reduce=reduce)

    data = {"z": z}
    body, kinds, values = "", [], []
    for name, policy, weighing, k, idx, w in cases:
        rt = f"!moe.routing<6 x {k}>"
        listed = f" weighing [{weighing}]" if weighing else ""
        body += f"""
  %r_{name} = moe.router {policy} select(%z) weigh(%z){listed} : tensor<?x6xf64> -> {rt}
  %i_{name} = moe.routing.indices %r_{name} : {rt} -> tensor<?x{k}xi32>
  %w_{name} = moe.routing.weights %r_{name} : {rt} -> tensor<?x{k}xf64>"""
        kinds += [(f"tensor<?x{k}xi32>", f"{name}.idx"), (f"tensor<?x{k}xf64>", f"{name}.w")]
        values += [f"%i_{name}", f"%w_{name}"]
        data[f"{name}.idx"] = idx.astype(np.int32)
        data[f"{name}.w"] = np.asarray(w, np.float64)
    results = ", ".join(f'{k} {{moe.name = "{n}"}}' for k, n in kinds)
    text = (f'func.func @route(%z: tensor<?x6xf64> {{moe.name = "z"}})\n    -> ({results}) {{{body}\n'
            f"  return {', '.join(values)} : {', '.join(k for k, _ in kinds)}\n}}")
    save("adversarial", data, seed)
    file = "%S/Inputs/adversarial.safetensors"
    write_mlir("adversarial", [f"--inputs={file} --expect={file} --tolerance=1e-14"], text)


# --------------------------------------------------------------------------
# Activations
# --------------------------------------------------------------------------

def write_activations(oracle, rng, seed):
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-3, -1e-3, 7.0, 7.5, -7.5, 30.0, -30.0, 800.0, -800.0]
    x = np.concatenate([special, rng.standard_normal(6) * 3])[:, None].astype(np.float32)
    gate, up = np.full((1, 1), 1.0, np.float32), np.full((1, 1), 1.25, np.float32)
    down = np.full((1, 1), 0.5, np.float32)
    data = {"x": x, "gate": gate, "up": up, "down": down}
    cases = []
    for act in ("silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh", "identity"):
        cases.append((act + ".gated", f"#moe.{act}", True, act))
        cases.append((act + ".plain", f"#moe.{act}", False, act))
    cases.append(("clamped.gpt_oss", "#moe.clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>",
                  True, (1.702, 7.0, 1.0)))
    cases.append(("clamped.deepseek_v4", "#moe.clamped_swiglu<alpha = 1.0, limit = 10.0, offset = 0.0>",
                  True, (1.0, 10.0, 0.0)))
    body, values = "", []
    one, rows = "tensor<1x1xf32>", "tensor<?x1xf32>"

    def emit(name, gated, tail):
        nonlocal body
        gate_text = "gate(%g) " if gated else ""
        kinds = ", ".join([rows] + [one] * (3 if gated else 2))
        value = f"%{len(values)}"
        body += f"\n  {value} = moe.ffn %x {gate_text}up(%u) down(%d) {tail.format(kinds=f'({kinds}) -> {rows}')}"
        values.append((value, name))

    for name, attr, gated, act in cases:
        emit(name, gated, f"activation({attr}) : {{kinds}}")
        data[name] = oracle.ffn(x, up, down, gate if gated else None, act)
    # The same as regions, one that is a list of scalar ops and one that is not.
    emit("silu.region", True, """: {kinds} body {{
  ^bb0(%a: f32, %b: f32):
    %one = arith.constant 1.0 : f32
    %n = arith.negf %a : f32
    %e = math.exp %n : f32
    %p = arith.addf %e, %one : f32
    %s = arith.divf %a, %p : f32
    %h = arith.mulf %s, %b : f32
    moe.yield %h : f32
  }}""")
    data["silu.region"] = data["silu.gated"].copy()
    emit("relu.region", False, """: {kinds} body {{
  ^bb0(%b: f32):
    %zero = arith.constant 0.0 : f32
    %below = arith.cmpf olt, %b, %zero : f32
    %h = scf.if %below -> f32 {{
      scf.yield %zero : f32
    }} else {{
      scf.yield %b : f32
    }}
    moe.yield %h : f32
  }}""")
    data["relu.region"] = data["relu.plain"].copy()
    # exp(-x) of the region overflows where the named form does not: -inf / inf.
    results = ", ".join(f'{rows} {{moe.name = "{n}"}}' for _, n in values)
    text = (f'func.func @activations(%x: {rows} {{moe.name = "x"}}, %g: {one} {{moe.name = "gate"}},\n'
            f'    %u: {one} {{moe.name = "up"}}, %d: {one} {{moe.name = "down"}})\n    -> ({results}) {{{body}\n'
            f"  return {', '.join(v for v, _ in values)} : {', '.join([rows] * len(values))}\n}}")
    save("activations", data, seed)
    file = "%S/Inputs/activations.safetensors"
    write_mlir("activations", [f"--inputs={file} --expect={file} --tolerance=1e-13"], text)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", required=True, help="the NumPy oracle, a Python file")
    parser.add_argument("--seed", type=int, default=20240607)
    options = parser.parse_args()
    spec = importlib.util.spec_from_file_location("oracle", options.oracle)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    os.makedirs(os.path.join(HERE, "Inputs"), exist_ok=True)
    rng = np.random.default_rng(options.seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        for layer in layers(oracle, rng):
            layer.write(options.seed)
        write_adversarial(oracle, rng, options.seed)
        write_activations(oracle, rng, options.seed)


if __name__ == "__main__":
    main()
