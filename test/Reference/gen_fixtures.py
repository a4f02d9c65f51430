#!/usr/bin/env python3
"""Writes the fixtures of this folder: layers in MLIR, inputs, expected values.

Expected values of layers come from an oracle in NumPy that is no part of this
project, those of routers with data of their own from formulas below:

    python3 gen_fixtures.py [--oracle=PATH/reference.py] [--seed=20240607]

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
                 shared=None, capacity=None, x_scale=1.0,
                 expert_scale=False):
        self.__dict__.update(locals())
        E = experts
        normal = lambda *shape: (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        store = to_bf16 if dtype == "bf16" else (lambda a: a)
        self.weights = {"router.weight": rng.standard_normal((E, H)).astype(np.float32)}
        if router_bias:
            self.weights["router.bias"] = normal(E)
        if select_bias:
            self.weights["router.correction_bias"] = (rng.standard_normal(E) / 2).astype(np.float32)
        if expert_scale:
            self.weights["router.per_expert_scale"] = (1 + rng.standard_normal(E) / 2).astype(np.float32)
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
        if self.expert_scale:
            w = w * v("router.per_expert_scale")[idx]
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
        if self.expert_scale:
            body += (f"  %rs = moe.routing.reweigh %{r} scales(%router_per_expert_scale : tensor<{E}xf32>)"
                     f" : {rt}\n")
            r = "rs"
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


def later_layers(oracle, rng):
    """With numbers of their own, so that the files of the others stay."""
    return [
        Layer(oracle, rng, "gemma4", 9, 3,
              lambda o, z, bias: o.route_topk(z, 3, **o.PRESETS["qwen3_norm"]), "#moe.top_k<3>",
              "#moe.normalize<sum, eps = 0.0>", act="gelu_tanh", act_attr="#moe.gelu_tanh",
              expert_scale=True),
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


# --------------------------------------------------------------------------
# Routers with data of their own, capacity, similarity: no oracle but these
# formulas
# --------------------------------------------------------------------------

ROUTER_SIZES = (0, 1, 5, 37)


def best_first(scores):
    """Places of each row from best to worst: NaN last, the first of equals."""
    s = np.asarray(scores, np.float64)
    nan = np.isnan(s)
    place = np.broadcast_to(np.arange(s.shape[-1]), s.shape)
    return np.lexsort((place, -np.where(nan, 0.0, s), nan), axis=-1)


def row_softmax(z):
    m = np.max(z, axis=-1, keepdims=True, initial=-np.inf)
    e = np.exp(z - m)
    return e / e.sum(axis=-1, keepdims=True)


def taken(values, idx):
    """values[t, idx[t, s]]; 0 in unused slots."""
    v = np.take_along_axis(values, np.maximum(idx, 0), 1)
    return np.where(idx >= 0, v, 0.0)


def used_softmax(v, idx):
    out = np.zeros_like(v)
    for t in range(len(v)):
        used = idx[t] >= 0
        if used.any():
            out[t, used] = row_softmax(v[t, used])
    return out


def token_k(z, k, most):
    idx = best_first(z)[:, :most]
    return np.where(np.arange(most) < k[:, None], idx, -1)


def gshard(p, second, threshold=None, u=None, raw=False):
    idx = best_first(p)[:, :2].copy()
    pair = taken(p, idx)
    g = pair / pair.sum(1, keepdims=True)
    share = pair[:, 1] if raw else g[:, 1]
    if second == "none":
        keep = np.zeros(len(p), bool)
    elif second == "threshold":
        keep = g[:, 1] > threshold
    elif second == "random":
        keep = u < (2 * share if threshold is None else share / threshold)
    else:
        keep = np.ones(len(p), bool)
    idx[~keep, 1] = -1
    return idx, np.where(idx >= 0, g, 0.0)


def sparse_mixer(z, eps):
    idx = best_first(z)[:, :2]
    w = np.zeros(idx.shape)
    for t in range(len(z)):
        for r in range(2):
            m = z[t, idx[t, r]]
            far = (m - z[t]) / np.maximum(np.abs(z[t]), m) > 2 * eps
            if r == 1:
                far[idx[t, 0]] = True
            # The softmax over the others, at its largest.
            w[t, r] = 1.0 / np.exp(z[t, ~far] - m).sum()
    return idx, w


def similarity(x, c, metric):
    if metric == "l2":
        return -np.square(x[:, None, :] - c[None, :, :]).sum(-1)
    if metric == "cosine":
        x = x / np.maximum(np.sqrt(np.square(x).sum(1, keepdims=True)), 1e-12)
        c = c / np.maximum(np.sqrt(np.square(c).sum(1, keepdims=True)), 1e-12)
    return x @ c.T


def sinkhorn_plan(z, tolerance, iterations):
    c = np.exp(z)
    T, E = c.shape
    d1 = np.ones(E)
    for _ in range(iterations):
        d0 = (1.0 / T) / (c @ d1 + 1e-8)
        new = (1.0 / E) / (c.T @ d0 + 1e-8)
        error = np.abs(d1 - new).mean()
        d1 = new
        if not error > tolerance:
            break
    return d1 * c * d0[:, None]


def capacity(tokens, slots, experts, factor, rounding, minimum):
    exact = tokens * slots * factor / experts
    rounded = {"ceil": np.ceil, "floor": np.floor, "nearest": np.rint}[rounding](exact)
    return max(minimum, int(rounded))


def limited(idx, w, experts, by="position", size=None, priority=None, fixed=None,
            factor=None, rounding="ceil", minimum=1):
    idx, w = idx.copy(), w.copy()
    T, K = idx.shape
    size = size or max(T, 1)
    for begin in range(0, T, size):
        n = min(size, T - begin)
        room = [fixed or capacity(n, K, experts, factor, rounding, minimum)] * experts
        if by == "probability":
            flat = best_first(w[begin:begin + n].reshape(1, -1))[0]
            order = [(i // K, i % K) for i in flat]
        else:
            queue = range(n) if by == "position" else best_first(priority[None, begin:begin + n])[0]
            order = [(t, s) for s in range(K) for t in queue]
        for t, s in order:
            e = idx[begin + t, s]
            if e < 0:
                continue
            if room[e] > 0:
                room[e] -= 1
            else:
                idx[begin + t, s], w[begin + t, s] = -1, 0.0
    return idx, w


def assignments(idx, experts):
    """Offsets of the experts, and the token of each assignment."""
    pairs = sorted((e, t) for t, row in enumerate(idx) for e in row if e >= 0)
    counts = np.bincount([e for e, _ in pairs] or [0], minlength=experts)
    counts = counts if pairs else np.zeros(experts, int)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    return offsets.astype(np.int32), np.array([t for _, t in pairs], np.int32)


class RouterFixture:
    """One function of many routers over the same inputs."""

    def __init__(self, name, arguments):
        self.name, self.arguments = name, arguments  # (name, type)
        self.body, self.results = "", []

    def add(self, name, text, experts, slots):
        """`text` defines %NAME, a routing."""
        rt = f"!moe.routing<{experts} x {slots}>"
        v = "%" + name
        self.body += "\n  " + text.strip().replace("ROUTING", rt) + f"""
  {v}_i = moe.routing.indices {v} : {rt} -> tensor<?x{slots}xi32>
  {v}_w = moe.routing.weights {v} : {rt} -> tensor<?x{slots}xf64>
  {v}_o = moe.routing.offsets {v} : {rt} -> tensor<{experts + 1}xi32>
  {v}_t = moe.routing.tokens {v} : {rt} -> tensor<?xi32>"""
        self.results += [(f"{v}_i", f"tensor<?x{slots}xi32>", name + ".idx"),
                         (f"{v}_w", f"tensor<?x{slots}xf64>", name + ".w"),
                         (f"{v}_o", f"tensor<{experts + 1}xi32>", name + ".offsets"),
                         (f"{v}_t", "tensor<?xi32>", name + ".tokens")]

    def add_tensor(self, name, text, kind):
        self.body += "\n  " + text.strip()
        self.results.append(("%" + name, kind, name))

    def write(self, files, seed, tolerance="1e-12"):
        """`files`: name -> (inputs, expected)."""
        def named(kind, name):
            dims = ', moe.dims = ["T"]' if kind.startswith("tensor<?") and "tokens" not in name else ""
            return f'{{moe.name = "{name}"{dims}}}'
        args = ",\n    ".join(f"%{n}: {k} {named(k, n)}" for n, k in self.arguments)
        results = ", ".join(f'{k} {{moe.name = "{n}"}}' for _, k, n in self.results)
        text = (f"func.func @route(\n    {args})\n    -> ({results}) {{{self.body}\n"
                f"  return {', '.join(v for v, _, _ in self.results)} : "
                f"{', '.join(k for _, k, _ in self.results)}\n}}")
        runs = []
        for suffix, (inputs, expected) in files.items():
            full = f"{self.name}-{suffix}"
            save(full, {**inputs, **expected}, seed)
            file = f"%S/Inputs/{full}.safetensors"
            runs.append(f"--inputs={file} --expect={file} --tolerance={tolerance}")
        write_mlir(self.name, runs, text)


def routed(name, idx, w, experts):
    offsets, tokens = assignments(idx, experts)
    return {name + ".idx": idx.astype(np.int32), name + ".w": np.asarray(w, np.float64),
            name + ".offsets": offsets, name + ".tokens": tokens}


def write_token_routers(rng, seed):
    E = 6
    cases = {f"t{t}": rng.standard_normal((t, E)) * 2 for t in ROUTER_SIZES}
    cases["adversarial"] = adversarial_scores(rng)

    # A number of experts for each token.
    f = RouterFixture("token-k", [("z", f"tensor<?x{E}xf64>"), ("k", "tensor<?xi32>")])
    f.add("plain", f"%plain = moe.router #moe.token_k<4> select(%z) weigh(%z)"
          f" using(%k : tensor<?xi32>) : tensor<?x{E}xf64> -> ROUTING", E, 4)
    f.add("softmax", f"%softmax = moe.router #moe.token_k<4> select(%z) weigh(%z)"
          f" using(%k : tensor<?xi32>) weighing [#moe.softmax] : tensor<?x{E}xf64> -> ROUTING", E, 4)
    f.add("all", f"%all = moe.router #moe.token_k<6> select(%z)"
          f" using(%k : tensor<?xi32>) : tensor<?x{E}xf64> -> ROUTING", E, 6)
    files = {}
    for suffix, z in cases.items():
        k = rng.integers(-2, E + 3, len(z)).astype(np.int32)
        k[:2] = [0, 2**31 - 1][:len(k)]
        four, six = token_k(z, k, 4), token_k(z, k, 6)
        v = taken(z, four)
        soft = used_softmax(v, four)
        # A +inf among the chosen makes all of them NaN.
        soft[(v == np.inf).any(1)[:, None] & (four >= 0)] = np.nan
        files[suffix] = ({"z": z, "k": k}, {
            **routed("plain", four, v, E), **routed("softmax", four, soft, E),
            **routed("all", six, np.where(six >= 0, 1.0, 0.0), E)})
    f.write(files, seed)

    # The best two, the second on a condition.
    f = RouterFixture("gshard", [("p", f"tensor<?x{E}xf64>"), ("u", "tensor<?xf32>")])
    forms = [("all", "second = all", dict(second="all")),
             ("none", "second = none", dict(second="none")),
             ("threshold", "second = threshold, threshold = 0.3", dict(second="threshold", threshold=0.3)),
             ("random", "second = random", dict(second="random")),
             ("mesh", "second = random, threshold = 0.2", dict(second="random", threshold=0.2)),
             ("nllb", "second = random, raw = true", dict(second="random", raw=True))]
    for name, text, how in forms:
        using = " using(%u : tensor<?xf32>)" if how["second"] == "random" else ""
        f.add(name, f"%{name} = moe.router #moe.gshard<{text}> select(%p){using}"
              f" : tensor<?x{E}xf64> -> ROUTING", E, 2)
    files = {}
    for suffix, z in cases.items():
        p = z if suffix == "adversarial" else row_softmax(z)
        u = rng.random(len(z)).astype(np.float32)
        expected = {}
        for name, _, how in forms:
            u64 = u.astype(np.float64) if how["second"] == "random" else None
            expected.update(routed(name, *gshard(p, u=u64, **how), E))
        files[suffix] = ({"p": p, "u": u}, expected)
    f.write(files, seed)

    # Two rounds against near rivals.
    f = RouterFixture("sparse-mixer", [("z", f"tensor<?x{E}xf64>")])
    widths = [("phi", "0.01", 0.01), ("wide", "0.25", 0.25), ("zero", "0.0", 0.0)]
    for name, text, _ in widths:
        f.add(name, f"%{name} = moe.router #moe.sparse_mixer<eps = {text}> select(%z)"
              f" : tensor<?x{E}xf64> -> ROUTING", E, 2)
    files = {}
    for suffix, z in cases.items():
        expected = {}
        for name, _, eps in widths:
            expected.update(routed(name, *sparse_mixer(z, eps), E))
        files[suffix] = ({"z": z}, expected)
    f.write(files, seed)

    # Experts by token id.
    V, K = 11, 3
    f = RouterFixture("hash", [("v", f"tensor<?x{E}xf64>"), ("ids", "tensor<?xi32>"),
                               ("table", f"tensor<{V}x{K}xi32>")])
    f.add("ones", f"%ones = moe.router #moe.hash<table, {K}> weigh(%v)"
          f" using(%ids, %table : tensor<?xi32>, tensor<{V}x{K}xi32>) : tensor<?x{E}xf64> -> ROUTING", E, K)
    f.add("v4", f"%v4 = moe.router #moe.hash<table, {K}> weigh(%v)"
          f" using(%ids, %table : tensor<?xi32>, tensor<{V}x{K}xi32>)"
          f" weighing [#moe.normalize<sum, eps = 1.0e-20>, #moe.scale<1.5>]"
          f" : tensor<?x{E}xf64> -> ROUTING", E, K)
    f.add("mod", f"%mod = moe.router #moe.hash<mod, 1> weigh(%v) using(%ids : tensor<?xi32>)"
          f" : tensor<?x{E}xf64> -> ROUTING", E, 1)
    files = {}
    for t in ROUTER_SIZES:
        v = rng.random((t, E)) + 0.1
        ids = rng.integers(0, V, t).astype(np.int32)
        table = np.stack([rng.permutation(E)[:K] for _ in range(V)]).astype(np.int32)
        idx = table[ids].reshape(t, K)
        w = taken(v, idx)
        mod = (ids % E)[:, None]
        files[f"t{t}"] = ({"v": v, "ids": ids, "table": table}, {
            **routed("ones", idx, w, E),
            **routed("v4", idx, 1.5 * w / (w.sum(1, keepdims=True) + 1e-20), E),
            **routed("mod", mod, taken(v, mod), E)})
    f.write(files, seed)

    # The most similar centroids.
    E, D = 5, 4
    f = RouterFixture("nearest-centroid", [("x", f"tensor<?x{D}xf64>"), ("c", f"tensor<{E}x{D}xf64>")])
    for metric in ("cosine", "dot", "l2"):
        f.add_tensor(f"s_{metric}", f"%s_{metric} = moe.similarity %x, %c metric({metric})"
                     f" : tensor<?x{D}xf64>, tensor<{E}x{D}xf64> -> tensor<?x{E}xf64>", f"tensor<?x{E}xf64>")
        f.add(metric, f"%{metric} = moe.router #moe.nearest_centroid<2> select(%s_{metric})"
              f" : tensor<?x{E}xf64> -> ROUTING", E, 2)
        f.add(metric + "_soft", f"%{metric}_soft = moe.router"
              f" #moe.nearest_centroid<3, temperature = 0.5> select(%s_{metric})"
              f" : tensor<?x{E}xf64> -> ROUTING", E, 3)
    files = {}
    for t in ROUTER_SIZES:
        x, c = rng.standard_normal((t, D)), rng.standard_normal((E, D))
        x[3:4] = 0.0
        c[2] = 0.0
        expected = {}
        for metric in ("cosine", "dot", "l2"):
            s = similarity(x, c, metric)
            two, three = best_first(s)[:, :2], best_first(s)[:, :3]
            expected["s_" + metric] = s
            expected.update(routed(metric, two, np.full(two.shape, 0.5), E))
            expected.update(routed(metric + "_soft", three, row_softmax(taken(s, three) / 0.5), E))
        files[f"t{t}"] = ({"x": x, "c": c}, expected)
    f.write(files, seed)

    # Balanced plans.
    E = 6
    f = RouterFixture("sinkhorn", [("z", f"tensor<?x{E}xf64>"), ("v", f"tensor<?x{E}xf64>")])
    plans = [("megatron", 1, "1.0e-4", 1e-4, 1000), ("two", 2, "1.0e-4", 1e-4, 1000),
             ("early", 2, "0.0", 0.0, 3)]
    for name, k, text, _, iterations in plans:
        f.add(name, f"%{name} = moe.router #moe.sinkhorn<{k}, tolerance = {text},"
              f" iterations = {iterations}> select(%z) weigh(%v) : tensor<?x{E}xf64> -> ROUTING", E, k)
    files = {}
    for suffix, z in cases.items():
        if suffix == "adversarial":
            # All of it would be NaN; of finite rows, ties and zeros.
            z = z[[0, 1, 7, 9, 10, 11, 12]]
        if len(z) == 1:
            # The plan of one token is flat whatever its scores: only ties are a
            # choice that rounding does not make.
            z = np.zeros((1, E))
        v, expected = rng.random((len(z), E)), {}
        for name, k, _, tolerance, iterations in plans:
            plan = sinkhorn_plan(z, tolerance, iterations) if len(z) else z
            idx = best_first(plan)[:, :k]
            expected.update(routed(name, idx, taken(v, idx), E))
        files[suffix] = ({"z": z, "v": v}, expected)
    z = cases["t5"].copy()
    z[1, 2] = np.nan
    idx = np.tile([0, 1], (5, 1))
    v = rng.random((5, E))
    files["nan"] = ({"z": z, "v": v}, {
        **routed("megatron", idx[:, :1], taken(v, idx[:, :1]), E),
        **routed("two", idx, taken(v, idx), E), **routed("early", idx, taken(v, idx), E)})
    f.write(files, seed)

    # Limited experts.
    E, K = 4, 2
    f = RouterFixture("capacity", [("idx", f"tensor<?x{K}xi32>"), ("w", f"tensor<?x{K}xf64>"),
                                   ("pr", "tensor<?xf32>")])
    forms = [("switch", "factor 1.25", dict(factor=1.25)),
             ("floor", "factor 0.7 rounding floor", dict(factor=0.7, rounding="floor")),
             ("nearest", "factor 0.5 rounding nearest minimum 2",
              dict(factor=0.5, rounding="nearest", minimum=2)),
             ("groups", "factor 0.75 group_size 4", dict(factor=0.75, size=4)),
             ("fixed", "capacity 2 group_size 5", dict(fixed=2, size=5)),
             ("priority", "factor 0.5 by batch_priority(%pr : tensor<?xf32>)",
              dict(factor=0.5, by="batch_priority")),
             ("priority_groups", "capacity 1 group_size 3 by batch_priority(%pr : tensor<?xf32>)",
              dict(fixed=1, size=3, by="batch_priority")),
             ("probability", "factor 0.5 by probability", dict(factor=0.5, by="probability")),
             ("probability_groups", "capacity 2 group_size 7 by probability",
              dict(fixed=2, size=7, by="probability"))]
    make = (f"%r = moe.routing.make %idx, %w : tensor<?x{K}xi32>, tensor<?x{K}xf64>"
            f" -> !moe.routing<{E} x {K}>\n  ")
    for i, (name, text, _) in enumerate(forms):
        f.add(name, (make if i == 0 else "") + f"%{name} = moe.routing.limit %r {text} : ROUTING", E, K)
    f.add("again", "%again = moe.routing.reweigh %switch"
          " weighing [#moe.normalize<clamp, min = 1.1920928955078125e-07>] : ROUTING", E, K)
    files = {}
    for t in ROUTER_SIZES + (-12,):
        t, special = abs(t), t < 0
        idx = np.stack([rng.permutation(E)[:K] for _ in range(t)]).reshape(t, K) if t else np.zeros((0, K), int)
        idx = np.where(rng.random((t, K)) < 0.15, -1, idx)
        w = rng.random((t, K))
        pr = rng.random(t).astype(np.float32)
        if special:
            # Everything to one expert; ties, zeros, infinities and NaN.
            idx = np.tile([1, -1], (t, 1))
            w[:, 0] = [1, np.nan, 1, -np.inf, 0, -0.0, 2, 2, np.inf, np.nan, 1e-310, 1]
            pr = np.array([1, 1, np.nan, -np.inf, 0, -0.0, 3, 3, np.inf, np.nan, 1e-40, 1], np.float32)
        w = np.where(idx >= 0, w, 0.0)
        expected = {}
        for name, _, how in forms:
            expected.update(routed(name, *limited(idx, w, E, priority=pr.astype(np.float64), **how), E))
        kept, kw = limited(idx, w, E, factor=1.25)
        total = np.where(kept >= 0, kw, 0.0).sum(1, keepdims=True)
        # The larger of NaN and a number is NaN.
        expected.update(routed("again", kept, np.where(kept >= 0, kw / np.maximum(total, 2.0**-23), 0.0), E))
        files["special" if special else f"t{t}"] = ({"idx": idx.astype(np.int32), "w": w, "pr": pr}, expected)
    f.write(files, seed)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--oracle", help="the NumPy oracle, a Python file; without it "
                        "only the fixtures with formulas of their own are written")
    parser.add_argument("--seed", type=int, default=20240607)
    options = parser.parse_args()
    os.makedirs(os.path.join(HERE, "Inputs"), exist_ok=True)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        write_token_routers(np.random.default_rng(options.seed + 1), options.seed + 1)
    if not options.oracle:
        return
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
        for layer in later_layers(oracle, np.random.default_rng(options.seed + 2)):
            layer.write(options.seed + 2)


if __name__ == "__main__":
    main()
