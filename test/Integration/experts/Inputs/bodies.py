"""Writes layers whose experts are written out, for bodies.test.

usage: bodies.py FOLDER [--width=H] [--inner=I] [--experts=E] [--run TOOL OPTION...]

`--run` then gives each to a tool. One model for each body, FOLDER/<body>.mlir, and one that has them all as kinds
of experts, FOLDER/mixed.mlir. A body is a function from a writer, which has the
expert's rows in %t, to the value that it yields; it declares its weights.
"""

import os
import subprocess
import sys

folder = sys.argv[1]


def option(name, default):
    return next((int(a.split("=")[1]) for a in sys.argv if a.startswith(f"--{name}=")), default)


H, I, EXPERTS = option("width", 72), option("inner", 40), option("experts", 3)

MAPS = """#id = affine_map<(d0, d1) -> (d0, d1)>
#row = affine_map<(d0, d1) -> (d0)>
#row1 = affine_map<(d0, d1) -> (d0, 0)>
#col = affine_map<(d0, d1) -> (d1)>
#mk = affine_map<(m, n, k) -> (m, k)>
#nk = affine_map<(m, n, k) -> (n, k)>
#kn = affine_map<(m, n, k) -> (k, n)>
#mn = affine_map<(m, n, k) -> (m, n)>
"""


class Body:
    def __init__(self, name):
        self.name, self.lines, self.weights, self.count = name, [], [], 0
        self.line("%c0 = arith.constant 0 : index")
        self.line("%zero = arith.constant 0.0 : f32")
        self.line(f"%n = tensor.dim %t, %c0 : tensor<?x{H}xf32>")

    def line(self, text):
        self.lines.append("    " + text)

    def new(self):
        self.count += 1
        return f"%v{self.count}"

    def weight(self, *shape, f="f32"):
        name = f"%w{len(self.weights)}"
        self.weights.append((name, shape, f))
        return name, "tensor<" + "".join(f"{s}x" for s in shape) + f"{f}>"

    def rows(self, n, f="f32"):
        return f"tensor<?x{n}x{f}>" if n else f"tensor<?x{f}>"

    def empty(self, n, f="f32"):
        e = self.new()
        self.line(f"{e} = tensor.empty(%n) : {self.rows(n, f)}")
        return e

    def zeros(self, n, start="%zero"):
        e, v = self.empty(n), self.new()
        self.line(f"{v} = linalg.fill ins({start} : f32) outs({e} : {self.rows(n)}) -> {self.rows(n)}")
        return v

    def matmul(self, x, k, n, f="f32", transposed=False, init=None):
        w, kind = self.weight(k, n, f=f) if transposed else self.weight(n, k, f=f)
        v, init = self.new(), init or self.zeros(n)
        maps = f"[#mk, #{'kn' if transposed else 'nk'}, #mn]"
        if f == "f32":
            self.line(f"{v} = linalg.matmul indexing_maps = {maps} ins({x}, {w} : {self.rows(k)}, {kind}) outs({init} : {self.rows(n)}) -> {self.rows(n)}")
            return v
        self.line(f'{v} = linalg.generic {{indexing_maps = {maps}, iterator_types = ["parallel", "parallel", "reduction"]}} ins({x}, {w} : {self.rows(k)}, {kind}) outs({init} : {self.rows(n)}) {{')
        self.line("^bb0(%a: f32, %b: bf16, %o: f32):")
        self.line("  %e = arith.extf %b : bf16 to f32")
        self.line("  %m = arith.mulf %a, %e : f32")
        self.line("  %s = arith.addf %o, %m : f32")
        self.line("  linalg.yield %s : f32")
        self.line(f"}} -> {self.rows(n)}")
        return v

    def generic(self, n, operands, body, out="#id", init=None, reduces=False, f="f32"):
        """`operands` are (value, type, map); `body` uses %a0, %a1 ... and %o, and names %r."""
        kind = self.rows(n, f)
        init, v = init or self.empty(n, f), self.new()
        maps = ", ".join([m for _, _, m in operands] + [out])
        second = "reduction" if reduces else "parallel"
        ins = ", ".join(o for o, _, _ in operands)
        types = ", ".join(t for _, t, _ in operands)
        self.line(f'{v} = linalg.generic {{indexing_maps = [{maps}], iterator_types = ["parallel", "{second}"]}} ins({ins} : {types}) outs({init} : {kind}) {{')
        args = [f"%a{i}: {t[:-1].split('x')[-1].split('<')[-1]}" for i, (_, t, _) in enumerate(operands)]
        self.line("^bb0(" + ", ".join(args + [f"%o: {f}"]) + "):")
        for text in body:
            self.line("  " + text)
        self.line(f"  linalg.yield %r : {f}")
        self.line(f"}} -> {kind}")
        return v

    def add(self, a, b, n):
        return self.generic(n, [(a, self.rows(n), "#id"), (b, self.rows(n), "#id")], ["%r = arith.addf %a0, %a1 : f32"])

    def relu2(self, x, n):
        return self.generic(n, [(x, self.rows(n), "#id")],
                            ["%m = arith.maximumf %a0, %zero : f32", "%r = arith.mulf %m, %m : f32"])

    def norm(self, x, n, centred=False, keep=False):
        """RMSNorm, or LayerNorm; `keep` keeps the reduced dimension."""
        out, one = ("#row1", 1) if keep else ("#row", 0)
        self.line(f"%scale{self.count} = arith.constant {1.0 / n!r} : f32")
        scale = f"%scale{self.count}"
        if centred:
            mean = self.generic(one, [(x, self.rows(n), "#id")], ["%r = arith.addf %o, %a0 : f32"], out, self.zeros(one), True)
            x = self.generic(n, [(x, self.rows(n), "#id"), (mean, self.rows(one), out)],
                             [f"%m = arith.mulf %a1, {scale} : f32", "%r = arith.subf %a0, %m : f32"])
        squares = self.generic(one, [(x, self.rows(n), "#id")],
                               ["%q = arith.mulf %a0, %a0 : f32", "%r = arith.addf %o, %q : f32"], out, self.zeros(one), True)
        g, kind = self.weight(n)
        return self.generic(n, [(x, self.rows(n), "#id"), (squares, self.rows(one), out), (g, kind, "#col")],
                            [f"%m = arith.mulf %a1, {scale} : f32", "%eps = arith.constant 1.0e-5 : f32",
                             "%e = arith.addf %m, %eps : f32", "%i = math.rsqrt %e : f32",
                             "%s = arith.mulf %a0, %i : f32", "%r = arith.mulf %s, %a2 : f32"])


