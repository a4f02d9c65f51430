"""Random routers, compiled and run, against the interpreter.

usage: fuzz_routers.py [--seed=S] [--runs=N] [--case=C] [--cases=12]
                       [--emulators=a72,a76,...] [--keep=DIR] [--corrupt=KIND]

A run draws `--cases` routers (policy, parameters, computation of the scores,
weighing, appended experts, capacity) into one function, compiles it once for
all targets, and runs it with `--batches` sets of scores, at every level of
x86-64 with one thread and with two, or with `--emulators` on emulated AArch64
CPUs beside. What has to hold:

- indices, offsets and tokens are the interpreter's; weights within 2e-6;
- all runs give the same bits (but for the sign and payload of a NaN);
- no token has an expert twice, unused slots are where a policy may leave some,
  offsets and tokens follow from indices.

Where the f32 computation of a score, or of what it is compared with, may round
to another choice, a token is compared with its own invariants only; scores that
are given are compared exactly. The summary says how many tokens that were.

Run i of a seed S is seed S + i. A failure prints the command that repeats it
alone, and keeps its IR and tensors. --corrupt changes one number of a result
before it is compared: the script then has to fail.
"""

import os
import sys

import numpy as np

from fuzzlib import CPUS, Failure, Fuzzer, load, number, run, save

EXPERTS = [*range(1, 71), 128, 256]
TOKENS = [0, 1, 2, 7, 15, 16, 17, 63, 64, 65, 130, 700]
HIDDEN = 9
POLICIES = ["top_k", "group_top_k", "top_any", "threshold", "min_p", "top_p", "token_k", "gshard", "sparse_mixer",
            "hash", "nearest_centroid", "expert_choice", "sinkhorn"]
MASKS = ("top_any", "threshold", "min_p", "expert_choice")
OWN_VALUES = ("top_any", "gshard", "sparse_mixer", "nearest_centroid")
FULL = ("top_k", "group_top_k", "sparse_mixer", "hash", "nearest_centroid", "sinkhorn")
STEPS = {"softmax": "#moe.softmax", "sigmoid": "#moe.sigmoid", "scale": "#moe.scale<2.5>",
         "sum0": "#moe.normalize<sum, eps = 0.0>", "sum": "#moe.normalize<sum, eps = 1.0e-20>",
         "clamp": "#moe.normalize<clamp, min = 1.0e-12>",
         "p1": "#moe.normalize<p_norm, p = 1.0>", "p2": "#moe.normalize<p_norm, p = 2.0>"}
F32_MAX = float(np.finfo(np.float32).max)


# -- Scores -------------------------------------------------------------------


def score_row(rng, e):
    kind = rng.integers(12)
    if kind == 0:
        return rng.choice([-1.0, -0.5, 0.0, -0.0, 0.5, 1.0], e)
    if kind == 1:
        return np.full(e, rng.choice([0.0, -0.0, 1.0, -3.5, np.nan, np.inf, -np.inf]))
    if kind == 2:
        return np.sort(rng.standard_normal(e)) * rng.choice([-1, 1])
    if kind == 3:
        return rng.integers(-4, 5, e) * 1e-45
    if kind == 4:
        return rng.choice([-1, 1], e) * 10.0 ** rng.uniform(-38, 38, e)
    row = rng.standard_normal(e) * rng.choice([0.1, 1, 4, 30])
    if kind in (5, 6):
        special = rng.random(e) < rng.choice([0.1, 0.5, 0.95])
        row = np.where(special, rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0] if kind == 5 else [np.nan], e), row)
    if kind == 7:
        return rng.integers(0, 8, e) / 8
    if kind == 8:
        return rng.random(e)
    return row


def make_scores(rng, t, e, tame):
    if tame:
        z = rng.standard_normal((t, e)) * rng.choice([0.5, 2.0])
        if t and rng.random() < 0.2:
            z[rng.integers(t)] = rng.integers(-2, 3, e)
        if t and rng.random() < 0.1:
            z[rng.integers(t), rng.integers(e)] = np.nan
    else:
        z = np.stack([score_row(rng, e) for _ in range(t)]) if t else np.zeros((0, e))
    return z.astype(np.float32)


# -- Routers ------------------------------------------------------------------


