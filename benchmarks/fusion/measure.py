"""Times what stands around layers, compiled by two builds.

usage: measure.py --before=BUILD [--build=BUILD] [--rounds=N] [--calls=N] [--threads=N]
                  [NAME...]

The builds, folders with bin/moe-compile and bin/moe-run, run in turn, in processes of
their own, 40 calls each (--calls), 9 times (--rounds). The ratio of their medians is
taken for each turn; printed is the median of these, beside the medians of the times.
Without NAME all functions run, of H = 2048 in f32:

    norm      RMSNorm and a router: the 8 of 64 experts
    norms     LayerNorm and the same router
    residual  a layer of 16 experts of I = 512, 2 a token, and what it adds to x
    block     RMSNorm, that layer, and x
    routers   two routers of one input, of 16 experts each
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile

H, I, E, K = 2048, 512, 16, 2

MAPS = """#x = affine_map<(t, n, k) -> (t, k)>
#w = affine_map<(t, n, k) -> (n, k)>
#y = affine_map<(t, n, k) -> (t, n)>
#tc = affine_map<(t, c) -> (t, c)>
#t = affine_map<(t, c) -> (t)>
#c = affine_map<(t, c) -> (c)>
"""
BEGIN = """  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %size = arith.constant {H}.0 : f32
  %eps = arith.constant 1.0e-05 : f32
  %T = tensor.dim %x, %c0 : tensor<?x{H}xf32>
  %e1 = tensor.empty(%T) : tensor<?xf32>
  %z1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<?xf32>) -> tensor<?xf32>
  %e2 = tensor.empty(%T) : tensor<?x{H}xf32>