def relu2(b):
    return b.matmul(b.relu2(b.matmul("%t", H, I), I), I, H)


def residual(b):
    return b.add(relu2(b), "%t", H)


def three(b):
    h = b.relu2(b.matmul("%t", H, I), I)
    return b.matmul(b.relu2(b.matmul(h, I, I), I), I, H)


def rms_norm(b):
    return b.matmul(b.relu2(b.matmul(b.norm("%t", H), H, I), I), I, H)


def layer_norms(b):
    h = b.norm(b.relu2(b.matmul("%t", H, I), I), I, centred=True, keep=True)
    return b.norm(b.add(b.matmul(h, I, H), "%t", H), H, centred=True)


def biases(b):
    bias, kind = b.weight(I)
    start = b.generic(I, [(bias, kind, "#col")], ["%r = arith.addf %a0, %zero : f32"])
    h = b.relu2(b.matmul("%t", H, I, init=start), I)
    y = b.matmul(h, I, H)
    bias, kind = b.weight(H)
    return b.generic(H, [(y, b.rows(H), "#id"), (bias, kind, "#col")], ["%r = arith.addf %a0, %a1 : f32"])


def gated(b):
    """A gate of one value a row, from a vector of the expert."""
    w, kind = b.weight(H)
    s = b.generic(0, [("%t", b.rows(H), "#id"), (w, kind, "#col")],
                  ["%m = arith.mulf %a0, %a1 : f32", "%r = arith.addf %o, %m : f32"], "#row", b.zeros(0), True)
    y = relu2(b)
    return b.generic(H, [(y, b.rows(H), "#id"), (s, b.rows(0), "#row")],
                     ["%h = math.tanh %a1 : f32", "%r = arith.mulf %a0, %h : f32"])


def halves(b):
    """Gate and up are the halves of one matmul's columns."""
    gu = b.matmul("%t", H, 2 * I)
    parts = []
    for first in (0, I):
        v = b.new()
        b.line(f"{v} = tensor.extract_slice {gu}[0, {first}] [%n, {I}] [1, 1] : {b.rows(2 * I)} to {b.rows(I)}")
        parts.append((v, b.rows(I), "#id"))
    h = b.generic(I, parts, ["%h = math.tanh %a0 : f32", "%r = arith.mulf %h, %a1 : f32"])
    return b.matmul(h, I, H)


def swiglu_plus(b):
    """A third matmul of the rows, added to gate times up."""
    g, u, v = (b.matmul("%t", H, I) for _ in range(3))
    h = b.generic(I, [(x, b.rows(I), "#id") for x in (g, u, v)],
                  ["%h = math.tanh %a0 : f32", "%m = arith.mulf %h, %a1 : f32", "%r = arith.addf %m, %a2 : f32"])
    return b.matmul(h, I, H)


def softmax(b):
    """A softmax over the inner columns."""
    h = b.matmul("%t", H, I)
    b.line("%low = arith.constant 0xFF800000 : f32")
    top = b.generic(0, [(h, b.rows(I), "#id")], ["%r = arith.maximumf %o, %a0 : f32"], "#row", b.zeros(0, "%low"), True)
    e = b.generic(I, [(h, b.rows(I), "#id"), (top, b.rows(0), "#row")],
                  ["%d = arith.subf %a0, %a1 : f32", "%r = math.exp %d : f32"])
    total = b.generic(0, [(e, b.rows(I), "#id")], ["%r = arith.addf %o, %a0 : f32"], "#row", b.zeros(0), True)
    p = b.generic(I, [(e, b.rows(I), "#id"), (total, b.rows(0), "#row")], ["%r = arith.divf %a0, %a1 : f32"])
    return b.matmul(p, I, H)


