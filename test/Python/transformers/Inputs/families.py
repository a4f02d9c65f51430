"""Tiny random models: compiled experts beside transformers' own code.

usage: families.py FAMILY...

Logits agree to rounding, and greedy decoding takes the same tokens.
"""

import sys

import torch

import models
import moe_mlir.transformers

TOLERANCE = 2e-6  # Of the largest logit; transformers' own implementations differ by up to 7e-7.

moe_mlir.transformers.register()
moe_mlir.transformers.register()  # May be called again.
for family in sys.argv[1:]:
    model = models.model(family)
    ids = torch.randint(3, 96, (2, 9), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        model.set_experts_implementation("eager")
        expected = model(ids).logits
        tokens = model.generate(ids, max_new_tokens=12, do_sample=False)
        model.set_experts_implementation("moe_mlir")
        found = model(ids).logits
        decoded = model.generate(ids, max_new_tokens=12, do_sample=False)
    states = [module._moe_mlir for module in models.experts(model).values()]
    assert states, f"{family}: no experts"
    for state in states:
        assert state.reason is None and state.calls, f"{family}: {state.reason}"
    deviation = float((found - expected).abs().max() / expected.abs().max())
    assert deviation <= TOLERANCE, f"{family}: logits deviate by {deviation:.1e} of the largest"
    assert torch.equal(tokens, decoded), f"{family}: other tokens: {tokens.tolist()} and {decoded.tolist()}"
    print(f"{family}: {len(states)} modules, deviation {deviation:.1e}")
