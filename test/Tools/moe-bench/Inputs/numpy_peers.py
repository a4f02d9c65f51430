"""Peers of benchmarks/peers/peers.py that need nothing but NumPy: the layer as
its description says, and another one."""

import numpy as np

from peer import Peer, Unavailable


class Plain(Peer):
    name = "plain"
    formats = Peer.formats + ("q8_0", "int4")

    @classmethod
    def version(cls):
        return np.__version__

    def __init__(self, layer, threads):
        self.layer, self.spec = layer, layer.spec
        if layer.spec.score != "softmax_before":
            raise Unavailable("knows one router")

    def f32(self, name):
        if self.layer.get(name + ".scales") is not None:  # int4 without zeros
            codes, scales = self.layer[name + ".q"].view(np.uint8), self.layer[name + ".scales"]
            codes = np.stack([codes & 15, codes >> 4], -1).reshape(*scales.shape, -1) - np.float32(8)
            return (codes * scales[..., None]).reshape(*scales.shape[:2], -1)
        w = self.layer[name]
        if w.dtype == np.int8:  # blocks of a scale in f16 and 32 codes
            scales = np.ascontiguousarray(w[..., :2]).view(np.float16).astype(np.float32)
            return (scales * w[..., 2:]).reshape(*w.shape[:2], -1)
        return w if w.dtype == np.float32 else (w.astype(np.uint32) << 16).view(np.float32)

    def run(self, x):
        scores = np.exp(x @ self.f32("router.weight").T)
        scores /= scores.sum(1, keepdims=True)
        gate_up, down, y = self.f32("experts.gate_up"), self.f32("experts.down_proj"), np.zeros_like(x)
        for t, chosen in enumerate(np.argsort(-scores)[:, :self.spec.slots]):
            for e, weight in zip(chosen, self.weigh(scores[t, chosen])):
                gate, up = np.split(gate_up[e] @ x[t], 2)
                y[t] += weight * (down[e] @ (gate / (1 + np.exp(-gate)) * up))
        return y

    def weigh(self, chosen):
        return chosen / chosen.sum()


class Other(Plain):
    name = "other"

    def weigh(self, chosen):
        return chosen


class Absent(Peer):
    name = "absent"

    @classmethod
    def version(cls):
        raise Unavailable("not on this machine")


PEERS = [Plain, Other, Absent]
