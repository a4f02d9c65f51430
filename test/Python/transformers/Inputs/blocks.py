"""Blocks that are replaced with their routers.

usage: blocks.py FOLDER
"""

import concurrent.futures
import copy
import pathlib
import sys

import torch

import models
import moe_mlir
from moe_mlir import _tools
from moe_mlir.transformers import prepare

folder = pathlib.Path(sys.argv[1])

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

# Tools run once for all layers, and layers that differ are functions of one artifact.
called = []
run = _tools.run
_tools.run = lambda name, *args, **options: (called.append(name), run(name, *args, **options))[1]
model = models.model("olmoe", num_hidden_layers=5, intermediate_size=32 + 8)
expected = logits(model)
report = prepare(model, replace="block")
assert len(report.compiled) == 5 and called.count("moe-import") == 1 and called.count("moe-compile") <= 1, called
assert (logits(model) - expected).abs().max() <= 2e-6 * expected.abs().max()
called.clear()
model = models.model("deepseek_v4", num_hidden_layers=5)
report = prepare(model, replace="block")
blocks = [module.__dict__["_moe_mlir_block"].layer for module in model.modules() if "_moe_mlir_block" in
          module.__dict__]
assert called.count("moe-import") == 1 and [layer.name for layer in blocks] == ["block_1"] * 2, (called, blocks)
assert "block_0" in moe_mlir.compile(blocks[0].path.with_suffix(".mlir")).functions
# The layers in front find their experts by what the words are, which the block has no argument for.
assert [entry.part for entry in report.compiled] == ["block"] * 2 + ["experts"] * 3, report
_tools.run = run
print("layers: good")

# Weights in formats, of experts and shared experts; and in files, which the next model maps.
for family, weights_type, more in (("qwen2_moe", "q8_0", dict(shared_expert_intermediate_size=96)),
                                   ("olmoe", "q4_0", {}), ("gpt_oss", "q8_0", {}),
                                   ("nemotron_h", "q8_0", dict(moe_shared_expert_intermediate_size=96))):
    own = {"intermediate_size": 96} if family == "olmoe" else {"moe_intermediate_size": 32}
    own = dict(intermediate_size=32) if family == "gpt_oss" else {**own, **more}
    model = models.model(family, **own)
    plain = prepare(models.model(family, **own), replace="block")
    report = prepare(model, replace="block", weights_type=weights_type, packed=folder / family)
    assert report.compiled and not report.left and {entry.part for entry in report.entries} == {"block"}, report
    low, high = (1e-3, 0.03) if weights_type == "q8_0" else (0.03, 0.25)
    assert all(low < entry.deviation < high for entry in report.entries), report
    assert sum(e.nbytes for e in report.entries) < 0.5 * sum(e.nbytes for e in plain.entries), (report, plain)
    found = logits(model)
    assert found.isfinite().all()
    assert sorted(path.stem for path in (folder / family).iterdir()) == sorted(e.name for e in report.entries)
    twin = models.model(family, **own)
    before = {path: path.stat().st_mtime_ns for path in (folder / family).iterdir()}
    report = prepare(twin, replace="block", weights_type=weights_type, packed=folder / family, free=True)
    assert not report.left and torch.equal(logits(twin), found), report
    assert {path: path.stat().st_mtime_ns for path in (folder / family).iterdir()} == before
# Files of another model's weights are not used, nor formats whose blocks rows do not fill.
report = prepare(models.model("olmoe", seed=1, intermediate_size=96), replace="block", weights_type="q4_0",
                 packed=folder / "olmoe")
assert "with the weights of" in report.left[0].reason and report.compiled[0].part == "experts", report
report = prepare(models.model("olmoe"), replace="block", weights_type="q4_0")
assert not report.compiled and len(report.left) == 4, report
print("formats: good")

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

# Any number of threads at once, and as many threads of a call as PyTorch has now.
model = models.model("olmoe")
prepare(model, replace="block")
block = model.model.layers[0].mlp
x = [torch.randn(1, n, 64, generator=torch.Generator().manual_seed(n)) for n in (1, 7, 60, 300)]
with torch.no_grad():
    expected = [block(one) for one in x]
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    def call(i):
        with torch.no_grad():
            return all(torch.equal(block(x[i]), expected[i]) for _ in range(50))
    assert all(pool.map(call, [0, 1, 2, 3] * 2))
torch.set_num_threads(1)
assert call(3) and block._moe_mlir_block._run._threads == 1
torch.set_num_threads(2)
with torch.no_grad():
    assert block(torch.randn(1, 0, 64)).shape == (1, 0, 64)
    assert torch.equal(block(x[3].transpose(0, 1)), expected[3].transpose(0, 1))  # Not contiguous.
print("threads: good")

# Without memory of their own.
model = models.without_interface("llama4")
expected = logits(model)
prepare(model, free=True)
assert all(p.is_meta for p in model.model.layers[0].feed_forward.experts.parameters())
assert (logits(model) - expected).abs().max() <= 2e-6 * expected.abs().max()
try:
    prepare(model, weights_type="q8_0")
    raise AssertionError("weights that are gone were converted")
except moe_mlir.Error as error:
    assert "model.layers.0.feed_forward: its own matrices were freed" in str(error), error
assert len(prepare(model, free=True).compiled) == 2
assert (logits(model) - expected).abs().max() <= 2e-6 * expected.abs().max()
print("others: good")
