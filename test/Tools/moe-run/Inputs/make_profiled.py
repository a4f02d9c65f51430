"""usage: make_profiled.py FOLDER TOKENS SEED: tensors of profiled.mlir, as .npy files.

No number is near a tie or a threshold.
"""
import os
import sys

import numpy as np

folder, tokens, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(seed)
os.makedirs(folder, exist_ok=True)


def distinct(shape):
    """Rows of different multiples of 1/64, with numbers below 0 among them."""
    rows = [random.choice(np.arange(-64, 65), size=shape[1], replace=False) for _ in range(shape[0])]
    return np.array(rows, np.float32) / 64


weights = np.random.default_rng(5)
tensors = {
    "x": random.standard_normal((tokens, 8)),
    "s": distinct((tokens, 6)),
    "z": distinct((tokens, 4)),
    "thresholds": np.array([-0.505, 0.005, 0.255, -0.255, 0.755, 2.0]),
    "up": weights.standard_normal((6, 16, 8)),
    "down": weights.standard_normal((6, 8, 16)),
    "up2": weights.standard_normal((4, 16, 8)),
    "down2": weights.standard_normal((4, 8, 16)),
}
for name, values in tensors.items():
    np.save(os.path.join(folder, name + ".npy"), values.astype(np.float32))
