"""Blocks that are replaced with their routers."""

import copy

import torch

import models
import moe_mlir
from moe_mlir.transformers import prepare

ids = torch.randint(3, 96, (2, 9), generator=torch.Generator().manual_seed(1))


def logits(model):
    more = dict(decoder_input_ids=ids[:, :5]) if model.config.is_encoder_decoder else {}
    with torch.no_grad():
        return model(ids, **more).logits


def check(name, model, replace):
    expected = logits(model)
    report = prepare(model, replace=replace)
    assert report.entries and not report.left, f"{name}: {report}"
    assert all(entry.part == "block" for entry in report.entries), report
    found = logits(model)
    error = float((found - expected).abs().max() / expected.abs().max())
    assert error <= 2e-6, f"{name}: {error:.1e}"
    assert not torch.equal(found, expected) or error == 0
    print(f"{name}: {len(report.entries)} blocks, deviation {error:.1e}")
    return report


for family in ("qwen3_moe", "mixtral", "gpt_oss", "deepseek_v3", "qwen2_moe", "olmoe", "phimoe", "granitemoe", "jamba",
               "glm4_moe", "qwen3_next"):
    model = models.model(family)
    with torch.no_grad():
        tokens = model.generate(ids, max_new_tokens=8, do_sample=False)
        report = check(family, model, "block")
        assert torch.equal(model.generate(ids, max_new_tokens=8, do_sample=False), tokens), family
for name in ("llama4", "dbrx", "switch"):
    model = models.without_interface(name)
    check(name, model, "experts")  # There is nothing else to replace.

# 16 bits: logits of two implementations drift, blocks agree; prepare() compared them.
for family in ("qwen3_moe", "gpt_oss"):
    report = prepare(models.model(family, dtype=torch.bfloat16), replace="block")
    assert not report.left and all(0 < entry.deviation < 5e-2 for entry in report.entries), report
print("bf16: good")

# Changed parameters, training and copies run the model's own code.
model = models.model("mixtral")
prepare(model, replace="block")
block = model.model.layers[0].mlp
twin = copy.deepcopy(model)
with torch.no_grad():
    block.gate.weight.neg_()
    twin.model.layers[0].mlp.gate.weight.neg_()
assert (logits(model) - logits(twin)).abs().max() <= 2e-6 * logits(twin).abs().max()
assert twin.model.layers[0].mlp._moe_mlir_block is None
prepare(model, replace="block")
assert (logits(model) - logits(twin)).abs().max() <= 2e-6 * logits(twin).abs().max()
block.train()
assert block(torch.randn(1, 3, 64)).requires_grad
block.eval()
try:
    block(torch.randn(1, 3, 64, requires_grad=True))
    raise AssertionError("a gradient was taken")
except moe_mlir.Error as error:
    assert "for inference" in str(error), error

# A block whose formula is not that of its configuration stays as it was.
model = models.model("mixtral")
model.model.layers[1].mlp.experts.act_fn = torch.nn.GELU()
expected = logits(model)
report = prepare(model, replace="block", strict=True)
assert [entry.part for entry in report.compiled] == ["block", "experts"], report
assert "deviates by" in report.left[0].reason and report.left[0].name == "model.layers.1.mlp", report
assert (logits(model) - expected).abs().max() <= 2e-6 * expected.abs().max()

# Without memory of their own.
model = models.without_interface("llama4")
expected = logits(model)
prepare(model, free=True)
assert all(p.is_meta for p in model.model.layers[0].feed_forward.experts.parameters())
assert (logits(model) - expected).abs().max() <= 2e-6 * expected.abs().max()
print("others: good")
