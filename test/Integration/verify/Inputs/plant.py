"""Plants errors into compiled layers of every family and checks that --verify
finds each, and nothing where there is none.

usage: plant.py EXAMPLES INCLUDE CC FORMAT CASE...

FORMAT is the type of the weights: f32 or bf16. A case is a model of
examples/models, shrunk, or `activations`, a layer whose tokens are bf16 as
well. Prints one line a case: what was planted and found.
"""

import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

examples, include, cc, weights = sys.argv[1:5]

WIDTHS = {
    "hidden_size": 64, "d_model": 64, "moe_intermediate_size": 24, "intermediate_size": 24,
    "intermediate_size_mlp": 24, "shared_expert_intermediate_size": 40, "shared_intermediate_size": 40,
    "ffn_hidden_size": 24, "d_ff": 24,
}
# One for another, so that each differs from its own.
OTHER = {"#moe.silu": "#moe.gelu_tanh", "#moe.gelu": "#moe.silu", "#moe.gelu_tanh": "#moe.silu",
         "#moe.relu": "#moe.silu", "#moe.clamped_swiglu": "#moe.silu"}
TOKENS = 16

ACTIVATIONS = """
func.func @layer(%x: tensor<?x64xbf16> {moe.name = "x", moe.dims = ["T"]},
                 %r: tensor<8x64xf32> {moe.name = "router.weight"},
                 %g: tensor<8x24x64xbf16> {moe.name = "gate_proj"}, %u: tensor<8x24x64xbf16> {moe.name = "up_proj"},
                 %d: tensor<8x64x24xbf16> {moe.name = "down_proj"})
    -> (tensor<?x64xbf16> {moe.name = "y", moe.dims = ["T"]}) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %T = tensor.dim %x, %c0 : tensor<?x64xbf16>
  %e = tensor.empty(%T) : tensor<?x8xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %wide = arith.extf %x : tensor<?x64xbf16> to tensor<?x64xf32>
  %z = linalg.generic {indexing_maps = [affine_map<(t, e, h) -> (t, h)>, affine_map<(t, e, h) -> (e, h)>, affine_map<(t, e, h) -> (t, e)>],
                       iterator_types = ["parallel", "parallel", "reduction"]}
      ins(%wide, %r : tensor<?x64xf32>, tensor<8x64xf32>) outs(%f : tensor<?x8xf32>) {
    ^bb0(%a: f32, %b: f32, %s: f32):
      %p = arith.mulf %a, %b : f32
      %n = arith.addf %s, %p : f32
      linalg.yield %n : f32
  } -> tensor<?x8xf32>
  %rt = moe.router #moe.top_k<2> select(%z) weigh(%z) weighing [#moe.softmax] : tensor<?x8xf32> -> !moe.routing<8 x 2>
  %rows = moe.dispatch %x by %rt : tensor<?x64xbf16>, !moe.routing<8 x 2> -> tensor<?x64xbf16>
  %out = moe.expert %rows by %rt : (tensor<?x64xbf16>, !moe.routing<8 x 2>) -> tensor<?x64xbf16>
  experts 0 to 8 weights(%g, %u, %d : tensor<8x24x64xbf16>, tensor<8x24x64xbf16>, tensor<8x64x24xbf16>) {
  ^bb0(%own: tensor<?x64xbf16>, %gate: tensor<24x64xbf16>, %up: tensor<24x64xbf16>, %down: tensor<64x24xbf16>):
    %ffn = moe.ffn %own gate(%gate) up(%up) down(%down) activation(#moe.silu)
        : (tensor<?x64xbf16>, tensor<24x64xbf16>, tensor<24x64xbf16>, tensor<64x24xbf16>) -> tensor<?x64xbf16>
    moe.yield %ffn : tensor<?x64xbf16>
  }
  %y = moe.combine %out by %rt : tensor<?x64xbf16>, !moe.routing<8 x 2> -> tensor<?x64xbf16>
  return %y : tensor<?x64xbf16>
}
"""


def shrink(value):
    if isinstance(value, dict):
        return {k: WIDTHS[k] if k in WIDTHS and isinstance(v, int) else shrink(v) for k, v in value.items()}
    return value


def call(*command, env=None):
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **(env or {})})


def must(*command):
    result = call(*command)
    if result.returncode:
        sys.exit(f"{' '.join(command)}\n{result.stdout}{result.stderr}")


