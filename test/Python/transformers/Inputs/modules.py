"""Modules of experts, of all kinds and element types, beside float64.

What transformers' own code computes of the same numbers in float64 is what is expected.
"""

import copy

import torch

import models
import moe_mlir
import moe_mlir.transformers
from moe_mlir.transformers._experts import own_forward

moe_mlir.transformers.register()
generator = torch.Generator().manual_seed(5)

#: Of the largest result. In 16 bits transformers' own code is at 8e-3 (bf16): ours has f32 inside.
TOLERANCE = {torch.float32: 2e-6, torch.bfloat16: 6e-3, torch.float16: 1e-3}


#: What sets them apart: class, attributes of its configuration, and H.
MODULES = {
    "plain": ("mixtral", "MixtralExperts", dict(num_local_experts=6, hidden_size=72, intermediate_size=40,
                                                hidden_act="gelu"), 72),
    "f16 stays f16": ("mixtral", "MixtralExperts", dict(num_local_experts=5, hidden_size=64, intermediate_size=96,
                                                        hidden_act="silu"), 64),
    "interleaved, transposed, biases": ("gpt_oss", "GptOssExperts", dict(
        num_local_experts=6, hidden_size=64, intermediate_size=64, swiglu_alpha=1.702, swiglu_limit=2.0), 64),
    "transposed, biases": ("openai_privacy_filter", "OpenAIPrivacyFilterExperts", dict(
        num_local_experts=6, hidden_size=48, intermediate_size=40, swiglu_alpha=1.702, swiglu_limit=2.0), 48),
    "transposed": ("aria", "AriaExperts", dict(moe_num_experts=6, hidden_size=64, intermediate_size=40), 64),
    "no gate": ("nemotron_h", "NemotronHExperts", dict(n_routed_experts=6, hidden_size=64, moe_intermediate_size=40,
                                                       moe_latent_size=None, mlp_hidden_act="relu2"), 64),
    "no gate, latent": ("nemotron_h", "NemotronHExperts", dict(
        n_routed_experts=6, hidden_size=64, moe_intermediate_size=40, moe_latent_size=24, mlp_hidden_act="mish"), 24),
    "norm behind": ("muse_spark", "MuseSparkExperts", dict(num_local_experts=6, moe_hidden_size=32, hidden_act="silu",
                                                           moe_intermediate_size=40, post_norm_eps=1e-5), 32),
    "clamps": ("deepseek_v4", "DeepseekV4Experts", dict(num_local_experts=6, hidden_size=64, intermediate_size=40,
                                                        hidden_act="silu", swiglu_limit=0.5), 64),
    "caps": ("inkling2", "Inkling2Experts", dict(n_routed_experts=6, hidden_size=64, moe_intermediate_size=40,
                                                 mlp_gate_softcap=1.5, mlp_up_softcap=2.5), 64),
}


def deviation(found, expected):
    return float((found.double() - expected).abs().max() / expected.abs().max())


def check(name, dtype):
    family, class_name, attributes, hidden = MODULES[name]
    module = models.experts_alone(family, class_name, 3, dtype, **attributes)
    count = module.down_proj.shape[0]
    tokens = 13
    # Rows that clamps and caps act on.
    x = (2 * torch.randn(tokens, hidden, generator=generator)).to(dtype)
    indices = torch.rand(tokens, count, generator=generator).topk(3).indices
    weights = torch.rand(tokens, 3, generator=generator).to(dtype)
    with torch.no_grad():
        wide = copy.deepcopy(module).double()
        expected = own_forward(wide, None, x.double(), indices, weights.double())
        found = module(x, indices, weights)
    state = module._moe_mlir
    assert state.reason is None, f"{name}: {state.reason}"
    assert found.dtype == dtype and found.shape == x.shape
    error = deviation(found, expected)
    # transformers computes norms, and some activations, in float32 whatever is asked for.
    assert error <= TOLERANCE[dtype], f"{name}, {dtype}: {error:.1e}"
    print(f"{name}: {str(dtype)[6:]}: {error:.1e}")
    return module, x, indices, weights, found


for name in MODULES:
    for dtype in TOLERANCE:
        check(name, dtype)

# A slot without an expert, an expert twice, no tokens, one token; tensors that are not contiguous.
module, x, indices, weights, found = check("plain", torch.float32)
with torch.no_grad():
    some = indices.clone()
    some[::2, 1] = 6  # "No expert" is the number of experts.
    some[1, 0] = some[1, 1]
    expected = own_forward(module, None, x, some, weights)
    assert deviation(module(x, some, weights), expected.double()) < 2e-6
    assert module(x[:0], indices[:0], weights[:0]).shape == (0, 72)
    assert torch.equal(module(x[4:5], indices[4:5], weights[4:5]), found[4:5])
    wide = torch.zeros(13, 144)
    wide[:, ::2] = x
    swapped = indices.t().contiguous().t()
    assert not swapped.is_contiguous()
    assert torch.equal(module(wide[:, ::2], swapped, weights), found)
    assert torch.equal(module(x, indices.to(torch.int32), weights.double()), found)
    assert torch.equal(module(hidden_states=x, router_indices=indices, routing_weights=weights), found)
    for bad in (x[:, :40], x.double()[:5]):
        try:
            module._moe_mlir.calls[3, torch.float32](bad, indices, weights)
            raise AssertionError("bad arguments were taken")
        except moe_mlir.Error as error:
            assert "expected torch.float32 [T, 72] on cpu" in str(error), error
print("edges: good")

# What has no formula, or other types, stays on the model's own code.
module = models.experts_alone("mixtral", "MixtralExperts", 3, **MODULES["plain"][2])
module.act_fn = torch.nn.Softmax(dim=-1)
with torch.no_grad():
    found = module(x, indices, weights)
    assert torch.equal(found, own_forward(module, None, x, indices, weights))
assert "the operation _softmax, which has no formula here" in module._moe_mlir.reason
module = models.experts_alone("mixtral", "MixtralExperts", 3, torch.float64, **MODULES["plain"][2])
with torch.no_grad():
    module(x.double(), indices, weights.double())
assert "gate_up_proj is torch.float64" in module._moe_mlir.reason
print("fallbacks: good")
