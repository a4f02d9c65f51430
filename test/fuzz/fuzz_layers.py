"""Random functions with whole layers, compiled and run, against the interpreter.

usage: fuzz_layers.py [--seed=S] [--runs=N] [--seconds=S] [--case=C] [--cases=1]
                      [--levels=3,4,5] [--emulators=a72,...] [--keep=DIR]
                      [--formats=f32,bf16,f16,f64] [--bodies=tree,ffn]
                      [--plant=KIND]

A case is a function of one to three layers: routers with their scores, biases
and weighings, capacities, appended experts with and without a gate, groups of
experts with bodies of different kinds, sizes with tails, any of the weight
formats, and ordinary IR before, between and behind. It is compiled once for all
targets. What has to hold, for several numbers of tokens, at every level of
x86-64 with one thread and with two, or on emulated AArch64 CPUs beside:

- `moe-run --verify` says that the results are the interpreter's;
- the number of threads changes no bit;
- in functions whose tokens are independent, the first tokens of a call are, bit
  for bit, those of a call with them alone.

A format may be refused with an error; the summary says how many were. --plant
changes the function between compiling and comparing: the script has to fail.
"""

import os
import re

import numpy as np

from fuzzlib import CPUS, Failure, Fuzzer, load, number, run, save

WIDTHS = [1, 2, 3, 5, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 47, 48, 63, 64, 65, 72, 96, 100, 127, 128, 130, 160]
TOKENS = [1, 2, 3, 7, 8, 15, 16, 17, 33, 64, 65, 100]
NAMED = ["silu", "gelu", "gelu_tanh", "quick_gelu", "relu", "relu2", "tanh", "identity",
         "clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>", "clamped_swiglu<alpha = 1.0, limit = 2.5, offset = 0.0>"]
# Activations as regions: name -> lines with %g and %u (or %u alone), giving %h.
REGIONS = {
    "sin": ["%s = math.sin %u : {f}", "%h = arith.addf %u, %s : {f}"],
    "softplus": ["%x = math.exp %u : {f}", "%h = math.log1p %x : {f}"],
    "cube": ["%x = arith.mulf %u, %u : {f}", "%h = arith.mulf %x, %u : {f}"],
    "leaky": ["%z = arith.constant 0.0 : {f}", "%a = arith.constant 0.125 : {f}", "%x = arith.mulf %u, %a : {f}",
              "%c = arith.cmpf olt, %u, %z : {f}", "%h = arith.select %c, %x, %u : {f}"],
    "tanhgate": ["%x = math.tanh %g : {f}", "%h = arith.mulf %x, %u : {f}"],
    "expgate": ["%n = arith.negf %g : {f}", "%e = math.exp %n : {f}", "%one = arith.constant 1.0 : {f}",
                "%d = arith.addf %one, %e : {f}", "%h = arith.divf %u, %d : {f}"],
    "maxout": ["%h = arith.maximumf %g, %u : {f}"],
}
NT = "[affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]"


def tensor(*shape):
    """tensor(None, 8, "f32") is tensor<?x8xf32>."""
    return "tensor<" + "x".join("?" if s is None else str(s) for s in shape) + ">"


