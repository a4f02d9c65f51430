"""Times layers before and after the passes of docs/sparsity.md, on one thread.

usage: measure.py [--rounds=N] [--calls=N] [--build=BUILD] [NAME...]

Each layer has 32 experts of 512 x 1024, in f32 but for those called bf16. The two forms run in turn, in
processes of their own, 40 calls each (--calls), 9 times (--rounds). The ratio of
their medians is taken for each turn, and the median of these is printed beside
what theory says: the ratio of rows, of experts whose weights are read, or of bytes
of weights, as the density of activations and the rows of each expert are. Without
NAME all layers run.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

import numpy as np

H, I, E = 512, 1024, 32

HEAD = """#xh = affine_map<(t, e, h) -> (t, h)>
#wh = affine_map<(t, e, h) -> (e, h)>
#z = affine_map<(t, e, h) -> (t, e)>
#te = affine_map<(t, e) -> (t, e)>
#e = affine_map<(t, e) -> (e)>
func.func @layer(%x: tensor<?x{H}xf32> {{moe.name = "x", moe.dims = ["T"]}},
    %wr: tensor<{E}x{H}xf32> {{moe.name = "router.weight"}},
    %up: tensor<{W}x{I}x{H}x{F}> {{moe.name = "up"}}, %down: tensor<{W}x{H}x{I}x{F}> {{moe.name = "down"}})
    -> (tensor<?x{H}xf32> {{moe.name = "y", moe.dims = ["T"]}}) {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x{H}xf32>
  %empty = tensor.empty(%T) : tensor<?x{E}xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
  %z = linalg.matmul indexing_maps = [#xh, #wh, #z]
      ins(%x, %wr : tensor<?x{H}xf32>, tensor<{E}x{H}xf32>) outs(%fill : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
{scores}  %r = moe.router #moe.top_k<{k}> select({s}) weigh({s}) {weighing} : tensor<?x{E}xf32> -> !moe.routing<{E} x {k}>
  %rows = moe.dispatch %x by %r : tensor<?x{H}xf32>, !moe.routing<{E} x {k}> -> tensor<?x{H}xf32>
  %out = moe.expert %rows by %r : (tensor<?x{H}xf32>, !moe.routing<{E} x {k}>) -> tensor<?x{H}xf32>
  experts 0 to {E} weights({u}, {d} : tensor<{E}x{I}x{H}x{F}>, tensor<{E}x{H}x{I}x{F}>) {{
  ^bb0(%t: tensor<?x{H}xf32>, %wu: tensor<{I}x{H}x{F}>, %wd: tensor<{H}x{I}x{F}>):
    %f = moe.ffn %t up(%wu) down(%wd)
        : (tensor<?x{H}xf32>, tensor<{I}x{H}x{F}>, tensor<{H}x{I}x{F}>) -> tensor<?x{H}xf32> body {{
    ^bb0(%v: f32):
      %limit = arith.constant {limit:e} : f32
      %none = arith.constant 0.0 : f32
      %over = arith.subf %v, %limit : f32
      %h = arith.maximumf %over, %none : f32
      moe.yield %h : f32
    }}
    moe.yield %f : tensor<?x{H}xf32>
  }}
  %y = moe.combine %out by %r : tensor<?x{H}xf32>, !moe.routing<{E} x {k}> -> tensor<?x{H}xf32>
  return %y : tensor<?x{H}xf32>
}}
"""


def elementwise(operand, kind, op):
    """`op` on the logits %a and, if there is an operand of type `kind`, its number %b of the expert."""
    more, maps, body = ("", "#te, #te", "^bb0(%a: f32, %o: f32):")
    if operand:
        more, maps, body = ", " + operand, "#te, #e, #te", "^bb0(%a: f32, %b: f32, %o: f32):"
    return """  %%s = linalg.generic {indexing_maps = [%s], iterator_types = ["parallel", "parallel"]}
      ins(%%z%s : tensor<?x%dxf32>%s) outs(%%empty : tensor<?x%dxf32>) {
  %s
    %%v = %s : f32
    linalg.yield %%v : f32
  } -> tensor<?x%dxf32>
""" % (maps, more, E, kind, E, body, op, E)


def layer(k, kind="plain", density=0.5, element="f32"):
    # Of rows of random numbers, products with random weights are normal.
    limit = statistics.NormalDist().inv_cdf(1 - density) if density < 1 else -100.0
    values = dict(H=H, I=I, E=E, W=E, k=k, scores="", s="%z", weighing="weighing [#moe.softmax]", u="%up", d="%down",
                  F=element, limit=limit)
    if kind == "relu":
        values.update(scores=elementwise("", "", "arith.maximumf %a, %zero"), s="%s", weighing="")
    if kind == "masked":
        bias = ", ".join("0xFF800000" if e % 2 else "0.0" for e in range(E))
        values.update(scores="  %%bias = arith.constant dense<[%s]> : tensor<%dxf32>\n" % (bias, E) +
                      elementwise("%bias", ", tensor<%dxf32>" % E, "arith.addf %a, %b"), s="%s")
    if kind == "pairs":
        text = ""
        for name, rows, columns in (("up", I, H), ("down", H, I)):
            part = "tensor<1x%dx%dxf32>" % (rows, columns)
            for e in range(E // 2):
                text += "  %%%s.%d = tensor.extract_slice %%%s[%d, 0, 0] [1, %d, %d] [1, 1, 1] : tensor<%dx%dx%dxf32> to %s\n" % (
                    name, e, name, e, rows, columns, E // 2, rows, columns, part)
            text += "  %%all_%s = tensor.concat dim(0) %s : (%s) -> tensor<%dx%dx%dxf32>\n" % (
                name, ", ".join("%%%s.%d" % (name, e // 2) for e in range(E)), ", ".join([part] * E), E, rows, columns)
        values.update(scores=text, W=E // 2, u="%all_up", d="%all_down")
    return HEAD.format(**values)


def bytes_read(density, together=1):
    """Theory of activations of which `density` are not 0, if so many k are read at once."""
    def ratio(indices, weights):
        _, rows = np.unique(indices, return_counts=True)
        read = np.where(rows <= 8, 1 - (1 - density) ** (rows * together), 1.0)
        return 2 * len(rows) / (len(rows) + read.sum())
    return ratio


ACTIVATIONS = "moe-skip-zero-activations{finite-weights=true}"

# Name: the layer, the passes, numbers of tokens, and theory from indices and weights [T, K].
CASES = {
    "skip": (layer(8), "moe-skip-experts{max-experts=4}", (1, 256), lambda i, w: 2.0),
    "skip-nothing": (layer(8), "moe-skip-experts{min-weight=1e-30}", (1, 16, 256), lambda i, w: 1.0),
    "zeros": (layer(24, "relu"), "moe-skip-zero-weights{finite-experts=true}", (1, 256), lambda i, w: 1 / (w != 0).mean()),
    "no-zeros": (layer(8), "moe-skip-zero-weights{finite-experts=true}", (1, 16, 256), lambda i, w: 1.0),
    "alike": (layer(4, "pairs"), "moe-dedupe-experts", (1, 4, 16), lambda i, w: len(np.unique(i)) / len(np.unique(i // 2))),
    "dead": (layer(4, "masked"), "moe-eliminate-dead-experts", (1, 256), lambda i, w: 1.0),
}
for percent in (5, 10, 30, 50, 100):
    density = percent / 100
    CASES["relu-%d" % percent] = (layer(8, density=density), ACTIVATIONS, (1, 4, 16), bytes_read(density))
CASES["relu-10-bf16"] = (layer(8, density=0.1, element="bf16"), ACTIVATIONS, (1, 4), bytes_read(0.1, 2))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--build", default=os.path.join(os.path.dirname(__file__), "..", "..", "build"))
    parser.add_argument("names", nargs="*", choices=[[], *CASES])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        def tool(name, *options):
            subprocess.run([os.path.join(args.build, "bin", name), *options], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def path(name):
            return os.path.join(scratch, name)

        print("| layer | passes | T | theory | before, ms | after, ms | ratio |\n|---|---|---|---|---|---|---|")
        for name in args.names or CASES:
            text, passes, tokens, theory = CASES[name]
            with open(path("before.mlir"), "w") as file:
                file.write(text)
            tool("moe-opt", path("before.mlir"), "--pass-pipeline=builtin.module(%s)" % passes, "-o", path("after.mlir"))
            for form in ("before", "after"):
                tool("moe-compile", path(form + ".mlir"), "-o", path(form), "--target=native")
            for t in tokens:
                ratios, times = [], {"before": [], "after": []}
                for _ in range(args.rounds):
                    for form in times:
                        tool("moe-run", path(form + ".json"), "--random=1", "--tokens=%d" % t, "--threads=1",
                             "--bench=%d" % args.calls, "--json=" + path("time.json"))
                        with open(path("time.json")) as file:
                            times[form].append(json.load(file)["median_ms"])
                    ratios.append(times["before"][-1] / times["after"][-1])
                os.makedirs(path("routing"), exist_ok=True)
                tool("moe-run", path("before.mlir"), "--random=1", "--tokens=%d" % t, "--record-routing", "-o", path("routing"))
                routing = [np.load(path("routing/routing.%s.npy" % part)) for part in ("indices", "weights")]
                print("| %s | `%s` | %d | %.2f | %.3f | %.3f | %.2f |" % (
                    name, passes, t, theory(*routing), statistics.median(times["before"]),
                    statistics.median(times["after"]), statistics.median(ratios)), flush=True)


main()
