"""prepare(): what it reports, packed files, freed memory, formats of fewer bits.

usage: prepared.py FOLDER
"""

import pathlib
import sys

import torch

import models
import moe_mlir
from moe_mlir.transformers import prepare

folder = pathlib.Path(sys.argv[1])
ids = torch.randint(3, 96, (2, 7), generator=torch.Generator().manual_seed(1))


def logits(model):
    with torch.no_grad():
        return model(ids).logits


def raises(said, call, *args, **options):
    try:
        call(*args, **options)
    except (moe_mlir.Error, NotImplementedError) as error:
        assert said in str(error), error
    else:
        raise AssertionError(f"no error: {said}")


model = models.model("qwen3_moe")
expected = logits(model)
report = prepare(model, verify=True)
assert len(report.compiled) == 2 and not report.left
assert len({entry.artifact for entry in report.entries}) == 1
assert all(0 < entry.deviation < 2e-6 for entry in report.entries)
assert report.entries[1].name == "model.layers.1.mlp.experts"
assert model.config._experts_implementation == "moe_mlir"
found = logits(model)
assert (found - expected).abs().max() <= 2e-6 * expected.abs().max()
print("report: good")

# Packed files are written, and mapped by the next one, whose experts have no memory.
report = prepare(model, free=True, packed=folder / "packed")
assert sorted(p.name for p in (folder / "packed").iterdir()) == [
    "model.layers.0.mlp.experts.safetensors", "model.layers.1.mlp.experts.safetensors"]
module = next(iter(models.experts(model).values()))
assert module.gate_up_proj.is_meta and module.down_proj.is_meta
assert torch.equal(logits(model), found)
assert len(prepare(model, free=True, packed=folder / "packed").compiled) == 2  # Again.
raises("meta", model.save_pretrained, folder / "saved")
twin = models.model("qwen3_moe")
for module in models.experts(twin).values():
    module.to_empty(device="meta")
raises("nothing to pack", prepare, twin)
prepare(twin, packed=folder / "packed")
assert torch.equal(logits(twin), found)
raises("pack again", prepare, models.model("qwen3_moe", moe_intermediate_size=48), packed=folder / "packed")
print("files: good")

# Formats: each within what its bits allow, from every layout.
for family, weights_type, low, high in (("qwen3_moe", "q8_0", 1e-3, 0.03), ("qwen3_moe", "q4_0", 0.03, 0.25),
                                        ("gpt_oss", "q8_0", 1e-3, 0.03)):
    model = models.model(family, dtype=torch.bfloat16, **({"moe_intermediate_size": 64} if "qwen" in family else {}))
    report = prepare(model, verify=True, weights_type=weights_type, free=True)
    assert len(report.compiled) == 2, report
    for entry in report.entries:
        assert low < entry.deviation < high, report
    assert logits(model).isfinite().all()
    print(f"{family}, {weights_type}: {report.entries[0].nbytes} bytes")

# What cannot be done is listed, and stays as it was.
model = models.model("qwen3_moe")
report = prepare(model, weights_type="q8_0")
assert not report.compiled and "no whole blocks of q8_0" in report.left[0].reason, report
assert torch.equal(logits(model), expected)
raises("model.layers.0.mlp.experts: rows of 64 and 40 weights", prepare, model, weights_type="q8_0", strict=True)
raises("weights_type='q3': expected one of", prepare, model, weights_type="q3")
raises("expected 'experts' or 'block'", prepare, model, replace="all")
raises("model: is a str; expected a model of transformers", prepare, "olmoe")
raises("activations='int3': expected one of", prepare, model, replace="block", activations="int3")
raises("packed: is a int; expected", prepare, model, packed=3)
# Other weights cannot be made of matrices that were freed: those that there are stay.
model = models.model("qwen3_moe", moe_intermediate_size=64)
prepare(model, free=True)
found = logits(model)
raises("model.layers.0.mlp.experts: its own matrices were freed", prepare, model, weights_type="q8_0")
assert prepare(model, replace="block").compiled and torch.equal(logits(model), found)
model = models.model("qwen3_moe", moe_intermediate_size=64)
with torch.no_grad():
    list(models.experts(model).values())[1].down_proj[2, 3, 4] = float("nan")
try:
    prepare(model, weights_type="q8_0")
    raise AssertionError("a NaN was stored")
except moe_mlir.Error as error:
    assert str(error).startswith("model.layers.1.mlp.experts: moe-quantize: error: ") and "/" not in str(error), error


class Odd(torch.nn.Module):
    def forward(self, gate):
        return gate.cumsum(dim=-1)


model = models.model("qwen3_moe")
list(models.experts(model).values())[1].act_fn = Odd()
model.set_experts_implementation("grouped_mm")
expected = logits(model)
report = prepare(model)
assert [bool(entry.artifact) for entry in report.entries] == [True, False]
assert "cumsum" in report.left[0].reason and "model.layers.1.mlp.experts" in str(report), report
assert (logits(model) - expected).abs().max() <= 2e-6 * expected.abs().max()
print("left: good")
