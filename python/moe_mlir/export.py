# ===- export.py - Experts as one operation of an exported graph -----------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""`torch.ops.moe_mlir.exported_experts`: what moe-raise reads as it is.

    moe_mlir.export.register()
    model.set_experts_implementation("moe_mlir_export")
    program = torch.export.export(model, inputs)

or, to ONNX,

    program = torch.onnx.export(model, inputs, dynamo=True,
                                custom_translation_table=moe_mlir.export.onnx_translations())

Every exporter spells experts in its own way. With this implementation they are one
operation with the weights of the model, of any family whose experts transformers
dispatches; the router and all around it are exported as usual. The operation runs in
PyTorch, too, as slowly as what it stands for. It has no gradient.
"""

from __future__ import annotations

import re
from typing import Any, Optional

import torch

from ._errors import fail
from .transformers import _activation
from .transformers._activation import Unrecognized, recognize
from .transformers._experts import parameters_of, Unsupported

__all__ = ["NAME", "activation_of", "exported_experts", "onnx_translations", "register"]

#: The `experts_implementation` of transformers.
NAME = "moe_mlir_export"

_CLAMPED = re.compile(r"#moe\.clamped_swiglu<alpha = (.*), limit = (.*), offset = (.*)>")


# -- Activations --------------------------------------------------------------


def _formula(activation: str, gated: bool) -> Any:
    """What `activation` computes of "gate" and "up"; raises Error if there is no such."""
    name, *numbers = activation.split(":")
    if name == "clamped_swiglu" and gated and len(numbers) == 3:
        return _activation._clamped_swiglu(*map(float, numbers))
    formula = _activation._NAMED.get("#moe." + name)
    if formula is None or numbers:
        fail(f"activation: {activation!r} is none of moe_mlir.exported_experts; expected one of "
             f"{', '.join(sorted(n[5:] for n in _activation._NAMED))} or clamped_swiglu:ALPHA:LIMIT:OFFSET")
    return ("mul", formula("gate"), "up") if gated else formula("up")


def activation_of(module: Any) -> str:
    """The name that the operation has for the activation of a module of experts.

    It is found by running the module's own code on numbers. Raises Error with the
    reason if there is no name for it.
    """
    what = type(module).__name__
    try:
        down = parameters_of(module)["down_proj"]
        columns = int(down.shape[1] if module.is_transposed else down.shape[2])
        if module.has_post_expert_norm:
            raise Unsupported("it normalizes what experts give")
        found = recognize(module._apply_gate if module.has_gate else module.act_fn, columns, module.has_gate,
                          module.is_concatenated)
        if found.attribute is None:
            raise Unsupported("its activation has no name; it is exported by the other implementations only")
    except (Unrecognized, Unsupported) as error:
        fail(f"{what}: {error}")
    clamped = _CLAMPED.fullmatch(found.attribute)
    if clamped:
        return ":".join(("clamped_swiglu", *clamped.groups()))
    return found.attribute[len("#moe."):]


# -- The operation ------------------------------------------------------------


@torch.library.custom_op("moe_mlir::exported_experts", mutates_args=())
def exported_experts(x: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, up: torch.Tensor,
                     down: torch.Tensor, up_bias: Optional[torch.Tensor], down_bias: Optional[torch.Tensor],
                     activation: str, gated: bool, interleaved: bool, transposed: bool) -> torch.Tensor:
    """y [T, H'] of x [T, H], indices [T, K] int in [0, E) and weights [T, K].

    up: [E, N, H], or [E, H, N] if `transposed`; N is 2 I with a gate, above what is
        gated or, if `interleaved`, in every other row. down: [E, H', I], or [E, I, H'].
    up_bias: [E, N]. down_bias: [E, H'].
    activation: see activation_of().
    """
    tokens, slots = indices.shape
    ids = indices.reshape(-1).long()
    rows = x.repeat_interleave(slots, dim=0)

    def product(rows: torch.Tensor, matrices: torch.Tensor, bias: Optional[torch.Tensor]) -> torch.Tensor:
        own = matrices[ids] if transposed else matrices[ids].transpose(1, 2)
        y = torch.bmm(rows[:, None], own)[:, 0]
        return y if bias is None else y + bias[ids]

    inner = product(rows, up, up_bias)
    gate: Optional[torch.Tensor] = None
    if gated:
        gate, inner = (inner[:, ::2], inner[:, 1::2]) if interleaved else inner.chunk(2, dim=1)
    inner = _activation.evaluate(_formula(activation, gated), gate, inner).to(x.dtype)
    y = product(inner, down, down_bias) * weights.reshape(-1, 1).to(x.dtype)
    return y.reshape(tokens, slots, -1).sum(dim=1)


@exported_experts.register_fake
def _(x: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, up: torch.Tensor, down: torch.Tensor,
      up_bias: Optional[torch.Tensor], down_bias: Optional[torch.Tensor], activation: str, gated: bool,
      interleaved: bool, transposed: bool) -> torch.Tensor:
    return x.new_empty(x.shape[0], down.shape[2 if transposed else 1])


# -- transformers -------------------------------------------------------------


def experts_forward(self: Any, hidden_states: torch.Tensor, top_k_index: Optional[torch.Tensor] = None,
                    top_k_weights: Optional[torch.Tensor] = None, *, router_indices: Optional[torch.Tensor] = None,
                    routing_weights: Optional[torch.Tensor] = None) -> torch.Tensor:
    """The experts of `self` on hidden_states [T, H], as transformers calls them."""
    indices = top_k_index if top_k_index is not None else router_indices
    weights = top_k_weights if top_k_weights is not None else routing_weights
    activation = self.__dict__.get("_moe_mlir_activation")
    if activation is None:
        # On numbers, even while an exporter has the model compute without any.
        with torch.utils._python_dispatch._disable_current_modes():
            activation = self.__dict__["_moe_mlir_activation"] = activation_of(self)
    up = self.gate_up_proj if self.has_gate else self.up_proj
    up_bias = down_bias = None
    if self.has_bias:
        up_bias = self.gate_up_proj_bias if self.has_gate else self.up_proj_bias
        down_bias = self.down_proj_bias
    y: torch.Tensor = torch.ops.moe_mlir.exported_experts(
        hidden_states, indices, weights, up, self.down_proj, up_bias, down_bias, activation, bool(self.has_gate),
        bool(self.has_gate and not self.is_concatenated), bool(self.is_transposed))
    return y


def register() -> None:
    """Makes "moe_mlir_export" an `experts_implementation` of transformers. May be called again."""
    from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

    if ALL_EXPERTS_FUNCTIONS.get(NAME) is not experts_forward:
        ALL_EXPERTS_FUNCTIONS.register(NAME, experts_forward)


# -- ONNX ---------------------------------------------------------------------


def onnx_translations() -> dict[Any, Any]:
    """The `custom_translation_table` for torch.onnx.export: the operation becomes one node
    `ExportedExperts` of domain `moe_mlir`, its flags attributes. Needs onnxscript."""
    import onnx.defs
    import onnxscript

    name, domain, version = "ExportedExperts", "moe_mlir", 1
    if not onnx.defs.has(name, domain=domain):
        parameter = onnx.defs.OpSchema.FormalParameter
        optional = onnx.defs.OpSchema.FormalParameterOption.Optional
        inputs = [parameter(one, "I" if one == "indices" else "F")
                  for one in ("x", "indices", "weights", "up", "down")]
        inputs += [parameter(one, "F", param_option=optional) for one in ("up_bias", "down_bias")]
        number = onnx.defs.OpSchema.AttrType.INT
        attributes = [onnx.defs.OpSchema.Attribute("activation", onnx.defs.OpSchema.AttrType.STRING)]
        attributes += [onnx.defs.OpSchema.Attribute(one, number) for one in ("gated", "interleaved", "transposed")]
        floats = ["tensor(float)", "tensor(double)", "tensor(float16)", "tensor(bfloat16)"]
        onnx.defs.register_schema(onnx.defs.OpSchema(
            name, domain, version, inputs=inputs, outputs=[parameter("y", "F")], attributes=attributes,
            type_constraints=[("F", floats, ""), ("I", ["tensor(int32)", "tensor(int64)"], "")]))
    opset = onnxscript.values.Opset(domain, version)

    def translate(x: Any, indices: Any, weights: Any, up: Any, down: Any, up_bias: Any, down_bias: Any,
                  activation: str, gated: bool, interleaved: bool, transposed: bool) -> Any:
        return opset.ExportedExperts(x, indices, weights, up, down, up_bias, down_bias, activation=activation,
                                     gated=int(gated), interleaved=int(interleaved), transposed=int(transposed))

    return {torch.ops.moe_mlir.exported_experts.default: translate}
