"""Weights that change, copies of models, threads, gradients."""

import copy
import pickle
import threading

import torch

import models
import moe_mlir
import moe_mlir.transformers

moe_mlir.transformers.register()
ids = torch.randint(3, 96, (2, 7), generator=torch.Generator().manual_seed(1))


def logits(model, implementation):
    model.set_experts_implementation(implementation)
    with torch.no_grad():
        return model(ids).logits


def check(model, what):
    expected = logits(model, "eager")
    error = float((logits(model, "moe_mlir") - expected).abs().max() / expected.abs().max())
    assert error < 2e-6, f"{what}: {error:.1e}"
    return expected


model = models.model("qwen3_moe")
before = check(model, "first")
modules = list(models.experts(model).values())
packed = modules[0]._moe_mlir
logits(model, "moe_mlir")
assert modules[0]._moe_mlir is packed, "packed again without a change"

# In place, another tensor, all of a state_dict, and a change behind PyTorch's back.
with torch.no_grad():
    modules[0].down_proj.mul_(1.5)
assert not torch.equal(check(model, "in place"), before)
assert modules[0]._moe_mlir is not packed
modules[1].gate_up_proj = torch.nn.Parameter(modules[1].gate_up_proj.detach().flip(0))
check(model, "another tensor")
modules[1].gate_up_proj.data = modules[1].gate_up_proj.detach().flip(0).clone()
check(model, "other data")
model.load_state_dict(models.model("qwen3_moe", seed=7).state_dict())
check(model, "state_dict")
expected = logits(model, "moe_mlir")
modules[0].down_proj.data.mul_(0.5)
assert torch.equal(logits(model, "moe_mlir"), expected), "this change cannot be seen"
moe_mlir.transformers.refresh(model)
check(model, "refreshed")
print("changes: good")

# Copies have weights of their own.
twin = copy.deepcopy(model)
with torch.no_grad():
    for module in models.experts(twin).values():
        module.down_proj.neg_()
check(twin, "copy")
check(model, "copied")
check(pickle.loads(pickle.dumps(model)), "pickle")
print("copies: good")

# The first call of several threads packs once, and all get the same bits.
model = models.model("mixtral")
expected = logits(models.model("mixtral"), "moe_mlir")
model.set_experts_implementation("moe_mlir")
results, failures = [None] * 6, []
barrier = threading.Barrier(6)


def run(i):
    try:
        barrier.wait()
        with torch.no_grad():
            for _ in range(5):
                results[i] = model(ids).logits
    except BaseException as error:
        failures.append(error)


threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert not failures, failures
for result in results:
    assert torch.equal(result, expected)
for count in (1, 2):
    torch.set_num_threads(count)
    assert torch.equal(logits(model, "moe_mlir"), expected)
print("threads: good")

# With gradients a forward pass works, and a backward pass says why it cannot.
out = model(ids).logits
assert out.requires_grad and torch.equal(out.detach(), expected)
try:
    out.sum().backward()
    raise AssertionError("a backward pass worked")
except moe_mlir.Error as error:
    assert "are for inference and have no gradient" in str(error), error
with torch.inference_mode():
    assert torch.equal(model(ids).logits, expected)
print("gradients: good")