def check(name, folder):
    at = lambda file: os.path.join(folder, file)
    model = at("layer.mlir")
    if name == "activations":
        with open(model, "w") as out:
            out.write(ACTIVATIONS)
    else:
        with open(os.path.join(examples, "models", name + ".json")) as file:
            config = shrink(json.load(file))
        with open(at("config.json"), "w") as out:
            json.dump(config, out)
        must("moe-import", at("config.json"), f"--weights-type={weights}", "-o", model)
    must("moe-compile", model, "-o", at("layer"), "--target=native", "--emit=shared,manifest")
    with open(at("layer.json")) as file:
        manifest = json.load(file)
    function = manifest["functions"][0]
    result = function["results"][0]
    arguments = function["arguments"]
    with open(model) as file:
        text = file.read()
    experts = int(re.search(r"!moe.routing<(\d+) x", text).group(1))

    # The planted library has the artifact's as what it needs.
    invoke = function["invoke"]
    planted = at("planted.so")
    must(cc, "-shared", "-fPIC", "-O1", "-w", f"-DPLANT_INVOKE={invoke}", f'-DPLANT_NAME="{invoke}"', "-I", include,
         os.path.join(os.path.dirname(__file__), "plant.c"), "-o", planted, "-Wl,--no-as-needed", at("layer.so"), "-Wl,-rpath," + folder, "-ldl")
    os.symlink(at("layer.json"), at("planted.json"))
    env = {"PLANT_ARGUMENTS": str(len(arguments)), "PLANT_EXPERTS": str(experts), "PLANT_WIDTH": str(result["shape"][1]),
           "PLANT_TYPE": result["dtype"], "PLANT": "nothing"}

    def verify(library, plant=None, *more):
        return call("moe-run", library, f"--model={model}", "--random=5", f"--tokens={TOKENS}", "--threads=1", "--verify",
                    *more, env={**env, **(plant or {})})

    failures = []

    def passes(what, run):
        if run.returncode or ": PASS" not in run.stdout:
            failures.append(f"{what} does not pass:\n{run.stdout}{run.stderr}")

    def fails(what, run):
        if run.returncode != 1 or ": FAIL" not in run.stdout:
            failures.append(f"{what} is not found:\n{run.stdout}{run.stderr}")
        found.append(what)

    found = []
    passes("the layer", verify(at("layer.so")))
    passes("the layer in its wrapper", verify(planted))
    for plant in ("zeros", "scale", "column"):
        fails(plant, verify(planted, {"PLANT": plant}))
    for i, argument in enumerate(arguments):
        place = {"PLANT_ARGUMENT": str(i)}
        if "packed" in argument:
            # A shared expert may be packed with the others, or by itself.
            size, packed = argument["shape"][0], argument["packed"]
            if packed["experts"] >= experts and "down" in argument["name"]:
                place.update(PLANT="swap", PLANT_BYTES=str(size), PLANT_EXPERTS=str(packed["experts"]))
                fails("swap", verify(planted, place))
        elif argument["name"].endswith("_bias") and argument["shape"][0] == experts:
            size = int(np.prod(argument["shape"])) * (2 if argument["dtype"] == "bf16" else 4)
            place.update(PLANT="drop", PLANT_BYTES=str(size))
            fails("no " + argument["name"].split(".")[-1], verify(planted, place))
    # Results that are far from 1: the last weights decide how far.
    down = [source for argument in arguments for source in argument.get("packed", {}).get("sources", [])
            if "down" in source["name"]]
    for scale in (3e-4, 1e-20, 1e6):
        tensors = {}
        for source in down:
            shape = source["shape"]
            values = np.random.default_rng(7).uniform(-1, 1, shape) * scale * np.sqrt(3.0 / shape[-1])
            tensors[source["name"]] = values.astype(np.float32)
        file = at(f"down{scale}.safetensors")
        write(file, tensors)
        passes(f"results of {scale}", verify(planted, None, "--inputs=" + file))
        fails(f"scale at {scale}", verify(planted, {"PLANT": "scale"}, "--inputs=" + file))
        fails(f"zeros at {scale}", verify(planted, {"PLANT": "zeros"}, "--inputs=" + file))
    # The same layer with another activation.
    other = re.sub("|".join(sorted(OTHER, key=len, reverse=True)) + r"(?![\w])", lambda m: OTHER[m.group(0)], text)
    other = re.sub(r"(#moe\.silu)<[^>]*>", r"\1", other)
    with open(at("other.mlir"), "w") as out:
        out.write(other)
    fails("activation", call("moe-run", at("layer.so"), f"--model={at('other.mlir')}", "--random=5", f"--tokens={TOKENS}",
                             "--verify"))
    return found, failures


def write(path, tensors):
    header, data = {}, b""
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(len(text).to_bytes(8, "little") + text + data)


bad = False
for name in sys.argv[5:]:
    with tempfile.TemporaryDirectory() as folder:
        found, failures = check(name, folder)
        bad |= bool(failures)
        print(f"{name} {weights}: {', '.join(found)}", flush=True)
        for failure in failures:
            print(f"{name} {weights}: {failure}", flush=True)
sys.exit(bad)
