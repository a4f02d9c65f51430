"""torch.compile and torch.export.

usage: tracing.py FOLDER          makes and checks FOLDER/model.pt2
       tracing.py FOLDER run      runs it, in a process that knows no model
"""

import sys

import torch

folder = sys.argv[1]
if len(sys.argv) > 2:
    import moe_mlir
    import moe_mlir.torch

    program = torch.export.load(folder + "/model.pt2")
    ids, expected = torch.load(folder + "/expected.pt")
    try:
        program.module()(ids)
        raise AssertionError("ran without an artifact")
    except moe_mlir.Error as error:
        assert "no artifact" in str(error) and "MOE_MLIR_ARTIFACTS" in str(error), error
    moe_mlir.torch.add_search_path(folder + "/artifacts")
    assert torch.equal(program.module()(ids), expected)
    print("loaded: good")
    sys.exit()

import models
import moe_mlir
import moe_mlir.torch
import moe_mlir.transformers

OP = torch.ops.moe_mlir.experts.default
ids = torch.randint(3, 96, (2, 9), generator=torch.Generator().manual_seed(1))
others = torch.randint(3, 96, (3, 5), generator=torch.Generator().manual_seed(2))


class Logits(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        return self.model(ids, use_cache=False).logits


for family, layers in (("qwen3_moe", 2), ("deepseek_v3", 1), ("gpt_oss", 2)):
    model = models.model(family)
    moe_mlir.transformers.register()
    model.set_experts_implementation("moe_mlir")
    if family == "qwen3_moe":
        try:
            torch.compile(Logits(model), fullgraph=True, backend="eager")(ids)
            raise AssertionError("traced without weights")
        except Exception as error:
            assert "not packed yet" in str(error), error
        torch._dynamo.reset()
    moe_mlir.transformers.prepare(model)
    with torch.no_grad():
        expected, expected_others = model(ids).logits, model(others).logits
        graphs = []

        def backend(graph, inputs):
            graphs.append(sum(node.target in (OP, OP.overloadpacket) for node in graph.graph.nodes))
            return graph

        compiled = torch.compile(Logits(model), fullgraph=True, dynamic=True, backend=backend)
        assert torch.equal(compiled(ids), expected)
        assert torch.equal(compiled(others), expected_others)
        assert graphs[0] == layers, graphs
        auto = torch.export.Dim.AUTO
        program = torch.export.export(Logits(model), (ids,), dynamic_shapes=({0: auto, 1: auto},))
    assert sum(node.target == OP for node in program.graph.nodes) == layers
    assert torch.equal(program.module()(ids), expected)
    assert torch.equal(program.module()(others), expected_others)
    print(f"{family}: {layers} nodes")
    if family == "qwen3_moe":
        torch.export.save(program, folder + "/model.pt2")
        torch.save((others, expected_others), folder + "/expected.pt")
        assert len(moe_mlir.torch.save_artifacts(program, folder + "/artifacts")) == 1

module = next(iter(models.experts(model).values()))
call = module._moe_mlir.calls[2, torch.float32]
generator = torch.Generator().manual_seed(3)
x = torch.randn(5, 64, generator=generator)
indices = torch.randint(0, 8, (5, 2), generator=generator)
weights = torch.rand(5, 2, generator=generator)
result = torch.library.opcheck(OP, (x, indices, weights, call.packed, call.experts.key))
assert set(result.values()) == {"SUCCESS"}, result
y = OP(x, indices, weights, call.packed, call.experts.key)
assert torch.equal(y, call(x, indices, weights))
for packed, said in ((call.packed[:1], "packed weights; expected"), ([call.packed[0][:-1], *call.packed[1:]],
                                                                      "expected")):
    try:
        OP(x, indices, weights, packed, call.experts.key)
        raise AssertionError("bad weights were taken")
    except moe_mlir.Error as error:
        assert said in str(error), error
try:
    OP(x.requires_grad_(), indices, weights, call.packed, call.experts.key).sum().backward()
    raise AssertionError("a backward pass worked")
except moe_mlir.Error as error:
    assert "for inference" in str(error), error
print("operation: good")
