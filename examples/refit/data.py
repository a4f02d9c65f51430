"""A made-up model whose router is partly wrong, for moe-refit-router.

usage: data.py make FOLDER [SEED]
       data.py score FOLDER [HELD_BACK.npy]

`make` writes the weights of layer.mlir and tokens of eight tasks: a token is the
direction of its task, the style of its sample and noise; four tokens are a sample. The
right router sends task t to experts t and t + 1, and does not see styles; router.weight
is that one, but sees them, and so sends some samples of each task elsewhere. `embeddings` know the task and little else.

`score` compares FOLDER/out/y.npy, what the layer made, with FOLDER/right/y.npy, what it
makes with right.weight as its router: it writes `loss` of each token, the squared
distance by the square of the right one, and `correct` of each sample, whose mean loss
has to be below 0.05; and prints their means, of HELD_BACK samples alone if given.
"""
import os
import sys

import numpy as np

TASKS, SAMPLES, TOKENS, H = 8, 240, 4, 32


def save(folder, **tensors):
    os.makedirs(folder, exist_ok=True)
    for name, value in tensors.items():
        np.save(os.path.join(folder, name.replace("__", ".") + ".npy"), value)


def make(folder, seed):
    random = np.random.default_rng(seed)
    directions, styles = np.split(np.linalg.qr(random.standard_normal((H, H)))[0][:2 * TASKS], 2)
    task = random.permutation(np.arange(SAMPLES) % TASKS)
    sample = np.repeat(np.arange(SAMPLES), TOKENS)
    style = random.standard_normal((SAMPLES, TASKS)) @ styles
    x = 4 * directions[task[sample]] + style[sample] + 0.2 * random.standard_normal((len(sample), H))
    right = 1.5 * directions + 1.2 * np.roll(directions, 1, axis=0)
    wrong = right + 0.4 * random.standard_normal((TASKS, TASKS)) @ styles
    embeddings = np.eye(TASKS, 12)[task] + 0.1 * random.standard_normal((SAMPLES, 12))
    experts = random.standard_normal((3, TASKS, H, H)) / np.sqrt(H)
    f32 = {"x": x, "router__weight": wrong, "embeddings": embeddings, "experts__gate_proj": experts[0],
           "experts__up_proj": experts[1], "experts__down_proj": experts[2]}
    save(folder, sample=sample.astype(np.int32), **{name: value.astype(np.float32) for name, value in f32.items()})
    save(os.path.join(folder, "right"), router__weight=right.astype(np.float32))


def score(folder, held_back):
    y, right = (np.load("%s/%s/y.npy" % (folder, run)).astype(np.float64) for run in ("out", "right"))
    loss = ((y - right)**2).sum(axis=1) / (right**2).sum(axis=1)
    of_samples = loss.reshape(SAMPLES, TOKENS).mean(axis=1)
    correct = of_samples < 0.05
    save(folder, loss=loss.astype(np.float32), correct=correct)
    at = np.load(held_back) if held_back else np.ones(SAMPLES, bool)
    print("%d samples: %.1f %% correct, mean loss %.4f" % (at.sum(), 100 * correct[at].mean(), of_samples[at].mean()))


if __name__ == "__main__":
    command, where, *rest = sys.argv[1:]
    if command == "make":
        make(where, int(rest[0]) if rest else 1)
    else:
        score(where, rest[0] if rest else None)
