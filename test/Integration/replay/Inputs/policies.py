"""Records and replays layers of every kind of policy: one that sees all tokens,
has operands of its own, leaves slots unused, or selects without scores.

usage: policies.py FOLDER [TARGET]
"""

import json
import os
import subprocess
import sys

import numpy as np

from replay import read

E, H, I, T = 8, 48, 24, 53
folder = sys.argv[1]
target = sys.argv[2] if len(sys.argv) > 2 else "native"
rng = np.random.default_rng(7)

# (name, K, policy with its operands, further arguments)
IDS = ("%ids: tensor<?xi32> {moe.name = \"ids\", moe.dims = [\"T\"]}",)
ROUTERS = [
    ("top_k", 3, "#moe.top_k<3> select(%s) weigh(%s) weighing [#moe.softmax]", ()),
    ("top_any", E, "#moe.top_any<min_k = 0> select(%s) using(%t : tensor<8xf32>)",
     ("%t: tensor<8xf32> {moe.name = \"thresholds\"}",)),
    ("threshold", E, "#moe.threshold<0.5, min_k = 0> select(%s) weigh(%s)", ()),
    ("top_p", E, "#moe.top_p<0.4, strict = true> select(%s) weigh(%s)", ()),
    ("min_p", E, "#moe.min_p<0.25> select(%s) weigh(%s)", ()),
    ("token_k", 4, "#moe.token_k<4> select(%s) weigh(%s) using(%ids : tensor<?xi32>)", IDS),
    ("hash", 1, "#moe.hash<mod, 1> using(%ids : tensor<?xi32>)", IDS),
    ("expert_choice", E, "#moe.expert_choice<capacity = 9> select(%s) weigh(%s)", ()),
    ("sinkhorn", 2, "#moe.sinkhorn<2, tolerance = 0.0, iterations = 3> select(%s) weigh(%s) weighing [#moe.sigmoid]", ()),
    ("gshard", 2, "#moe.gshard<second = random> select(%s) using(%u : tensor<?xf32>)",
     ("%u: tensor<?xf32> {moe.name = \"random\", moe.dims = [\"T\"]}",)),
    ("sparse_mixer", 2, "#moe.sparse_mixer<eps = 0.01> select(%s)", ()),
    ("nearest_centroid", 2, "#moe.nearest_centroid<2> select(%s)", ()),
]


def layer(name, K, router, more):
    rows, routing = f"tensor<?x{H}xf32>", f"!moe.routing<{E} x {K}>"
    gate, down = f"tensor<{E}x{I}x{H}xf32>", f"tensor<{E}x{H}x{I}xf32>"
    scores = "" if "select" not in router else f"tensor<?x{E}xf32> -> "
    return f"""
func.func @{name}(%x: {rows} {{moe.name = "x", moe.dims = ["T"]}},
    %s: tensor<?x{E}xf32> {{moe.name = "scores", moe.dims = ["T"]}},
    %wu: {gate} {{moe.name = "up"}}, %wd: {down} {{moe.name = "down"}}{"".join(", " + m for m in more)})
    -> ({rows} {{moe.name = "y", moe.dims = ["T"]}}) {{
  %r = moe.router {router} : {scores}{routing}
  %rows = moe.dispatch %x by %r : {rows}, {routing} -> {rows}
  %out = moe.expert %rows by %r : ({rows}, {routing}) -> {rows}
    experts 0 to {E} weights(%wu, %wd : {gate}, {down}) {{
    ^bb0(%t0: {rows}, %u0: tensor<{I}x{H}xf32>, %d0: tensor<{H}x{I}xf32>):
      %f = moe.ffn %t0 up(%u0) down(%d0) activation(#moe.silu) : ({rows}, tensor<{I}x{H}xf32>, tensor<{H}x{I}xf32>) -> {rows}
      moe.yield %f : {rows}
    }}
  %y = moe.combine %out by %r : {rows}, {routing} -> {rows}
  return %y : {rows}
}}
"""


def run(*command):
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stdout}{result.stderr}")


at = lambda name: os.path.join(folder, name)
with open(at("layers.mlir"), "w") as out:
    for router in ROUTERS:
        out.write(layer(*router))
for kind, option in ("plain", []), ("record", ["--record-routing"]), ("replay", ["--replay-routing"]):
    run("moe-compile", at("layers.mlir"), "-o", at(kind), f"--target={target}", "--emit=shared,manifest", *option)
np.save(at("ids.npy"), rng.integers(0, 5, T).astype(np.int32))
np.save(at("random.npy"), rng.uniform(0, 1, T).astype(np.float32))
scores = rng.uniform(0, 1, (T, E))
np.save(at("scores.npy"), (scores / scores.sum(1, keepdims=True) * 3).astype(np.float32))
files = [at(name) for name in ("ids.npy", "random.npy", "scores.npy")]
for name, K, _, _ in ROUTERS:
    def call(kind, *more):
        run("moe-run", at(kind + ".json"), f"--entry={name}", "--random=2", f"--tokens={T}",
            "--inputs=" + ",".join([*files, *more]), "--output=" + at(kind + ".safetensors"))
        return read(at(kind + ".safetensors"))
    plain, recorded = call("plain"), call("record")
    replayed = call("replay", at("record.safetensors"))
    indices = recorded["routing.indices"]
    assert indices.shape == (T, K), indices.shape
    assert (np.bincount(indices[indices >= 0], minlength=E) == recorded["routing.counts"]).all()
    for what, y in ("recording", recorded["y"]), ("replay", replayed["y"]):
        if y.tobytes() != plain["y"].tobytes():
            sys.exit(f"{name}: {what} changes y")
    print(f"{name}: same bits, {int(recorded['routing.counts'].sum())} assignments", flush=True)
