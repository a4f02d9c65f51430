# ===- with_onnxruntime.py - ONNX Runtime's MoE operation ------------------===//
# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# ===----------------------------------------------------------------------===//
"""ONNX Runtime: the router's product and com.microsoft.MoE or QMoE, as one graph."""

import numpy as np

from peer import Peer, Unavailable

try:
    import onnx
    import onnxruntime
    from onnx import helper
except (ImportError, OSError) as error:
    onnxruntime, problem = None, error


def interleaved(both):
    """[E, 2 I, ...] with row i of the gate and of the up product side by side,
    the one order that the CPU's kernel takes."""
    experts, rows, *rest = both.shape
    return np.ascontiguousarray(both.reshape(experts, 2, rows // 2, *rest).swapaxes(1, 2)).reshape(both.shape)


class OnnxRuntime(Peer):
    name = "onnxruntime"
    formats = ("f32", "int8", "int4")  # the CPU's MoE has no bf16
    copies = 2 / 3  # gate and up in an order of its own

    @classmethod
    def version(cls):
        if onnxruntime is None:
            raise Unavailable(str(problem))
        return onnxruntime.__version__

    def __init__(self, layer, threads):
        spec = layer.spec
        if not spec.score.startswith("softmax") or spec.scale != 1 or spec.shared_intermediate:
            raise Unavailable("routes by softmax and top-k only")
        tensors, operation, quantised = {"router": np.ascontiguousarray(layer["router.weight"].T)}, "MoE", {}
        if layer.format == "f32":
            tensors |= {"fc1": interleaved(layer["experts.gate_up"]), "fc2": layer["experts.down_proj"]}
        else:
            operation, found = "QMoE", self.quantised(layer)
            tensors |= found
            # int8 activations where there is a choice, as ours and ggml have them.
            quantised = {"expert_weight_bits": 8 if layer.format == "int8" else 4, "weights_prepacked": 0,
                         "accuracy_level": 4}
            if found["fc1_scales"].ndim == 3:
                quantised["block_size"] = spec.hidden // found["fc1_scales"].shape[2]
        if spec.router_bias:
            tensors["router_bias"] = layer["router.bias"]
        if spec.expert_bias:
            tensors["fc1_bias"] = interleaved(layer["experts.gate_up_bias"])
            tensors["fc2_bias"] = layer["experts.down_proj_bias"]

        nodes = [helper.make_node("MatMul", ["x", "router"], ["product"])]
        if spec.router_bias:
            nodes.append(helper.make_node("Add", ["product", "router_bias"], ["logits"]))
        inputs = ["x", nodes[-1].output[0], *(
            ["fc1", "fc1_bias", "fc2", "fc2_bias"] if operation == "MoE" else
            ["fc1", "fc1_scales", "fc1_bias", "fc2", "fc2_scales", "fc2_bias", *[""] * 6, "probabilities"])]
        if operation == "QMoE" and spec.score == "softmax_before" and not spec.renormalise:
            # It would normalise what it chooses, whatever its attribute says.
            nodes.append(helper.make_node("Softmax", [inputs[1]], ["probabilities"], axis=-1))
        there = {"x", *tensors, *(n.output[0] for n in nodes)}
        clamped = {} if spec.activation == "silu" else {
            "activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_limit": 7.0}
        nodes.append(helper.make_node(
            operation, [n if n in there else "" for n in inputs], ["y"],
            domain="com.microsoft", k=spec.slots, activation_type="swiglu", swiglu_fusion=1,
            normalize_routing_weights=int(spec.renormalise or spec.score == "softmax_after"), **clamped,
            **quantised))

        # Not within the model, which has 2 GB at most, but constants all the
        # same: what is an input is not packed.
        self.arrays = tensors
        values = {n: onnxruntime.OrtValue.ortvalue_from_numpy(a) for n, a in tensors.items()}
        constants = [onnx.TensorProto(name=n, dims=a.shape, data_type=helper.np_dtype_to_tensor_dtype(a.dtype),
                                      data_location=onnx.TensorProto.EXTERNAL,
                                      external_data=[onnx.StringStringEntryProto(key="location", value=n)])
                     for n, a in tensors.items()]
        x, y = (helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, ["T", spec.hidden]) for n in "xy")
        model = helper.make_model(helper.make_graph(nodes, "layer", [x], [y], constants), ir_version=10,
                                  opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)])

        options = onnxruntime.SessionOptions()
        options.add_external_initializers(list(values), list(values.values()))
        options.intra_op_num_threads = threads
        # Threads spin within a call and sleep between calls.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        options.log_severity_level = 4
        try:
            self.session = onnxruntime.InferenceSession(model.SerializeToString(), options,
                                                        providers=["CPUExecutionProvider"])
        except Exception as error:  # has no class of its own
            raise Unavailable(str(error).splitlines()[0]) from None

    def quantised(self, layer):
        """The same numbers, which QMoE has without signs: 8 or 128 is zero."""
        found = {}
        for name, prefix in (("fc1", "experts.gate_up"), ("fc2", "experts.down_proj")):
            codes, scales = layer[prefix + ".q"], layer[prefix + ".scales"]
            if layer.get(prefix + ".zeros") is not None or scales.dtype != np.float32:
                raise Unavailable("takes int4 with scales = f32 and without zeros")
            codes = codes.reshape(*codes.shape[:2], -1).view(np.uint8)
            if layer.format == "int8":
                codes = codes ^ np.uint8(0x80)
            order = interleaved if name == "fc1" else np.ascontiguousarray
            found |= {name: order(codes), name + "_scales": order(scales)}
        return found

    def take(self, x):
        return onnxruntime.OrtValue.ortvalue_from_numpy(x)

    def run(self, x):
        return self.session.run_with_ort_values(None, {"x": x})[0]

    def give(self, y):
        return y.numpy()


PEERS = [OnnxRuntime]