"""
SUM = """  %{name} = linalg.generic {{indexing_maps = [#tc, #t], iterator_types = ["parallel", "reduction"]}}
      ins(%{x} : tensor<?x{H}xf32>) outs(%z1 : tensor<?xf32>) {{
  ^bb0(%v: f32, %acc: f32):
    %term = {term} : f32
    %sum = arith.addf %acc, %term : f32
    linalg.yield %sum : f32
  }} -> tensor<?xf32>
"""
CENTRE = """  %d = linalg.generic {{indexing_maps = [#tc, #t, #tc], iterator_types = ["parallel", "parallel"]}}
      ins(%x, %s : tensor<?x{H}xf32>, tensor<?xf32>) outs(%e2 : tensor<?x{H}xf32>) {{
  ^bb0(%v: f32, %sum: f32, %out: f32):
    %mean = arith.divf %sum, %size : f32
    %r = arith.subf %v, %mean : f32
    linalg.yield %r : f32
  }} -> tensor<?x{H}xf32>
"""
SCALE = """  %n = linalg.generic {{indexing_maps = [#tc, #t, #c, #tc], iterator_types = ["parallel", "parallel"]}}
      ins(%{x}, %q, %norm : tensor<?x{H}xf32>, tensor<?xf32>, tensor<{H}xf32>) outs(%e2 : tensor<?x{H}xf32>) {{
  ^bb0(%v: f32, %sum: f32, %weight: f32, %out: f32):
    %mean = arith.divf %sum, %size : f32
    %guarded = arith.addf %mean, %eps : f32
    %r = math.rsqrt %guarded : f32
    %m = arith.mulf %v, %r : f32
    %o = arith.mulf %m, %weight : f32
    linalg.yield %o : f32
  }} -> tensor<?x{H}xf32>
"""
ROUTER = """  %e{r} = tensor.empty(%T) : tensor<?x{E}xf32>
  %f{r} = linalg.fill ins(%zero : f32) outs(%e{r} : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
  %l{r} = linalg.matmul indexing_maps = [#x, #w, #y] ins(%{x}, %{w} : tensor<?x{H}xf32>, tensor<{E}x{H}xf32>)
      outs(%f{r} : tensor<?x{E}xf32>) -> tensor<?x{E}xf32>
  %{r} = moe.router #moe.top_k<{K}> select(%l{r}) weigh(%l{r}) weighing [#moe.softmax] : tensor<?x{E}xf32> -> !moe.routing<{E} x {K}>
"""
WEIGHTS = """  %i{r} = moe.routing.indices %{r} : !moe.routing<{E} x {K}> -> tensor<?x{K}xi32>
  %w{r} = moe.routing.weights %{r} : !moe.routing<{E} x {K}> -> tensor<?x{K}xf32>
"""
LAYER = """  %rows = moe.dispatch %{x} by %ra : tensor<?x{H}xf32>, !moe.routing<{E} x {K}> -> tensor<?x{H}xf32>
  %out = moe.expert %rows by %ra : (tensor<?x{H}xf32>, !moe.routing<{E} x {K}>) -> tensor<?x{H}xf32>
  experts 0 to {E} weights(%up, %down : tensor<{E}x{I}x{H}xf32>, tensor<{E}x{H}x{I}xf32>) {{
  ^bb0(%b: tensor<?x{H}xf32>, %wu: tensor<{I}x{H}xf32>, %wd: tensor<{H}x{I}xf32>):
    %f = moe.ffn %b up(%wu) down(%wd) activation(#moe.relu)
        : (tensor<?x{H}xf32>, tensor<{I}x{H}xf32>, tensor<{H}x{I}xf32>) -> tensor<?x{H}xf32>
    moe.yield %f : tensor<?x{H}xf32>
  }}
  %c = moe.combine %out by %ra : tensor<?x{H}xf32>, !moe.routing<{E} x {K}> -> tensor<?x{H}xf32>
  %sum = arith.addf %x, %c : tensor<?x{H}xf32>
"""


def function(arguments, results, body, **sizes):
    """A function of x, of other `arguments` by name, and of `results`, each (value, type, name)."""
    kinds = {"norm": "tensor<{H}xf32>", "wa": "tensor<{E}x{H}xf32>", "wb": "tensor<{E}x{H}xf32>",
             "up": "tensor<{E}x{I}x{H}xf32>", "down": "tensor<{E}x{H}x{I}xf32>"}
    head = ['%x: tensor<?x{H}xf32> {{moe.name = "x", moe.dims = ["T"]}}']
    head += ["%%%s: %s {{moe.name = \"%s\"}}" % (name, kinds[name], name) for name in arguments]
    out = ["%s {{moe.name = \"%s\", moe.dims = [\"T\"]}}" % (kind, name) for _, kind, name in results]
    text = "func.func @f(%s)\n    -> (%s) {{\n%s  return %s : %s\n}}\n" % (
        ",\n    ".join(head), ", ".join(out), BEGIN + body, ", ".join(v for v, _, _ in results),
        ", ".join(k for _, k, _ in results))
    return MAPS + text.format(**{**dict(H=H, I=I, E=E, K=K), **sizes})


def fill(text, **names):
    """Names now, sizes later."""
    for name, value in names.items():
        text = text.replace("{%s}" % name, value)
    return text


RMS = fill(SUM, name="q", x="x", term="arith.mulf %v, %v") + fill(SCALE, x="x")
LN = (fill(SUM, name="s", x="x", term="arith.addf %v, %zero") + CENTRE +
      fill(SUM, name="q", x="d", term="arith.mulf %v, %v") + fill(SCALE, x="d"))
CHOSEN = [("%ira", "tensor<?x{K}xi32>", "i"), ("%wra", "tensor<?x{K}xf32>", "w")]
SECOND = [("%irb", "tensor<?x{K}xi32>", "j"), ("%wrb", "tensor<?x{K}xf32>", "v")]
Y = [("%sum", "tensor<?x{H}xf32>", "y")]
ONE = fill(ROUTER, r="ra", x="n", w="wa") + fill(WEIGHTS, r="ra")
CASES = {
    "norm": function(["norm", "wa"], CHOSEN, RMS + ONE, E=64, K=8),
    "norms": function(["norm", "wa"], CHOSEN, LN + ONE, E=64, K=8),
    "residual": function(["wa", "up", "down"], Y, fill(ROUTER, r="ra", x="x", w="wa") + fill(LAYER, x="x")),
    "block": function(["norm", "wa", "up", "down"], Y, RMS + fill(ROUTER, r="ra", x="n", w="wa") + fill(LAYER, x="n")),
    "routers": function(["wa", "wb"], CHOSEN + SECOND,
                        fill(ROUTER, r="ra", x="x", w="wa") + fill(ROUTER, r="rb", x="x", w="wb") +
                        fill(WEIGHTS, r="ra") + fill(WEIGHTS, r="rb")),
}


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True)
    parser.add_argument("--build", default=os.path.join(here, "..", "..", "build"))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", default="1,64,1024")
    parser.add_argument("names", nargs="*", choices=[[], *CASES])
    args = parser.parse_args()
    builds = {"before": args.before, "after": args.build}
    with tempfile.TemporaryDirectory() as scratch:
        def tool(form, name, *options):
            subprocess.run([os.path.join(builds[form], "bin", name), *options], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def path(name):
            return os.path.join(scratch, name)

        print("| function | T | before, ms | after, ms | ratio |\n|---|---|---|---|---|")
        for name in args.names or CASES:
            with open(path("model.mlir"), "w") as file:
                file.write(CASES[name])
            for form in builds:
                tool(form, "moe-compile", path("model.mlir"), "-o", path(form), "--target=native")
            for t in map(int, args.tokens.split(",")):
                ratios, times = [], {form: [] for form in builds}
                for _ in range(args.rounds):
                    for form in builds:
                        tool(form, "moe-run", path(form + ".json"), "--random=1", "--tokens=%d" % t,
                             "--threads=%d" % args.threads, "--bench=%d" % args.calls, "--json=" + path("time.json"))
                        with open(path("time.json")) as file:
                            times[form].append(json.load(file)["median_ms"])
                    ratios.append(times["before"][-1] / times["after"][-1])
                print("| `%s` | %d | %.3f | %.3f | %.2f |" % (
                    name, t, statistics.median(times["before"]), statistics.median(times["after"]),
                    statistics.median(ratios)), flush=True)


main()