class Case:
    formats = ["f32", "bf16"]
    bodies = ["ffn"] * 8 + ["matmul", "scale", "identity"]

    def __init__(self, seed, index):
        self.seed, self.index = seed, index
        self.rng = np.random.default_rng([seed, index, 7])
        self.arguments, self.lines, self.names = [], [], 0
        # Tokens that do not look at each other.
        self.independent = True
        self.exotic = False
        self.f = "f64" if "f64" in self.formats and self.chance(0.08) else "f32"
        self.exotic |= self.f == "f64"
        self.what = []
        self.build()

    # Drawing and writing.

    def chance(self, p):
        return self.rng.random() < p

    def choice(self, options):
        return options[int(self.rng.integers(len(options)))]

    def width(self):
        return int(self.choice(WIDTHS)) if self.chance(0.8) else int(self.rng.integers(1, 200))

    def value(self, text):
        self.names += 1
        name = f"%v{self.names}"
        self.lines.append(f"{name} = {text}")
        return name

    def argument(self, name, kind, dims=""):
        self.names += 1
        ssa = f"%arg{self.names}"
        self.arguments.append(f'{ssa}: {kind} {{moe.name = "{name}"{dims}}}')
        return ssa

    def weight(self, name, *shape, f=None):
        return self.argument(name, tensor(*shape, f or self.f))

    def rows(self, h):
        return tensor(None, h, self.f)

    def empty(self, kind):
        return self.value(f"tensor.empty(%T) : {kind}")

    def generic(self, out, operands, body, iterators='"parallel", "parallel"', init=None, out_map="(i, j) -> (i, j)"):
        """`operands` are (value, type, map); `body` lines of %a0, %a1, ..., %acc
        that end in %q."""
        names = ", ".join([f"%a{i}: {self.f}" for i in range(len(operands))] + [f"%acc: {self.f}"])
        maps = ", ".join(f"affine_map<{m}>" for _, _, m in operands) + f", affine_map<{out_map}>"
        init = init or self.empty(out)
        lines = "\n".join("    " + line.replace("{f}", self.f) for line in body)
        return self.value(f"linalg.generic {{indexing_maps = [{maps}], iterator_types = [{iterators}]}}\n"
                          f"    ins({', '.join(v for v, _, _ in operands)} : {', '.join(k for _, k, _ in operands)}) outs({init} : {out}) {{\n"
                          f"  ^bb0({names}):\n{lines}\n    linalg.yield %q : {self.f}\n  }} -> {out}")

    def zeros(self, kind):
        return self.value(f"linalg.fill ins(%zero : {self.f}) outs({self.empty(kind)} : {kind}) -> {kind}")

    def project(self, x, h, name, n, f=None):
        """x W^T."""
        w = self.weight(name, n, h, f=f)
        out = self.rows(n)
        return self.value(f"linalg.matmul indexing_maps = {NT}\n      ins({x}, {w} : {self.rows(h)}, {tensor(n, h, f or self.f)}) "
                          f"outs({self.zeros(out)} : {out}) -> {out}")

    # Ordinary IR.

    def norm(self, x, h, name):
        w = self.weight(name, h)
        rows, one = self.rows(h), tensor(None, self.f)
        sums = self.generic(one, [(x, rows, "(i, j) -> (i, j)")], ["%s = arith.mulf %a0, %a0 : {f}", "%q = arith.addf %acc, %s : {f}"],
                            '"parallel", "reduction"', self.zeros(one), "(i, j) -> (i)")
        return self.generic(rows, [(x, rows, "(i, j) -> (i, j)"), (sums, one, "(i, j) -> (i)"), (w, tensor(h, self.f), "(i, j) -> (j)")],
                            [f"%n = arith.constant {float(h)} : {{f}}", "%e = arith.constant 1.0e-05 : {f}", "%m = arith.divf %a1, %n : {f}",
                             "%me = arith.addf %m, %e : {f}", "%r = math.rsqrt %me : {f}", "%x = arith.mulf %a0, %r : {f}", "%q = arith.mulf %x, %a2 : {f}"])

    def add(self, a, b, h):
        rows = self.rows(h)
        return self.value(f"linalg.add ins({a}, {b} : {rows}, {rows}) outs({self.empty(rows)} : {rows}) -> {rows}")

    def ordinary(self, x, h, name):
        """Something between layers; gives the value and its width."""
        kind = self.choice(["none", "none", "norm", "norm", "project", "slice", "concat", "tanh", "bias", "softmax", "heads"])
        rows = self.rows(h)
        if kind != "none":
            self.what.append(kind)
        if kind == "norm":
            return self.norm(x, h, name + ".norm"), h
        if kind == "project":
            n = self.width()
            return self.project(x, h, name + ".proj", n), n
        if kind == "slice" and h > 1:
            n = int(self.rng.integers(1, h))
            at = int(self.rng.integers(0, h - n + 1))
            return self.value(f"tensor.extract_slice {x}[0, {at}] [%T, {n}] [1, 1] : {rows} to {self.rows(n)}"), n
        if kind == "concat" and h < 120:
            y = self.generic(rows, [(x, rows, "(i, j) -> (i, j)")], ["%q = arith.negf %a0 : {f}"])
            return self.value(f"tensor.concat dim(1) {x}, {y} : ({rows}, {rows}) -> {self.rows(2 * h)}"), 2 * h
        if kind == "tanh":
            return self.generic(rows, [(x, rows, "(i, j) -> (i, j)")], ["%q = math.tanh %a0 : {f}"]), h
        if kind == "bias":
            b = self.weight(name + ".bias", h)
            return self.generic(rows, [(x, rows, "(i, j) -> (i, j)"), (b, tensor(h, self.f), "(i, j) -> (j)")], ["%q = arith.addf %a0, %a1 : {f}"]), h
        if kind == "softmax":
            return self.value(f"linalg.softmax dimension(1) ins({x} : {rows}) outs({self.empty(rows)} : {rows}) -> {rows}"), h
        if kind == "heads" and h % 2 == 0:
            split = tensor(None, 2, h // 2, self.f)
            y = self.value(f"tensor.expand_shape {x} [[0], [1, 2]] output_shape [%T, 2, {h // 2}] : {rows} into {split}")
            same = "affine_map<(i, j, k) -> (i, j, k)>"
            z = self.value(f"linalg.generic {{indexing_maps = [{same}, {same}], iterator_types = [\"parallel\", \"parallel\", \"parallel\"]}}\n"
                           f"    ins({y} : {split}) outs({self.empty(split)} : {split}) {{\n  ^bb0(%a0: {self.f}, %acc: {self.f}):\n"
                           f"    %q = math.absf %a0 : {self.f}\n    linalg.yield %q : {self.f}\n  }} -> {split}")
            return self.value(f"tensor.collapse_shape {z} [[0], [1, 2]] : {split} into {rows}"), h
        return x, h

    # Layers.

    def router(self, x, h, name):
        """Gives the routing, E and K."""
        e = int(self.choice([1, 2, 3, 4, 5, 7, 8, 8, 9, 13, 16, 17, 20, 32]))
        k = int(self.rng.integers(1, min(e, 4) + 1))
        scores = self.rows(e)
        z = self.project(x, h, name + ".router", e)
        select = weigh = z
        chain = self.choice(["logits", "logits", "softmax", "sigmoid", "bias"])
        same = "(i, j) -> (i, j)"
        if chain == "softmax":
            select = weigh = self.value(f"linalg.softmax dimension(1) ins({z} : {scores}) outs({self.empty(scores)} : {scores}) -> {scores}")
        elif chain in ("sigmoid", "bias"):
            select = weigh = self.generic(scores, [(z, scores, same)], ["%n = arith.negf %a0 : {f}", "%x = math.exp %n : {f}",
                                          "%one = arith.constant 1.0 : {f}", "%d = arith.addf %one, %x : {f}", "%q = arith.divf %one, %d : {f}"])
            if chain == "bias":
                b = self.weight(name + ".correction", e)
                select = self.generic(scores, [(weigh, scores, same), (b, tensor(e, self.f), "(i, j) -> (j)")], ["%q = arith.addf %a0, %a1 : {f}"])
        policy, self_weighing = f"top_k<{k}>", False
        kind = self.choice(["top_k"] * 6 + ["group", "group", "threshold", "min_p", "top_p", "gshard", "expert_choice"])
        if kind == "group":
            groups = int(self.choice([g for g in range(1, e + 1) if e % g == 0]))
            kept = int(self.rng.integers(1, groups + 1))
            k = min(k, kept * (e // groups))
            policy = f"group_top_k<{k}, groups = {groups}, keep = {kept}, reduce = {'top2' if e // groups > 1 and self.chance(0.5) else 'max'}>"
        elif kind == "threshold":
            k, policy = e, f"threshold<{number(self.choice([0.0, 0.3]))}, min_k = {int(self.rng.integers(2))}>"
        elif kind == "min_p" and chain == "softmax":
            k, policy = e, f"min_p<{number(self.choice([0.1, 0.3]))}>"
        elif kind == "top_p" and chain == "softmax":
            k, policy = e, f"top_p<{number(self.choice([0.4, 0.7]))}, strict = {self.choice(['true', 'false'])}>"
        elif kind == "gshard" and e > 1 and chain == "softmax":
            k, policy, self_weighing = 2, "gshard<second = all>", True
        elif kind == "expert_choice":
            k, policy, self.independent = e, f"expert_choice<capacity = {int(self.rng.integers(1, 9))}>", False
        steps = self.choice([[], [], ["softmax"], ["sigmoid"], ["scale<2.5>"], ["softmax", "scale<1.5>"]]) if chain == "logits" else \
            self.choice([[], ["scale<2.5>"], ["normalize<sum, eps = 1.0e-20>"], ["normalize<sum, eps = 1.0e-20>", "scale<2.5>"]])
        text = f"moe.router #moe.{policy} select({select})" + ("" if self_weighing else f" weigh({weigh})")
        if steps and not self_weighing:
            text += " weighing [" + ", ".join("#moe." + s for s in steps) + "]"
        self.what.append(policy.split("<")[0])
        r = self.value(f"{text} : {scores} -> !moe.routing<{e} x {k}>")
        routing = f"!moe.routing<{e} x {k}>"
        after = self.choice([[], [], [], ["limit"], ["append"], ["append"], ["limit", "append"], ["append", "limit"]])
        for step in after:
            self.what.append(step)
            if step == "limit":
                self.independent = False
                how = self.choice([f"capacity {int(self.rng.integers(1, 20))}", f"factor {number(self.choice([0.5, 1.0, 1.25]))}",
                                   f"capacity {int(self.rng.integers(1, 4))} group_size {int(self.rng.integers(1, 20))}"])
                r = self.value(f"moe.routing.limit {r} {how} : {routing}")
                continue
            n = int(self.rng.integers(1, 3))
            weights = ""
            if self.chance(0.5):
                g = self.project(x, h, name + ".shared_gate", n)
                kind = self.rows(n)
                g = self.generic(kind, [(g, kind, same)], ["%n = arith.negf %a0 : {f}", "%x = math.exp %n : {f}", "%one = arith.constant 1.0 : {f}",
                                 "%d = arith.addf %one, %x : {f}", "%q = arith.divf %one, %d : {f}"])
                weights = f" weights({g} : {kind})"
            e, k = e + n, k + n
            now = f"!moe.routing<{e} x {k}>"
            r, routing = self.value(f"moe.routing.append {r}{weights} : {routing} -> {now}"), now
        return r, routing, e

    def body(self, h, n, experts, name):
        """The group of experts as text: weights, and the block."""
        rows, out = self.rows(h), self.rows(n)
        kind = self.choice(self.bodies)
        if kind in ("identity", "scale") and h != n:
            kind = "ffn"
        if kind == "identity":
            self.what.append(kind)
            return "", f"^bb0(%t: {rows}):\n    moe.yield %t : {rows}"
        plain = [f for f in self.formats if f not in ("f16", "f64")]
        w = self.choice(["f64", "f32"] if self.f == "f64" else self.formats if self.chance(0.1) else plain or self.formats)
        self.exotic |= w in ("f16", "f64")
        operands, block = [], [f"%t: {rows}"]

        def take(part, *shape, f):
            operands.append((self.weight(f"{name}.{part}", experts, *shape, f=f), tensor(experts, *shape, f)))
            block.append(f"%{part}: {tensor(*shape, f)}")
            return tensor(*shape, f)

        if kind == "scale":
            self.what.append(kind)
            s = take("s", h, f=self.f)
            lines = (f"%f = linalg.generic {{indexing_maps = [affine_map<(i, j) -> (j)>, affine_map<(i, j) -> (i, j)>], iterator_types = [\"parallel\", \"parallel\"]}}\n"
                     f"      ins(%s : {s}) outs(%t : {rows}) {{\n    ^bb0(%a: {self.f}, %b: {self.f}):\n      %m = arith.mulf %a, %b : {self.f}\n"
                     f"      linalg.yield %m : {self.f}\n    }} -> {rows}")
        elif kind == "tree":
            self.what.append(kind)
            lines = self.tree(h, n, w, take)
        elif kind == "matmul":
            self.what.append(kind)
            d = take("w", n, h, f=w)
            lines = (f"%c = arith.constant 0 : index\n    %n = tensor.dim %t, %c : {rows}\n    %e = tensor.empty(%n) : {out}\n"
                     f"    %z = arith.constant 0.0 : {self.f}\n    %i = linalg.fill ins(%z : {self.f}) outs(%e : {out}) -> {out}\n"
                     f"    %f = linalg.matmul indexing_maps = {NT} ins(%t, %w : {rows}, {d}) outs(%i : {out}) -> {out}")
        else:
            i, gated, biased = self.width(), self.chance(0.65), self.chance(0.35)
            parts, types = [], [rows]
            for part in (["gate"] if gated else []) + ["up", "down"]:
                types.append(take(part, *((n, i) if part == "down" else (i, h)), f=w))
                parts.append(f"{part}(%{part})")
            for part in ((["gate_bias"] if gated else []) + ["up_bias", "down_bias"]) if biased else []:
                if self.chance(0.2):
                    continue
                types.append(take(part, n if part == "down_bias" else i, f=self.choice([self.f, w])))
                parts.append(f"{part}(%{part})")
            if self.chance(0.3):
                act = self.choice([r for r in REGIONS if ("%g" in str(REGIONS[r])) <= gated])
                self.what.append(act)
                block_args = (f"%g: {self.f}, " if gated else "") + f"%u: {self.f}"
                lines = (f"%f = moe.ffn %t {' '.join(parts)} : ({', '.join(types)}) -> {out} body {{\n    ^bb0({block_args}):\n"
                         + "\n".join("      " + line.replace("{f}", self.f) for line in REGIONS[act])
                         + f"\n      moe.yield %h : {self.f}\n    }}")
            else:
                act = self.choice([a for a in NAMED if gated or "swiglu" not in a])
                self.what.append(act.split("<")[0])
                lines = f"%f = moe.ffn %t {' '.join(parts)} activation(#moe.{act}) : ({', '.join(types)}) -> {out}"
            self.what.append(w)
        weights = f" weights({', '.join(v for v, _ in operands)} : {', '.join(k for _, k in operands)})"
        if not operands:
            weights = ""
        return weights, f"^bb0({', '.join(block)}):\n    {lines}\n    moe.yield %f : {out}"

    def tree(self, h, n, w, take):
        """A body of up to three products with weights, norms, and arithmetic on
        all that there is so far, which ends in %f."""
        lines, values, count = [], [("%t", h)], 0
        f, name = self.f, lambda: f"%q{len(lines)}"
        nd = lambda *exprs: ", ".join(f"affine_map<(i, j) -> ({e})>" for e in exprs)
        both = 'iterator_types = ["parallel", "parallel"]'

        def add(text, width):
            q = name()
            lines.append(f"{q} = {text}")
            values.append((q, width))

        def empty(kind):
            q = name()
            lines.append(f"{q} = tensor.empty(%n) : {kind}")
            return q

        def product(x, k, m):
            nonlocal count
            part, out = f"w{count}", self.rows(m)
            matrix, count = take(part, m, k, f=w), count + 1
            init = empty(out)
            zero = name()
            lines.append(f"{zero} = linalg.fill ins(%z : {f}) outs({init} : {out}) -> {out}")
            add(f"linalg.matmul indexing_maps = {NT} ins({x}, %{part} : {self.rows(k)}, {matrix}) outs({zero} : {out}) -> {out}", m)

        for _ in range(int(self.rng.integers(2, 8))):
            x, width = self.choice(values)
            rows = self.rows(width)
            step = self.choice(["product", "unary", "unary", "binary", "binary", "bias", "norm", "slice", "choose"])
            if step == "product" and count < 2:
                product(x, width, self.width())
            elif step == "unary":
                add(f"{self.choice(['math.tanh', 'math.absf', 'arith.negf', 'math.sin'])} {x} : {rows}", width)
            elif step in ("binary", "choose"):
                y = self.choice([v for v, other in values if other == width])
                if step == "binary":
                    add(f"arith.{self.choice(['addf', 'subf', 'mulf', 'maximumf', 'minimumf'])} {x}, {y} : {rows}", width)
                else:
                    c = name()
                    lines.append(f"{c} = arith.cmpf ogt, {x}, {y} : {rows}")
                    add(f"arith.select {c}, {y}, {x} : {tensor(None, width, 'i1')}, {rows}", width)
            elif step == "bias":
                part = f"b{len(lines)}"
                b = take(part, width, f=f)
                add(f"linalg.generic {{indexing_maps = [{nd('i, j', 'j', 'i, j')}], {both}}} ins({x}, %{part} : {rows}, {b}) "
                    f"outs({empty(rows)} : {rows}) {{\n    ^bb0(%a: {f}, %b: {f}, %o: {f}):\n      %s = arith.addf %a, %b : {f}\n"
                    f"      linalg.yield %s : {f}\n    }} -> {rows}", width)
            elif step == "norm":
                one = tensor(None, f)
                e = empty(one)
                init = name()
                lines.append(f"{init} = linalg.fill ins(%z : {f}) outs({e} : {one}) -> {one}")
                sums = name()
                lines.append(f"{sums} = linalg.generic {{indexing_maps = [{nd('i, j', 'i')}], iterator_types = [\"parallel\", \"reduction\"]}} "
                             f"ins({x} : {rows}) outs({init} : {one}) {{\n    ^bb0(%a: {f}, %o: {f}):\n      %p = arith.mulf %a, %a : {f}\n"
                             f"      %s = arith.addf %o, %p : {f}\n      linalg.yield %s : {f}\n    }} -> {one}")
                add(f"linalg.generic {{indexing_maps = [{nd('i, j', 'i', 'i, j')}], {both}}} ins({x}, {sums} : {rows}, {one}) "
                    f"outs({empty(rows)} : {rows}) {{\n    ^bb0(%a: {f}, %b: {f}, %o: {f}):\n      %k = arith.constant {float(width)} : {f}\n"
                    f"      %e = arith.constant 1.0e-05 : {f}\n      %m = arith.divf %b, %k : {f}\n      %me = arith.addf %m, %e : {f}\n"
                    f"      %r = math.rsqrt %me : {f}\n      %s = arith.mulf %a, %r : {f}\n      linalg.yield %s : {f}\n    }} -> {rows}", width)
            elif step == "slice" and width > 1:
                m = int(self.rng.integers(1, width))
                at = int(self.rng.integers(0, width - m + 1))
                add(f"tensor.extract_slice {x}[0, {at}] [%n, {m}] [1, 1] : {rows} to {self.rows(m)}", m)
        x, width = values[-1]
        if width != n:
            product(x, width, n)
            x = values[-1][0]
        rows = self.rows(n)
        lines.append(f"%f = arith.addf {x}, {x} : {rows}")
        return "\n    ".join([f"%c = arith.constant 0 : index", f"%n = tensor.dim %t, %c : {self.rows(h)}",
                              f"%z = arith.constant 0.0 : {f}", *lines])

    def layer(self, x, h, name, init=None):
        r, routing, e = self.router(x, h, name)
        n = h if self.chance(0.8) else self.width()
        rows, out = self.rows(h), self.rows(n)
        weighted = self.chance(0.2)
        if weighted:
            self.what.append("weighted")
        d = self.value(f"moe.dispatch {x} by {r}{' weighted' if weighted else ''} : {rows}, {routing} -> {rows}")
        cuts = sorted({0, e, *(int(c) for c in self.rng.integers(0, e + 1, self.choice([0, 0, 0, 1, 1, 2])))})
        groups = []
        for i, (begin, end) in enumerate(zip(cuts, cuts[1:])):
            weights, block = self.body(h, n, end - begin, f"{name}.g{i}")
            groups.append(f"experts {begin} to {end}{weights} {{\n  {block}\n  }}")
        o = self.value(f"moe.expert {d} by {r} : ({rows}, {routing}) -> {out}\n  " + " ".join(groups))
        init = ""
        if n == h and self.chance(0.3):
            init = f" init({x} : {out})"
        y = self.value(f"moe.combine {o} by {r}{' unweighted' if weighted else ''}{init} : {out}, {routing} -> {out}")
        return y, n

    def build(self):
        self.sizes = [0, *sorted(int(t) for t in self.rng.choice(TOKENS, 2, replace=False))]
        h = self.width()
        self.x = self.rng.standard_normal((self.sizes[-1], h)).astype(np.float64 if self.f == "f64" else np.float32)
        x = self.argument("x", self.rows(h), ', moe.dims = ["T"]')
        self.lines += ["%c0 = arith.constant 0 : index", f"%zero = arith.constant 0.0 : {self.f}", f"%T = tensor.dim {x}, %c0 : {self.rows(h)}"]
        y = x
        for i in range(int(self.choice([1, 1, 1, 2, 2, 3]))):
            before, width = y, h
            y, h = self.ordinary(y, h, f"l{i}.before")
            y, h = self.layer(y, h, f"l{i}")
            if h == width and self.chance(0.5):
                y = self.add(before, y, h)
        y, h = self.ordinary(y, h, "after")
        body = "\n  ".join(self.lines)
        self.text = (f"// {', '.join(self.what)}\nfunc.func @layer({(',' + chr(10) + '    ').join(self.arguments)})\n"
                     f"    -> ({self.rows(h)} {{moe.name = \"y\", moe.dims = [\"T\"]}}) {{\n  {body}\n  return {y} : {self.rows(h)}\n}}\n")


class Checker:
    def __init__(self, options):
        self.options = options
        self.functions = self.calls = self.refused = 0

    def machines(self, emulators):
        for level in self.options.levels:
            yield f"x86-64 level {level}", "x86", [], {"MOE_X86_LEVEL": level}
        for name in emulators:
            yield name, "arm", [f"--emulator=qemu-aarch64 -cpu {CPUS[name]}"], {}

    def check(self, cases, folder):
        for c in cases:
            self.check_one(c, folder)

    def check_one(self, c, folder):
        at = lambda name: os.path.join(folder, name)
        with open(at("layer.mlir"), "w") as f:
            f.write(c.text)
        emulators = self.options.emulators
        if self.options.emulate_every and c.seed % self.options.emulate_every == 0:
            emulators = [str(np.random.default_rng(c.seed).choice(list(CPUS)))]
        for name, options in [("x86", [])] * bool(self.options.levels) + [("arm", ["--target=aarch64*"])] * bool(emulators):
            emit = "shared,manifest" if name == "x86" else "lib,manifest"
            if run(["moe-compile", at("layer.mlir"), "-o", at(name), "--emit=" + emit, *options], refusal=c.exotic) is None:
                self.refused += 1
                return
        self.functions += 1
        model = at("layer.mlir")
        if self.options.plant:
            model = at("planted.mlir")
            with open(model, "w") as f:
                f.write(plant(c.text, self.options.plant))
        for t in c.sizes:
            save(at(f"x{t}.safetensors"), {"x": c.x[:t]})
        for name, artifact, options, environment in self.machines(emulators):
            rows = {}
            for t in c.sizes:
                for threads in (1, 2):
                    out = at(f"y{t}.safetensors")
                    verify = [f"--model={model}", "--verify"] if threads == 2 and t else []
                    run(["moe-run", at(artifact + ".json"), f"--inputs={at(f'x{t}.safetensors')}", f"--random={c.seed}",
                         f"--threads={threads}", "--output=" + out, *verify, *options], **environment)
                    rows[t, threads] = load(out)["y"]
                    self.calls += 1
            for (t, threads), y in rows.items():
                if y.shape[0] != t:
                    raise Failure(f"case {c.index} on {name}: {y.shape[0]} rows for {t} tokens")
                if not same(y, rows[t, 1]):
                    raise Failure(f"case {c.index} on {name}: {t} tokens have other results with two threads than with one")
                if c.independent and not same(y, rows[c.sizes[-1], 1][:t]):
                    raise Failure(f"case {c.index} on {name}: {t} tokens alone have other results than among {c.sizes[-1]}")


def same(a, b):
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def plant(text, kind):
    """Another function than the one that was compiled."""
    old, new = {"activation": (r"activation\(#moe\.[^)]*\)", "activation(#moe.tanh)"), "scale": (r"#moe\.scale<2\.5>", "#moe.scale<2.6>"),
                "weighting": (r" weighted", "")}[kind]
    planted = re.sub(old, new, text)
    if planted == text:
        raise SystemExit("nothing was there to plant an error in")
    return planted


def main():
    fuzzer = Fuzzer(__file__, __doc__, cases=1)
    fuzzer.parser.add_argument("--formats", default="f32,bf16", help="of weights, and f64 of whole functions")
    fuzzer.parser.add_argument("--emulate-every", type=int, default=0, help="emulate some AArch64 CPU, too, each so many runs")
    fuzzer.parser.add_argument("--bodies", default="", help="of experts, such as tree; default: mostly FFNs")
    fuzzer.parser.add_argument("--plant", choices=["activation", "scale", "weighting"])
    options = fuzzer.parse()
    Case.formats = options.formats.split(",")
    if options.bodies:
        Case.bodies = options.bodies.split(",")
    checker = Checker(options)
    plain = fuzzer.again
    fuzzer.again = lambda: plain() + (f" --formats={options.formats} --emulate-every={options.emulate_every}"
                                      f" --bodies={','.join(Case.bodies)}")
    fuzzer.main(Case, checker.check,
                lambda: f"{checker.functions} functions, {checker.calls} calls, {checker.refused} formats refused")
    print("all equal")


if __name__ == "__main__":
    main()