def halves_bf16(b):
    h = b.relu2(b.matmul(b.norm("%t", H), H, I, f="bf16"), I)
    return b.add(b.matmul(h, I, H, f="bf16"), "%t", H)


def constants(b):
    """A constant row, and a parameter that is computed from two."""
    ramp = ", ".join(f"{(i % 7) / 4 - 0.5}" for i in range(H))
    b.line(f"%ramp = arith.constant dense<[{ramp}]> : tensor<{H}xf32>")
    s, kind = b.weight(H)
    e, p = b.new(), b.new()
    b.line(f"{e} = tensor.empty() : {kind}")
    b.line(f"{p} = linalg.exp ins({s} : {kind}) outs({e} : {kind}) -> {kind}")
    x = b.generic(H, [("%t", b.rows(H), "#id"), ("%ramp", kind, "#col"), (p, kind, "#col")],
                  ["%m = arith.mulf %a0, %a2 : f32", "%r = arith.addf %m, %a1 : f32"])
    return b.matmul(b.relu2(b.matmul(x, H, I), I), I, H)


def ffn(b):
    (u, ut), (d, dt) = b.weight(I, H), b.weight(H, I)
    v = b.new()
    b.line(f"{v} = moe.ffn %t up({u}) down({d}) activation(#moe.gelu) : ({b.rows(H)}, {ut}, {dt}) -> {b.rows(H)}")
    return b.add(b.norm(v, H), "%t", H)


def named(b):
    """relu2 as a moe.ffn."""
    (u, ut), (d, dt) = b.weight(I, H), b.weight(H, I)
    v = b.new()
    b.line(f"{v} = moe.ffn %t up({u}) down({d}) : ({b.rows(H)}, {ut}, {dt}) -> {b.rows(H)} body {{")
    b.line("^bb0(%a: f32):")
    b.line("  %m = arith.maximumf %a, %zero : f32")
    b.line("  %q = arith.mulf %m, %m : f32")
    b.line("  moe.yield %q : f32")
    b.line("}")
    return v


def identity(b):
    return "%t"


def zero(b):
    return b.zeros(H)


BODIES = [relu2, residual, three, rms_norm, layer_norms, biases, gated, halves, swiglu_plus, softmax, halves_bf16,
          constants, ffn, named, identity, zero]


def write(name, bodies):
    total = EXPERTS * len(bodies)
    arguments, groups = [], []
    for i, make in enumerate(bodies):
        b = Body(make.__name__)
        result = make(b)
        stacked, args = [], []
        for j, (w, shape, f) in enumerate(b.weights):
            kind = "tensor<" + "".join(f"{s}x" for s in (EXPERTS, *shape)) + f"{f}>"
            arguments.append(f'%g{i}_{j}: {kind} {{moe.name = "{b.name}.w{j}"}}')
            stacked.append((f"%g{i}_{j}", kind))
            args.append(f"{w}: tensor<" + "".join(f"{s}x" for s in shape) + f"{f}>")
        weights = ""
        if stacked:
            weights = f" weights({', '.join(s for s, _ in stacked)} : {', '.join(k for _, k in stacked)})"
        text = "\n".join(b.lines)
        groups.append(f"  experts {i * EXPERTS} to {(i + 1) * EXPERTS}{weights} {{\n  ^bb0({', '.join([f'%t: tensor<?x{H}xf32>'] + args)}):\n"
                      f"{text}\n    moe.yield {result} : tensor<?x{H}xf32>\n  }}")
    routing = f"!moe.routing<{total} x 2>"
    with open(os.path.join(folder, name + ".mlir"), "w") as out:
        out.write(MAPS + f"""func.func @{name}(%x: tensor<?x{H}xf32> {{moe.name = "x", moe.dims = ["T"]}}, %z: tensor<?x{total}xf32> {{moe.name = "logits", moe.dims = ["T"]}}{''.join(', ' + a for a in arguments)})
    -> (tensor<?x{H}xf32> {{moe.name = "y", moe.dims = ["T"]}}) {{
  %routing = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x{total}xf32> -> {routing}
  %rows = moe.dispatch %x by %routing : tensor<?x{H}xf32>, {routing} -> tensor<?x{H}xf32>
  %out = moe.expert %rows by %routing : (tensor<?x{H}xf32>, {routing}) -> tensor<?x{H}xf32>
{chr(10).join(groups)}
  %y = moe.combine %out by %routing : tensor<?x{H}xf32>, {routing} -> tensor<?x{H}xf32>
  return %y : tensor<?x{H}xf32>
}}
""")


os.makedirs(folder, exist_ok=True)
for body in BODIES:
    write(body.__name__, [body])
write("mixed", BODIES)
if "--run" in sys.argv:
    tool, *options = sys.argv[sys.argv.index("--run") + 1:]
    for name in sorted([body.__name__ for body in BODIES] + ["mixed"]):
        subprocess.run([tool, os.path.join(folder, name + ".mlir"), *options], check=True)
