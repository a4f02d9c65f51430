"""Experts as one operation of torch.export, beside transformers' own code.

usage: export.py FAMILY...
"""

import sys

import torch

import models
import moe_mlir.export
from moe_mlir import Error

moe_mlir.export.register()
moe_mlir.export.register()  # May be called again.
torch.manual_seed(3)
for family in sys.argv[1:]:
    model = models.model(family)
    name, experts = next(iter(models.experts(model).items()))
    hidden = experts.down_proj.shape[2 if experts.is_transposed else 1]
    count = experts.down_proj.shape[0]
    with torch.no_grad():
        for parameter in experts.parameters():
            parameter.normal_(std=0.3)
        x, weights = torch.randn(7, hidden), torch.rand(7, 2)
        indices = torch.stack([torch.randperm(count)[:2] for _ in range(7)])
        model.set_experts_implementation("eager")
        expected = experts(x, indices, weights)
        model.set_experts_implementation("moe_mlir_export")
        program = torch.export.export(experts, (x, indices, weights), strict=False,
                                      dynamic_shapes=({0: torch.export.Dim("t", min=2)},) * 3)
        calls = [node for node in program.graph.nodes if node.op == "call_function"]
        targets = [node.target for node in calls]
        assert targets.count(torch.ops.moe_mlir.exported_experts.default) == 1, f"{family}: {targets}"
        assert len(targets) < 6, f"{family}: {targets}"
        for found in (experts(x, indices, weights), program.module()(x, indices, weights)):
            deviation = float((found - expected).abs().max() / expected.abs().max())
            assert deviation < 2e-6, f"{family}: experts deviate by {deviation:.1e} of the largest"
        call = calls[targets.index(torch.ops.moe_mlir.exported_experts.default)]
        print(f"{family}: {', '.join(map(str, call.args[7:]))}")

# What has no name is refused, and by which module.
experts._apply_gate = lambda v: torch.sin(v.chunk(2, dim=-1)[0]) * v.chunk(2, dim=-1)[1]
try:
    moe_mlir.export.activation_of(experts)
except Error as error:
    print(f"refused: {error}")
try:
    torch.ops.moe_mlir.exported_experts(x, indices, weights, experts.gate_up_proj, experts.down_proj, None, None,
                                        "sine", True, False, False)
except Error as error:
    print(f"refused: {error}")
