"""moe_mlir.record(): what is collected, and that the tools read it.

usage: recorded.py FOLDER
"""

import json
import pathlib
import re
import subprocess
import sys

import torch

import models
import moe_mlir
from moe_mlir.transformers import prepare

folder = pathlib.Path(sys.argv[1])
ids = torch.randint(3, 96, (4, 9), generator=torch.Generator().manual_seed(1))
model = models.model("qwen3_moe", moe_intermediate_size=64)

# What routers return is what is expected: seen by hooks on them, not on the experts.
routed = {}
handles = [module.register_forward_hook(lambda _, args, out, name=name: routed.setdefault(name, []).append(out))
           for name, module in model.named_modules() if name.endswith("mlp.gate")]
for replace in ("experts", "block"):
    prepare(model, replace=replace)
    routed.clear()
    with torch.no_grad(), moe_mlir.record(model, activations=True) as seen:
        model.generate(ids, max_new_tokens=4, do_sample=False)
    assert list(seen.layers) == ["model.layers.0.mlp.experts", "model.layers.1.mlp.experts"] and not seen.left
    for name, layer in seen.layers.items():
        outputs = routed[name.replace(".experts", ".gate")]
        assert layer.indices.shape == (4 * (9 + 3), 2), layer.indices.shape
        assert torch.equal(layer.indices, torch.cat([out[2] for out in outputs]).int())
        assert torch.equal(layer.weights, torch.cat([out[1] for out in outputs]).float())
        assert int(layer.counts.sum()) == layer.indices.numel()
for handle in handles:
    handle.remove()
with torch.no_grad():
    model(ids)
assert seen.layers["model.layers.0.mlp.experts"].indices.shape[0] == 48, "still recording"
print("recorded: good")

# The page has the counts of each layer.
page = seen.report(folder / "health.html").read_text()
assert "Qwen3MoeForCausalLM" in page and "layer_1" in page
numbers = [int(n) for n in re.findall(r"<td>(\d+)(?=\s*<)", page)]
for layer in seen.layers.values():
    counts = layer.counts.tolist()
    assert any(numbers[i:i + len(counts)] == counts for i in range(len(numbers))), counts
# So it does where slots are unused.
layer = next(iter(seen.layers.values()))
layer._parts[0][0][:5, 1] = -1
page = seen.report(folder / "unused.html").read_text()
counts = layer.counts.tolist()
numbers = [int(n) for n in re.findall(r"<td>(\d+)(?=\s*<)", page)]
assert sum(counts) == 91 and any(numbers[i:i + len(counts)] == counts for i in range(len(numbers))), counts
print("page: good")

# The profile: its numbers, and that moe-quantize takes it for the importer's names.
seen.profile(folder / "profile.json")
profile = json.loads((folder / "profile.json").read_text())
with torch.no_grad(), moe_mlir.record(model, activations=True) as seen:
    captured = []
    experts = next(iter(models.experts(model).values()))
    handle = experts.register_forward_pre_hook(lambda _, args: captured.append(args))
    model(ids)
    handle.remove()
seen.profile(folder / "one.json")
weights = {w["name"]: w for w in json.loads((folder / "one.json").read_text())["functions"][0]["weights"]}
x, indices, _ = captured[0]
expert = int(indices[0, 0])
rows = x[(indices == expert).any(dim=1)].double()
gate, up = (rows @ experts.gate_up_proj[expert].double().t()).chunk(2, dim=1)
for name, expected in (("experts.gate_proj", rows), ("experts.up_proj", rows),
                       ("experts.down_proj", torch.nn.functional.silu(gate) * up)):
    entry = weights[name]["experts"][expert]
    assert entry["rows"] == len(rows) and weights[name]["columns"] == expected.shape[1]
    assert entry["nonzero"] == int(expected.count_nonzero())
    found = torch.tensor(entry["mean_squares"], dtype=torch.float64)
    assert torch.allclose(found, expected.pow(2).mean(dim=0), rtol=1e-4, atol=1e-9), name
routing = json.loads((folder / "one.json").read_text())["functions"][0]["routings"][0]
assert routing["tokens"] == indices.shape[0] and routing["counts"][expert] == len(rows)
with torch.no_grad(), moe_mlir.record(model) as seen:
    model(ids)
seen.profile(folder / "routings.json")
again = json.loads((folder / "routings.json").read_text())["functions"][0]
assert again["weights"] == [] and again["routings"] == [routing]
model.config.save_pretrained(folder)
with open(folder / "model.mlir", "w") as out:
    subprocess.run(["moe-import", str(folder / "config.json"), "--layers=all"], check=True, stdout=out)
subprocess.run(["moe-quantize", str(folder / "model.mlir"), "--random=1", "--to=q4_0",
                f"--importance={folder / 'profile.json'}", "-o", str(folder / "quantized")], check=True,
               stdout=subprocess.DEVNULL)
print("profile: good")

# The routings replay: an artifact that takes them computes what was computed.
seen.save(folder / "routings.safetensors")
from safetensors.torch import load_file  # noqa: E402

file = load_file(folder / "routings.safetensors")
assert torch.equal(file["layer_0/routing.indices"], seen.layers["model.layers.0.mlp.experts"].indices)
for said, call in (("no modules of experts", lambda: moe_mlir.record(torch.nn.Linear(2, 2)).__enter__()),):
    try:
        call()
        raise AssertionError(f"no error: {said}")
    except moe_mlir.Error as error:
        assert said in str(error), error
print("files: good")
