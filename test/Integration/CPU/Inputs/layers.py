"""Writes small layers with every kind of shape the kernels must survive.

usage: layers.py NAME > layer.mlir

Each layer is there for a reason, given beside it. Sizes are small, so that the
float64 interpreter checks all of them in seconds.
"""

import sys

# name: (E, K, H, I, weights, gated, activation, policy, biases)
LAYERS = {
    # Sizes that divide every tile.
    "even": (8, 2, 64, 32, "f32", True, "silu", "top_k<2>", False),
    "even-bf16": (8, 2, 64, 32, "bf16", True, "silu", "top_k<2>", False),
    # Nothing divides anything: tails of k, of columns, of experts.
    "odd": (5, 3, 43, 29, "f32", True, "gelu", "top_k<3>", True),
    "odd-bf16": (5, 3, 43, 29, "bf16", True, "gelu", "top_k<3>", True),
    "plain": (3, 1, 50, 70, "f32", False, "relu", "top_k<1>", False),
    "plain-bf16": (3, 1, 50, 70, "bf16", False, "relu2", "top_k<1>", True),
    # One expert; every expert chosen (K = E).
    "one": (1, 1, 32, 48, "f32", True, "gelu_tanh", "top_k<1>", False),
    "all": (4, 4, 48, 16, "f32", True, "quick_gelu", "top_k<4>", False),
    # Several panels and several chunks of k.
    "deep": (2, 1, 4200, 40, "f32", True, "silu", "top_k<1>", False),
    "wide": (2, 2, 24, 1100, "bf16", True, "clamped_swiglu<alpha = 1.702, limit = 7.0, offset = 1.0>", "top_k<2>", True),
    "groups": (16, 4, 64, 16, "f32", True, "silu", "group_top_k<4, groups = 4, keep = 2, reduce = top2>", False),
}


def layer(name):
    experts, k, h, i, weights, gated, activation, policy, biased = LAYERS[name]
    gate = f"tensor<{experts}x{i}x{h}x{weights}>"
    down = f"tensor<{experts}x{h}x{i}x{weights}>"
    args = [("x", f"tensor<?x{h}xf32>"), ("router.weight", f"tensor<{experts}x{h}xf32>")]
    parts = []  # (operand keyword, argument, region argument, its type in the region)
    if gated:
        parts.append(("gate", "experts.gate_proj", gate, f"tensor<{i}x{h}x{weights}>"))
    parts.append(("up", "experts.up_proj", gate, f"tensor<{i}x{h}x{weights}>"))
    parts.append(("down", "experts.down_proj", down, f"tensor<{h}x{i}x{weights}>"))
    if biased:
        bias = f"tensor<{experts}x{i}xf32>"
        if gated:
            parts.append(("gate_bias", "experts.gate_proj_bias", bias, f"tensor<{i}xf32>"))
        parts.append(("up_bias", "experts.up_proj_bias", bias, f"tensor<{i}xf32>"))
        parts.append(("down_bias", "experts.down_proj_bias", f"tensor<{experts}x{h}xf32>", f"tensor<{h}xf32>"))
    args += [(name, whole) for _, name, whole, _ in parts]
    ssa = lambda n: "%" + n.replace(".", "_")
    dims = lambda n: ', moe.dims = ["T"]' if n == "x" else ""
    signature = ",\n    ".join(f'{ssa(n)}: {t} {{moe.name = "{n}"{dims(n)}}}' for n, t in args)
    routing = f"!moe.routing<{experts} x {k}>"
    rows = f"tensor<?x{h}xf32>"
    block = ", ".join([f"%t: {rows}"] + [f"%{p}: {t}" for p, _, _, t in parts])
    operands = " ".join(f"{p}(%{p})" for p, *_ in parts)
    types = ", ".join([rows] + [t for *_, t in parts])
    scores = f"tensor<?x{experts}xf32>"
    return f"""
func.func @layer({signature})
    -> ({rows} {{moe.name = "y", moe.dims = ["T"]}}) {{
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : {rows}
  %e = tensor.empty(%T) : {scores}
  %f = linalg.fill ins(%zero : f32) outs(%e : {scores}) -> {scores}
  %z = linalg.matmul indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
      ins(%x, %router_weight : {rows}, tensor<{experts}x{h}xf32>) outs(%f : {scores}) -> {scores}
  %r = moe.router #moe.{policy} select(%z) weigh(%z) weighing [#moe.softmax, #moe.scale<1.5>] : {scores} -> {routing}
  %rows = moe.dispatch %x by %r : {rows}, {routing} -> {rows}
  %out = moe.expert %rows by %r : ({rows}, {routing}) -> {rows}
    experts 0 to {experts} weights({", ".join(ssa(n) for _, n, _, _ in parts)} : {", ".join(w for _, _, w, _ in parts)}) {{
    ^bb0({block}):
      %ffn = moe.ffn %t {operands} activation(#moe.{activation}) : ({types}) -> {rows}
      moe.yield %ffn : {rows}
    }}
  %y = moe.combine %out by %r : {rows}, {routing} -> {rows}
  return %y : {rows}
}}
"""


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1] not in LAYERS:
        sys.exit(f"usage: layers.py NAME, one of {' '.join(LAYERS)}")
    print(layer(sys.argv[1]))