class Case:
    def __init__(self, seed, index):
        self.index = index
        self.seed = seed
        rng = np.random.default_rng([seed, index])
        self.p = f"c{index}"
        # Each policy about as often as any other.
        order = np.random.default_rng([seed]).permutation(POLICIES)
        self.policy = str(order[index % len(order)])
        # The sizes of a function have a limit: few have results of the size of
        # a list, and those are where its length is known.
        self.lists = index % 6 == 0
        if self.lists:
            self.policy = str(rng.choice([p for p in POLICIES if p in FULL] or POLICIES))
        self.draw_policy(rng)
        self.draw_scores(rng)
        self.draw_weighing(rng)
        self.draw_after(rng)
        self.draw_views(rng)

    # What is drawn.

    def draw_policy(self, rng):
        p = self.policy
        e = int(rng.choice(EXPERTS)) if rng.random() < 0.7 else int(rng.choice([1, 2, 8, 16, 17, 64, 128, 256]))
        if p in ("gshard", "sparse_mixer"):
            e = max(e, 2)
        if p == "sinkhorn":
            e = min(e, 40)
        self.e = e
        self.using = {}
        k = int(rng.integers(1, min(e, 17) + 1))
        if rng.random() < 0.1:
            k = min(e, int(rng.integers(1, 41)))
        self.k = k
        self.tame = p == "sinkhorn" or (p in ("gshard", "min_p", "top_p", "sparse_mixer") and rng.random() < 0.5)
        if p == "top_k":
            self.attr = f"#moe.top_k<{k}>"
        elif p == "group_top_k":
            top2 = e > 1 and rng.random() < 0.5
            options = [g for g in range(1, e + 1) if e % g == 0 and (not top2 or e // g >= 2)]
            groups = int(rng.choice(options))
            keep = int(rng.integers(1, groups + 1))
            self.k = min(k, keep * (e // groups))
            self.groups, self.keep, self.top2 = groups, keep, top2
            self.attr = f"#moe.group_top_k<{self.k}, groups = {groups}, keep = {keep}, reduce = {'top2' if top2 else 'max'}>"
        elif p == "top_any":
            self.k, self.min_k = e, int(rng.integers(2))
            fall = ", fallback = score" if self.min_k and rng.random() < 0.5 else ""
            self.attr = f"#moe.top_any<min_k = {self.min_k}{fall}>"
            self.using["thresholds"] = (f"tensor<{e}xf32>", "thresholds")
        elif p == "threshold":
            self.k, self.min_k = e, int(rng.integers(2))
            self.value = np.float32(rng.choice([0.0, 0.5, 1.0, -0.5, rng.standard_normal()]))
            self.attr = f"#moe.threshold<{number(self.value)}, min_k = {self.min_k}>"
        elif p == "min_p":
            self.k = e
            self.value = np.float32(rng.choice([0.0, 0.25, 0.5, 1.0, rng.random()]))
            self.attr = f"#moe.min_p<{number(self.value)}>"
        elif p == "top_p":
            self.k, self.strict = e, bool(rng.integers(2))
            self.value = np.float32(rng.choice([0.0, 0.375, 0.5, 1.0, 2.0, rng.random()]))
            self.attr = f"#moe.top_p<{number(self.value)}, strict = {str(self.strict).lower()}>"
        elif p == "token_k":
            self.attr = f"#moe.token_k<{k}>"
            self.using["k"] = ("tensor<?xi32>", "k")
        elif p == "gshard":
            self.k = 2
            self.second = str(rng.choice(["all", "none", "threshold", "random"]))
            self.limit = np.float32(rng.choice([0.2, 0.25, 0.5]))
            self.raw = self.second == "random" and rng.random() < 0.4
            has = self.second == "threshold" or (self.second == "random" and rng.random() < 0.5)
            self.has_limit = has
            self.attr = (f"#moe.gshard<second = {self.second}" + (f", threshold = {number(self.limit)}" if has else "")
                         + (", raw = true" if self.raw else "") + ">")
            if self.second == "random":
                self.using["u"] = ("tensor<?xf32>", "u")
        elif p == "sparse_mixer":
            self.k = 2
            self.value = np.float32(rng.choice([0.01, 0.125, 0.5]))
            self.attr = f"#moe.sparse_mixer<eps = {number(self.value)}>"
        elif p == "hash":
            mod = rng.random() < 0.3
            self.k = 1 if mod else k
            self.rows = int(rng.integers(1, 60))
            self.attr = f"#moe.hash<{'mod' if mod else 'table'}, {self.k}>"
            self.using["ids"] = ("tensor<?xi32>", "ids")
            if not mod:
                self.using["table"] = (f"tensor<{self.rows}x{self.k}xi32>", "table")
        elif p == "nearest_centroid":
            self.value = np.float32(rng.choice([0.0, 0.125, 0.7, 2.0]))
            self.attr = f"#moe.nearest_centroid<{k}" + (f", temperature = {number(self.value)}" if self.value else "") + ">"
        elif p == "expert_choice":
            self.k = e
            self.attr = (f"#moe.expert_choice<capacity = {int(rng.integers(1, 40))}>" if rng.random() < 0.5
                         else f"#moe.expert_choice<factor = {number(rng.choice([0.5, 1.0, 2.0, 1.25]))}>")
        elif p == "sinkhorn":
            self.k = min(k, 4)
            self.attr = f"#moe.sinkhorn<{self.k}, tolerance = 1.0e-4, iterations = {int(rng.choice([1, 20, 1000]))}>"

    def draw_scores(self, rng):
        chains = ["given"] * 5 + ["softmax", "softmax", "sigmoid", "bias", "columns", "minus_max", "projection", "projection"]
        self.chain = str(rng.choice(chains))
        if self.policy == "sinkhorn" or (self.policy == "hash" and self.chain in ("columns", "projection")):
            self.chain = "given"
        self.weigh = None
        if self.policy not in OWN_VALUES and rng.random() < 0.85:
            self.weigh = str(rng.choice(["scores", "scores", "logits", "other"]))
            if self.chain in ("columns", "projection") and self.weigh == "logits":
                self.weigh = "scores"
        self.selects = self.policy != "hash"

    def draw_weighing(self, rng):
        c = rng.integers(10)
        self.region = False
        self.steps = []
        if self.weigh is None and self.policy not in OWN_VALUES:
            c = min(c, 1) if rng.random() < 0.7 else c
        if c in (2, 3):
            self.steps = ["softmax"]
        elif c == 4:
            self.steps = ["sigmoid"]
        elif c == 5:
            self.steps = [str(rng.choice(["sum0", "sum", "clamp", "p1", "p2"]))]
        elif c == 6:
            self.steps = ["sigmoid", "sum"]
        elif c == 7:
            self.region = True
        if c in (1, 3, 5, 6):
            self.steps.append("scale")

    def draw_after(self, rng):
        """Appended experts and capacity."""
        self.after = []
        if rng.random() < 0.25:
            n = int(rng.integers(1, 3))
            self.after.append(("append", n, rng.random() < 0.5))
        if rng.random() < 0.3:
            exact = not self.steps and not self.region and self.policy not in OWN_VALUES and (
                self.weigh is None or self.weigh != "scores" or self.chain in ("given", "columns", "projection"))
            how = str(rng.choice(["plain", "plain", "factor", "group", "priority", "probability"]))
            if how == "probability" and not exact:
                how = "plain"
            text = {"plain": f"capacity {int(rng.integers(1, 20))}",
                    "factor": f"factor {number(rng.choice([0.5, 1.0, 1.25]))}",
                    "group": f"capacity {int(rng.integers(1, 4))} group_size {int(rng.integers(1, 20))}",
                    "priority": f"factor {number(rng.choice([0.25, 0.5]))} by batch_priority (%{self.p}_priority : tensor<?xf32>)",
                    "probability": f"factor {number(rng.choice([0.25, 0.5]))} by probability"}[how]
            self.after.insert(int(rng.integers(len(self.after) + 1)), ("limit", how, text))

        if rng.random() < 0.2:
            self.after.append(("reweigh", str(rng.choice(["clamp", "softmax", "scale"]))))

        # Weights of denormals would round, and be dropped in another order.
        if rng.random() < 0.2 and not any(a[:2] == ("limit", "probability") for a in self.after):
            self.after.insert(0, ("scales",))

    def draw_views(self, rng):
        self.views = [v for v, p in (("indices", 0.8), ("weights", 0.7), ("offsets", 0.7)) if rng.random() < p]
        self.total_e = self.e + sum(a[1] for a in self.after if a[0] == "append")
        self.total_k = self.k + sum(a[1] for a in self.after if a[0] == "append")
        self.limited = any(a[0] == "limit" for a in self.after)
        self.full = self.policy in FULL and not self.limited
        if self.full and self.lists:
            self.views.append("tokens")
        if rng.random() < 0.35:
            self.views.append("sum")
        if not self.views:
            self.views = ["indices", "offsets"]

    # As IR.

    def inputs(self):
        """Name -> (type, names of dynamic dimensions)."""
        e, t = self.e, "T"
        rows = f"tensor<?x{e}xf32>"
        result = {}
        if self.selects or self.weigh in ("scores", "logits"):
            result["z"] = {"columns": (f"tensor<{e}x?xf32>", t), "projection": (f"tensor<?x{HIDDEN}xf32>", t)}.get(self.chain, (rows, t))
        if self.chain == "projection" and "z" in result:
            result["router"] = (f"tensor<{e}x{HIDDEN}xf32>", None)
        if self.chain == "bias" and "z" in result:
            result["bias"] = (f"tensor<{e}xf32>", None)
        if self.weigh == "other":
            result["v"] = (rows, t)
        for name, (kind, _) in self.using.items():
            result[name] = (kind, t if "?" in kind else None)
        for a in self.after:
            if a[0] == "append" and a[2]:
                result["always"] = (f"tensor<?x{a[1]}xf32>", t)
            if a[0] == "scales":
                result["scales"] = (f"tensor<{e}xf32>", None)
            if a[0] == "limit" and a[1] == "priority":
                result["priority"] = ("tensor<?xf32>", t)
        if "sum" in self.views:
            result["x"] = ("tensor<?x1xf32>", t)
            result["up"] = (f"tensor<{self.total_e}x1x1xf32>", None)
            result["down"] = (f"tensor<{self.total_e}x1x1xf32>", None)
        return result

    def results(self):
        t, k = "T", self.total_k
        kinds = {"indices": (f"tensor<?x{k}xi32>", t), "weights": (f"tensor<?x{k}xf32>", t),
                 "offsets": (f"tensor<{self.total_e + 1}xi32>", None), "tokens": ("tensor<?xi32>", f"A{self.index}"),
                 "sum": ("tensor<?x1xf32>", t)}
        return {v: kinds[v] for v in self.views}

    def generic(self, out, ins, maps, body, iterators='"parallel", "parallel"', init=None):
        """A linalg.generic of f32 operands [(value, type)] with `out` type."""
        names = [f"%a{i}" for i in range(len(ins))]
        arguments = ", ".join(f"{n}: f32" for n in names + ["%acc"])
        return (f"linalg.generic {{indexing_maps = [{', '.join('affine_map<' + m + '>' for m in maps)}], iterator_types = [{iterators}]}}\n"
                f"      ins({', '.join(v for v, _ in ins)} : {', '.join(k for _, k in ins)}) outs({init} : {out}) {{\n"
                f"    ^bb0({arguments}):\n{body}\n    }} -> {out}")

    def body(self):
        p, e = self.p, self.e
        rows = f"tensor<?x{e}xf32>"
        lines = []
        inputs = self.inputs()
        some = next(n for n, (kind, t) in inputs.items() if t)
        dim = 1 if some == "z" and self.chain == "columns" else 0
        lines.append(f"%{p}_T = tensor.dim %{p}_{some}, %c{dim} : {inputs[some][0]}")
        scores = f"%{p}_z"
        if "z" in inputs and self.chain != "given":
            lines.append(f"%{p}_e = tensor.empty(%{p}_T) : {rows}")
            scores = f"%{p}_s"
            z, init, same = (f"%{p}_z", rows), f"%{p}_e", "(i, j) -> (i, j)"
            if self.chain == "softmax":
                value = f"linalg.softmax dimension(1) ins(%{p}_z : {rows}) outs({init} : {rows}) -> {rows}"
            elif self.chain == "sigmoid":
                value = self.generic(rows, [z], [same, same], "      %n = arith.negf %a0 : f32\n      %x = math.exp %n : f32\n"
                                     "      %d = arith.addf %x, %one : f32\n      %q = arith.divf %one, %d : f32\n      linalg.yield %q : f32", init=init)
            elif self.chain == "bias":
                value = self.generic(rows, [z, (f"%{p}_bias", f"tensor<{e}xf32>")], [same, "(i, j) -> (j)", same],
                                     "      %q = arith.addf %a0, %a1 : f32\n      linalg.yield %q : f32", init=init)
            elif self.chain == "projection":
                h, w = f"tensor<?x{HIDDEN}xf32>", f"tensor<{e}x{HIDDEN}xf32>"
                lines.append(f"%{p}_zeros = linalg.fill ins(%zero : f32) outs({init} : {rows}) -> {rows}")
                value = ("linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]"
                         f" ins(%{p}_z, %{p}_router : {h}, {w}) outs(%{p}_zeros : {rows}) -> {rows}")
            elif self.chain == "columns":
                value = self.generic(rows, [(f"%{p}_z", f"tensor<{e}x?xf32>")], ["(i, j) -> (j, i)", same], "      linalg.yield %a0 : f32", init=init)
            else:
                lines.append(f"%{p}_l = tensor.empty(%{p}_T) : tensor<?xf32>")
                lines.append(f"%{p}_lowest = linalg.fill ins(%lowest : f32) outs(%{p}_l : tensor<?xf32>) -> tensor<?xf32>")
                lines.append(f"%{p}_max = " + self.generic("tensor<?xf32>", [z], [same, "(i, j) -> (i)"],
                             "      %m = arith.maximumf %a0, %acc : f32\n      linalg.yield %m : f32", '"parallel", "reduction"', f"%{p}_lowest"))
                value = self.generic(rows, [z, (f"%{p}_max", "tensor<?xf32>")], [same, "(i, j) -> (i)", same],
                                     "      %q = arith.subf %a0, %a1 : f32\n      linalg.yield %q : f32", init=init)
            lines.append(f"{scores} = {value}")
        router = f"moe.router {self.attr}"
        if self.selects:
            router += f" select({scores})"
        if self.weigh:
            router += " weigh(" + {"scores": scores, "logits": f"%{p}_z", "other": f"%{p}_v"}[self.weigh] + ")"
        if self.using:
            router += f" using({', '.join(f'%{p}_{n}' for n in self.using)} : {', '.join(k for k, _ in self.using.values())})"
        if self.steps:
            router += f" weighing [{', '.join(STEPS[s] for s in self.steps)}]"
        routing = f"!moe.routing<{e} x {self.k}>"
        router += " : " + (f"{rows} -> " if self.selects or self.weigh else "") + routing
        if self.region:
            used = "" if self.policy in FULL else f", %used: vector<{self.k}xi1>"
            v = f"vector<{self.k}xf32>"
            router += (f" weights {{\n  ^bb0(%v: {v}{used}):\n    %half = arith.constant dense<0.5> : {v}\n"
                       f"    %h = arith.mulf %v, %half : {v}\n    moe.yield %h : {v}\n  }}")
        lines.append(f"%{p}_r = {router}")
        value, experts, slots = f"%{p}_r", e, self.k
        for i, a in enumerate(self.after):
            before = routing
            if a[0] == "append":
                experts, slots = experts + a[1], slots + a[1]
                routing = f"!moe.routing<{experts} x {slots}>"
                weights = f" weights(%{p}_always : tensor<?x{a[1]}xf32>)" if a[2] else ""
                text = f"moe.routing.append {value}{weights} : {before} -> {routing}"
            elif a[0] == "scales":
                text = f"moe.routing.reweigh {value} scales(%{p}_scales : tensor<{e}xf32>) : {routing}"
            elif a[0] == "reweigh":
                text = f"moe.routing.reweigh {value} weighing [{STEPS[a[1]]}] : {routing}"
            else:
                text = f"moe.routing.limit {value} {a[2]} : {routing}"
            value = f"%{p}_r{i}"
            lines.append(f"{value} = {text}")
        for view, (kind, _) in self.results().items():
            if view != "sum":
                lines.append(f"%{p}_{view} = moe.routing.{view} {value} : {routing} -> {kind}")
                continue
            one, slices = "tensor<?x1xf32>", f"tensor<{experts}x1x1xf32>"
            lines.append(f"%{p}_rows = moe.dispatch %{p}_x by {value} : {one}, {routing} -> {one}")
            lines.append(f"%{p}_out = moe.expert %{p}_rows by {value} : ({one}, {routing}) -> {one}\n"
                         f"    experts 0 to {experts} weights(%{p}_up, %{p}_down : {slices}, {slices}) {{\n"
                         f"  ^bb0(%t: {one}, %u: tensor<1x1xf32>, %d: tensor<1x1xf32>):\n"
                         f"    %f = moe.ffn %t up(%u) down(%d) activation(#moe.identity) : ({one}, tensor<1x1xf32>, tensor<1x1xf32>) -> {one}\n"
                         f"    moe.yield %f : {one}\n  }}")
            lines.append(f"%{p}_sum = moe.combine %{p}_out by {value} unweighted : {one}, {routing} -> {one}")
        return "\n  ".join(lines)

    # Data, and what is known about it.

    def data(self, batch):
        # All routers of a function have the same number of tokens.
        t, e = int(np.random.default_rng([self.seed, batch]).choice(TOKENS)), self.e
        rng = np.random.default_rng([self.seed, self.index, batch])
        inputs = self.inputs()
        d = {}
        z = make_scores(rng, t, e, self.tame)
        if "z" in inputs:
            d["z"] = np.ascontiguousarray(z.T) if self.chain == "columns" else z
            if self.chain == "projection":
                # Small integers: products and sums are exact.
                d["z"] = rng.integers(-2, 3, (t, HIDDEN)).astype(np.float32)
                d["router"] = rng.integers(-3, 4, (e, HIDDEN)).astype(np.float32)
                d["z"][rng.random(d["z"].shape) < 0.01] = rng.choice([np.nan, np.inf, -np.inf])
        if "bias" in inputs:
            d["bias"] = rng.choice([-1.0, -0.25, 0.0, 0.5, 0.1], e).astype(np.float32)
        if "v" in inputs:
            d["v"] = make_scores(rng, t, e, rng.random() < 0.3)
        if "thresholds" in inputs:
            d["thresholds"] = rng.choice([0.0, 0.5, -0.5, 1.0, np.nan, np.inf, -np.inf, 0.25, 0.3, 1e-45], e).astype(np.float32)
            if t and rng.random() < 0.5:  # the very scores
                d["thresholds"] = np.where(rng.random(e) < 0.5, z[rng.integers(t)], d["thresholds"]).astype(np.float32)
        if "k" in inputs:
            d["k"] = rng.integers(-2, self.k + 3, t).astype(np.int32)
        if "u" in inputs:
            d["u"] = rng.random(t).astype(np.float32)
        if "ids" in inputs:
            d["ids"] = rng.integers(0, self.rows if "table" in inputs else 2**31 - 1, t).astype(np.int32)
        if "table" in inputs:
            d["table"] = np.stack([rng.permutation(e)[:self.k] for _ in range(self.rows)]).astype(np.int32)
        if "always" in inputs:
            d["always"] = rng.random((t, self.total_k - self.k)).astype(np.float32)
        if "scales" in inputs:
            d["scales"] = rng.choice([0.25, 0.5, 0.7, 1.0], e).astype(np.float32)
        if "priority" in inputs:
            d["priority"] = rng.choice([0.0, -0.0, 1.0, 2.0, np.nan, np.inf, -np.inf, 0.5], t).astype(np.float32)
        if "sum" in self.views:
            d["x"] = rng.integers(-3, 4, (t, 1)).astype(np.float32)
            d["up"] = rng.integers(1, 9, (self.total_e, 1, 1)).astype(np.float32)
            d["down"] = np.arange(1, self.total_e + 1, dtype=np.float32).reshape(-1, 1, 1)
        return t, d

    def scores(self, d):
        """The scores in f64, and whether they are exactly those of a kernel."""
        if "z" not in d:
            return None, True
        z = d["z"].astype(np.float64)
        if self.chain == "given":
            return z, True
        if self.chain == "columns":
            return z.T, True
        if self.chain == "projection":
            return z @ d["router"].T.astype(np.float64), True
        if self.chain == "bias":
            return z + d["bias"], False
        if self.chain == "sigmoid":
            return 1 / (1 + np.exp(-z)), False
        m = z.max(1, keepdims=True, initial=-np.inf)
        if self.chain == "minus_max":
            return z - m, False
        x = np.exp(z - m)
        return x / x.sum(1, keepdims=True), False

    def unclear(self, t, d, scores, exact):
        """The tokens that rounding to f32 may give another choice."""
        unclear = np.zeros(t, bool)
        if not self.selects or t == 0:
            return unclear
        for i in range(t):
            row = scores[i]
            # A softmax that is NaN is NaN everywhere: experts go by number,
            # whatever the logits are.
            if self.chain == "softmax" and np.isnan(row).any():
                continue
            unclear[i] = not exact and self.order_unclear(row, self.k if self.policy not in MASKS else 1, given=d["z"][i])
            unclear[i] |= not exact and bool(np.any(np.isfinite(row) & (np.abs(row) > F32_MAX / 2)))
            unclear[i] |= bool(self.rule_unclear(row, d, i, exact))
        if self.policy == "expert_choice" and not exact:
            unclear[:] = any(self.order_unclear(scores[:, e], t) for e in range(self.e))
        if self.policy == "sinkhorn" and np.isfinite(scores).all():
            plan = self.plan(scores)
            # Where the tolerance ends it, it may be an iteration apart.
            tolerance = 2e-2 if "iterations = 1000" in self.attr else 1e-4
            unclear |= [self.order_unclear(row, self.k, tolerance) for row in plan]
        return unclear

    @staticmethod
    def near(a, b, tolerance=4e-6):
        return (a != b) & (np.abs(a - b) <= tolerance * np.maximum(np.abs(a), np.abs(b)) + 1e-36)

    def order_unclear(self, row, k, tolerance=4e-6, given=None):
        """Whether rounding may change the first k. Equal scores of different
        `given` numbers count, too: a kernel may compare what was given."""
        given = np.zeros(len(row)) if given is None else given.astype(np.float64)
        given, row = given[~np.isnan(row)], row[~np.isnan(row)]
        order = np.lexsort((given, row))[::-1]
        given, row = given[order], row[order]
        close = self.near(row[:-1], row[1:], tolerance) | ((row[:-1] == row[1:]) & (given[:-1] != given[1:]))
        # Up to the last one that equals the k-th.
        k += int(np.count_nonzero(row[k:] == row[k - 1])) if 0 < k <= len(row) else 0
        return bool(close[:k].any())

    def rule_unclear(self, row, d, i, exact):
        p = self.policy
        best = np.sort(row[~np.isnan(row)])[::-1]
        if p == "group_top_k" and (self.top2 or not exact):
            groups = row.reshape(self.groups, -1)
            if not self.top2:
                return self.order_unclear(groups.max(1), self.keep)
            two = np.sort(groups, 1)[:, ::-1][:, :2]
            sums = two.sum(1)
            rounded = two.astype(np.float32).sum(1, dtype=np.float32)
            if exact and ((rounded == sums) | np.isnan(sums)).all():
                return False
            if np.any(np.isfinite(sums) != np.isfinite(rounded)):
                return True
            scale = np.abs(two).sum(1)
            order = np.argsort(-np.where(np.isnan(sums), -np.inf, sums), kind="stable")
            s, scale = sums[order], scale[order]
            gap = np.abs(s[:-1] - s[1:]) <= 4e-6 * np.maximum(scale[:-1], scale[1:]) + 1e-36
            return bool((gap & ~np.isnan(s[1:]))[: self.keep].any())
        if p == "top_any" and not exact:
            return self.near(row, d["thresholds"].astype(np.float64)).any()
        if p == "threshold" and not exact:
            return self.near(row, float(self.value)).any()
        if p == "min_p" and len(best):
            least = float(self.value) * best[0]
            if exact and float(np.float32(self.value) * np.float32(best[0])) == least:
                return False
            if np.isnan(least):
                return False
            return (np.abs(row - least) <= 4e-6 * abs(least) + 1e-36).any() and self.value != 1
        if p == "top_p":
            ordered = np.concatenate([best, row[np.isnan(row)]])
            sums, rounded = np.cumsum(ordered), np.cumsum(ordered.astype(np.float32), dtype=np.float32)
            if exact and ((sums == rounded) | (np.isnan(sums) & np.isnan(rounded))).all():
                return False
            if np.any(np.isfinite(sums) != np.isfinite(rounded)):
                return True
            scale = np.cumsum(np.abs(ordered))
            return (np.abs(sums - float(self.value)) <= 4e-6 * np.maximum(scale, 1e-3)).any()
        if p == "gshard" and self.second in ("threshold", "random"):
            if len(best) < 2 or not (best[1] >= 0 and np.isfinite(best[0])):
                return len(best) >= 2 and not np.isinf(best[:2]).any()
            if not 1e-30 < best[0] + best[1] < F32_MAX:
                return True
            g2 = best[1] if self.raw else best[1] / (best[0] + best[1])
            if self.second == "threshold":
                return abs(g2 - float(self.limit)) < 1e-5
            limit = g2 / float(self.limit) if self.has_limit else 2 * g2
            return abs(d["u"][i] - limit) < 1e-5 * max(1, limit)
        return False

    def plan(self, z):
        iterations = int(self.attr.split("iterations = ")[1][:-1])
        c, d1 = np.exp(z), np.ones(self.e)
        t = len(z)
        for _ in range(iterations):
            d0 = 1 / t / (c @ d1 + 1e-8)
            new = 1 / self.e / (c.T @ d0 + 1e-8)
            error = np.abs(d1 - new).mean()
            d1 = new
            if not error > 1e-4:
                break
        return d0[:, None] * c * d1

    def weights_unclear(self, t, d, scores, exact):
        """Tokens whose weights f32 may compute with a large relative error, and
        how much larger than usual the others' may be."""
        bad, factor = np.zeros(t, bool), np.ones(t)
        if t == 0:
            return bad, factor
        v = {"scores": scores, "logits": d.get("z"), "other": d.get("v"), None: scores}[self.weigh]
        if v is None:
            return bad, factor
        v = v.astype(np.float64)
        finite = np.where(np.isfinite(v), v, 0)
        largest, least = np.abs(finite).max(1), finite.min(1)
        again = [a[1] for a in self.after if a[0] == "reweigh"]
        divides = any(s in self.steps + again for s in ("sum0", "sum", "clamp", "p1", "p2"))
        if divides and self.steps[:1] not in (["sigmoid"], ["softmax"]):
            bad |= (least < 0) | (largest > 1e15)
            # Below, f32 has not enough of exponents for squares and sums.
            bad |= ((np.abs(finite) < 1e-15) & (finite != 0)).any(1)
        if self.policy == "gshard":
            bad |= (least < 0) | (largest > 1e37) | ((np.abs(finite) < 1e-30) & (finite != 0)).any(1)
        if self.policy == "sparse_mixer":
            # Rivals at the border between near and far.
            for m in np.sort(np.where(np.isnan(v), -np.inf, v), 1)[:, ::-1][:, :2].T:
                ratio = (m[:, None] - v) / np.maximum(np.abs(v), m[:, None])
                bad |= (np.abs(ratio - 2 * float(self.value)) < 1e-4 * (1 + 0 * ratio)).any(1)
            bad |= (largest > F32_MAX / 2)
        if self.policy == "nearest_centroid" and self.value:
            largest = largest / float(self.value)
            bad |= largest > 1e30
            factor += largest
        if "softmax" in again:
            bad |= largest > 1e5
            factor += largest
        if "softmax" in self.steps or self.policy == "sparse_mixer":
            bad |= largest > F32_MAX / 2
            if not exact or self.policy in OWN_VALUES:
                factor += largest
        if "sigmoid" in self.steps and not exact:
            factor += largest
        if self.chain == "minus_max" or self.chain == "bias":
            factor += 0.5 * largest
        return bad | (largest > F32_MAX / 4), factor


def module(cases):
    arguments, results, values, lines = [], [], [], []
    for c in cases:
        for name, (kind, t) in c.inputs().items():
            dims = f', moe.dims = ["{t}"]' if t else ""
            arguments.append(f'%{c.p}_{name}: {kind} {{moe.name = "{c.p}.{name}"{dims}}}')
        for name, (kind, t) in c.results().items():
            dims = f', moe.dims = ["{t}"]' if t else ""
            results.append((kind, f'{{moe.name = "{c.p}.{name}"{dims}}}'))
            values.append(f"%{c.p}_{name}")
        lines.append(f"// case {c.index}: {c.policy}, {c.e} experts, scores {c.chain}, weigh {c.weigh}")
        lines.append(c.body())
    body = "\n  ".join(lines)
    constants = ("%c0 = arith.constant 0 : index\n  %c1 = arith.constant 1 : index\n  %one = arith.constant 1.0 : f32\n  %zero = arith.constant 0.0 : f32\n"
                 "  %lowest = arith.constant 0xFF800000 : f32")
    listed = ",\n    ".join(f"{k} {a}" for k, a in results)
    return (f"func.func @route({(',' + chr(10) + '    ').join(arguments)})\n    -> ({listed}) {{\n  {constants}\n  {body}\n"
            f"  return {', '.join(values)} : {', '.join(k for k, _ in results)}\n}}\n")


# -- Running and comparing ----------------------------------------------------


class Checker:
    def __init__(self, options):
        self.options = options
        self.tokens = self.unclear = self.weights = self.compared = 0
        self.corrupted = False
        self.policies = set()

    def machines(self):
        for level in self.options.levels:
            for threads in (1, 2):
                yield f"x86-64 level {level}, {threads} threads", "x86", [f"--threads={threads}"], {"MOE_X86_LEVEL": level}
        for name in self.options.emulators:
            yield name, "arm", [f"--emulator=qemu-aarch64 -cpu {CPUS[name]}", "--threads=2"], {}

    def check(self, cases, folder):
        at = lambda name: os.path.join(folder, name)
        with open(at("routers.mlir"), "w") as f:
            f.write(module(cases))
        run(["moe-compile", at("routers.mlir"), "-o", at("x86"), "--emit=shared,manifest"])
        if self.options.emulators:
            run(["moe-compile", at("routers.mlir"), "-o", at("arm"), "--emit=lib,manifest", "--target=aarch64*"])
        for batch in range(self.options.batches):
            data = {c: c.data(batch) for c in cases}
            save(at("in.safetensors"), {f"{c.p}.{n}": a for c, (_, d) in data.items() for n, a in d.items()})
            run(["moe-interpret", at("routers.mlir"), "--inputs=" + at("in.safetensors"), "-o", at("want.safetensors")])
            want = load(at("want.safetensors"))
            sizes = [f"A{c.index}={t * c.total_k}" for c, (t, _) in data.items() if "tokens" in c.views]
            size = [f"--size={','.join(sizes)}"] if sizes else []
            first, firstName = None, ""
            for name, artifact, options, environment in self.machines():
                run(["moe-run", at(artifact + ".json"), "--inputs=" + at("in.safetensors"), "--output=" + at("out.safetensors"),
                     *size, *options], **environment)
                got = load(at("out.safetensors"))
                self.corrupt(got)
                if first is None:
                    for c, (t, d) in data.items():
                        self.compare(c, name, t, d, {k: got[f"{c.p}.{k}"] for k in c.views}, {k: want[f"{c.p}.{k}"] for k in c.views})
                    first, firstName = got, name
                    continue
                for key in got:
                    if not same_bits(got[key], first[key]):
                        i = np.argwhere(bits(got[key]) != bits(first[key]))[0]
                        raise Failure(f"{key}{list(map(int, i))} is {got[key][tuple(i)]!r} on {name}, {first[key][tuple(i)]!r} on {firstName}")
        self.policies |= {c.policy for c in cases}

    def summary(self):
        return (f"{self.tokens} tokens, {self.unclear} of them within rounding of another choice, weights of "
                f"{self.weights} compared; policies {', '.join(sorted(self.policies))}")

    def corrupt(self, got):
        kind = self.options.corrupt
        if not kind or self.corrupted:
            return
        for key, a in got.items():
            if key.endswith(kind) and a.size:
                flat = a.reshape(-1)
                i = len(flat) // 2
                flat[i] = flat[i] + 1 if a.dtype.kind == "i" else 7 if np.isnan(flat[i]) else -flat[i] - 1
                self.corrupted = True
                return

    def compare(self, c, name, t, d, got, want):
        def fail(what):
            raise Failure(f"case {c.index} ({c.attr}, {c.e} experts, {t} tokens) on {name}: {what}")

        def expect(key, have, right, ok):
            if not ok.all():
                i = tuple(int(x) for x in np.argwhere(~ok)[0])
                row = f"; scores {d['z'][:, i[0]] if c.chain == 'columns' else d['z'][i[0]]}" if "z" in d and key != "offsets" else ""
                fail(f"{key}{list(i)} is {have[i]!r}, not {right[i]!r}{row}")

        for key in got:
            if got[key].shape != want[key].shape:
                fail(f"{key} has the shape {got[key].shape}, not {want[key].shape}")
        self.invariants(c, t, got, fail)
        with np.errstate(all="ignore"):
            scores, exact = c.scores(d)
            unclear = c.unclear(t, d, scores, exact)
            bad, factor = c.weights_unclear(t, d, scores, exact)
        self.tokens += t
        self.unclear += int(unclear.sum())
        # One token that goes elsewhere changes what others find.
        if unclear.any() and (c.limited or c.policy == "expert_choice"):
            unclear[:] = True
        clear = ~unclear
        if "indices" in got:
            expect("indices", got["indices"], want["indices"], (got["indices"] == want["indices"]) | ~clear[:, None])
        if "weights" in got:
            have, right = got["weights"].astype(np.float64), want["weights"]
            with np.errstate(invalid="ignore"):
                close = (np.abs(have - right) <= 2e-6 * factor[:, None] * np.maximum(1, np.abs(right))) | (have == right)
            close |= np.isnan(have) & np.isnan(right)
            # Denormals and what is beyond the numbers of f32.
            close |= np.isinf(have) & (np.abs(right) >= F32_MAX) & (np.sign(have) == np.sign(right))
            skip = ~clear | bad
            self.weights += int((~skip).sum())
            expect("weights", got["weights"], right, close | skip[:, None])
        if clear.all():
            for key in ("offsets", "tokens", "sum"):
                if key in got:
                    expect(key, got[key], want[key], got[key] == want[key])

    @staticmethod
    def invariants(c, t, got, fail):
        indices = got.get("indices")
        if "offsets" in got and (got["offsets"][0] != 0 or (np.diff(got["offsets"]) < 0).any()):
            fail(f"offsets {got['offsets']} do not ascend from 0")
        if "offsets" in got and c.full and got["offsets"][-1] != t * c.total_k:
            fail(f"{got['offsets'][-1]} assignments instead of {t * c.total_k}")
        if indices is None:
            return
        if ((indices < -1) | (indices >= c.total_e)).any():
            fail(f"an expert is outside of [-1, {c.total_e})")
        if c.full and (indices < 0).any():
            fail("a slot is unused that may not be")
        for row in indices:
            used = row[row >= 0]
            if len(set(used)) != len(used):
                fail(f"a token goes twice to an expert: {row}")
        if c.policy in MASKS:
            head = indices[:, : c.k]
            if ((head >= 0) & (head != np.arange(c.k))).any():
                fail("slot e of a mask is neither e nor -1")
        tokens, slots = np.nonzero(indices >= 0)
        experts = indices[tokens, slots]
        order = np.lexsort((slots, tokens, experts))
        if "offsets" in got:
            counts = np.bincount(experts, minlength=c.total_e)
            if (np.diff(got["offsets"]) != counts).any():
                fail(f"offsets {got['offsets']} are not those of the indices, which go to experts {counts} times")
        if "tokens" in got and (got["tokens"] != tokens[order]).any():
            fail("tokens are not in the order of the indices")
        if "weights" in got and (got["weights"][indices < 0] != 0).any():
            fail("an unused slot has a weight")


def bits(a):
    """The bits, with all NaN alike."""
    if a.dtype.kind != "f":
        return a
    return np.where(np.isnan(a), np.float32(np.nan), a).astype(np.float32).view(np.uint32)


def same_bits(a, b):
    return a.shape == b.shape and bool((bits(a) == bits(b)).all())


def main():
    fuzzer = Fuzzer(__file__, __doc__, cases=12)
    add = fuzzer.parser.add_argument
    add("--batches", type=int, default=4)
    add("--policies", default="", help="only these")
    add("--corrupt", choices=["indices", "offsets", "weights", "tokens", "sum"])
    options = fuzzer.parse()
    if options.policies:
        POLICIES[:] = options.policies.split(",")
    checker = Checker(options)
    plain = fuzzer.again
    fuzzer.again = lambda: plain() + f" --batches={options.batches}" + (f" --policies={options.policies}" if options.policies else "")
    fuzzer.main(Case, checker.check, checker.summary, alone=not options.corrupt)
    if options.corrupt and not checker.corrupted:
        sys.exit("nothing was there to corrupt")
    print("all equal")


if __name__ == "__main__":
    main()
