# Part of the MoE-MLIR project, under the Apache License v2.0 with LLVM Exceptions.
# See LICENSE for license information.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# REQUIRES: python-numpy
# RUN: moe-compile %examples/hecto.mlir -o %t
# RUN: %python %s %t.so %t.folder %examples/hecto.mlir
"""Sequences of different lengths, against the formulas of the paper in float64; and
token by token, with the state that a call returns, which has to give the same bits."""
import os
import subprocess
import sys

import numpy as np

artifact, folder, model = sys.argv[1:]
random = np.random.default_rng(7)


def normal(*shape):
    return random.standard_normal(shape).astype(np.float32)


weights = {
    "router.weight": normal(2, 256) / 16,
    "gru.input": normal(1, 384, 256) / 16,
    "gru.hidden": normal(1, 384, 128) / 11,
    "gru.input_bias": normal(1, 384),
    "gru.hidden_bias": normal(1, 384),
    "gru.head": normal(1, 4, 128),
    "ffn.up_proj": normal(1, 128, 256) / 16,
    "ffn.down_proj": normal(1, 4, 128),
}


def run(name, lengths, x, cls, state):
    """y and the next state of each sequence."""
    ends = np.cumsum(lengths)
    tensors = dict(weights, x=x, cls=cls, state=state,
                   sequence=np.repeat(np.arange(len(lengths)), lengths).astype(np.int32),
                   first=(ends - lengths).astype(np.int32), last=(ends - 1).astype(np.int32))
    own = os.path.join(folder, name)
    os.makedirs(own, exist_ok=True)
    for key, value in tensors.items():
        np.save(os.path.join(own, key + ".npy"), value)
    inputs = ["--inputs=%s/%s.npy" % (own, key) for key in tensors]
    verify = ["--model=" + model, "--verify"] if name == "ragged" else []
    subprocess.run(["moe-run", artifact, *inputs, *verify, "-o", own + ".out"], check=True, stdout=subprocess.DEVNULL)
    return [np.load(os.path.join(own + ".out", key + ".npy")) for key in ("y", "next_state")]


def sigmoid(v):
    return 1 / (1 + np.exp(-v))


def expect(x, cls, h):
    """Of one sequence, whether its expert is the recurrent one, y and the state."""
    w = {name: value.astype(np.float64) for name, value in weights.items()}
    p = np.exp(w["router.weight"] @ cls / 1.5)
    p /= p.sum()
    expert = int(np.argmax(p))
    if expert == 1:
        return False, p[1] * (w["ffn.down_proj"][0] @ np.tanh(w["ffn.up_proj"][0] @ cls)), h
    for row in x:
        ir, iz, i_n = np.split(w["gru.input"][0] @ row + w["gru.input_bias"][0], 3)
        hr, hz, hn = np.split(w["gru.hidden"][0] @ h + w["gru.hidden_bias"][0], 3)
        z = sigmoid(iz + hz)
        h = (1 - z) * np.tanh(i_n + sigmoid(ir + hr) * hn) + z * h
    return True, p[0] * (w["gru.head"][0] @ h), h


lengths = np.array([5, 1, 9, 2, 2, 17, 3, 40, 1, 6])
begins = np.cumsum(lengths) - lengths
x, cls, state = normal(lengths.sum(), 256), normal(len(lengths), 256), normal(len(lengths), 128)
y, after = run("ragged", lengths, x, cls, state)
recurrent = []
for s, (begin, length) in enumerate(zip(begins, lengths)):
    is_recurrent, want, h = expect(x[begin:begin + length].astype(np.float64), cls[s].astype(np.float64),
                                   state[s].astype(np.float64))
    if is_recurrent:
        recurrent.append(s)
    assert np.abs(y[s] - want).max() < 1e-4, (s, y[s], want)
    assert np.abs(after[s] - h).max() < 1e-4, s
assert 2 <= len(recurrent) <= len(lengths) - 2, recurrent

# In the other order, and one token of each in every call.
order = np.arange(len(lengths))[::-1]
taken = np.concatenate([np.arange(begins[s], begins[s] + lengths[s]) for s in order])
y2, after2 = run("reversed", lengths[order], x[taken], cls[order], state[order])
assert np.array_equal(y2[::-1], y) and np.array_equal(after2[::-1], after)
now, last = state.copy(), np.zeros_like(y)
for step in range(lengths.max()):
    alive = np.flatnonzero(lengths > step)
    last[alive], now[alive] = run("step", np.ones(len(alive), int), x[begins[alive] + step], cls[alive], now[alive])
assert np.array_equal(last, y) and np.array_equal(now, after)
