# Re-fitting routers: the objective and its gradient, neighbours, what the program writes
# and says, and what is refused.
#
# RUN: %python %s %t

import os
import subprocess
import sys
import unittest

import numpy as np

import moe_mlir
from moe_mlir import _tables, refit_router
from moe_mlir.refit_router import Objective, Recording, neighbours, refit

OUT = sys.argv.pop(1)
os.makedirs(OUT, exist_ok=True)
T, S, E, H, K = 24, 10, 5, 7, 2


def recording(seed=1, **changed):
    """Weights, and what their router chooses of random tokens."""
    random = np.random.default_rng(seed)
    w, x = random.standard_normal((E, H)), random.standard_normal((T, H))
    z = x @ w.T
    indices = np.argsort(-z, axis=1, kind="stable")[:, :K].astype(np.int32)
    chosen = np.take_along_axis(z, indices, axis=1)
    weights = np.exp(chosen) / np.exp(chosen).sum(axis=1, keepdims=True)
    given = dict(x=x, indices=indices, weights=weights, embeddings=random.standard_normal((S, 3)),
                 loss=random.random(S), sample=np.concatenate([np.arange(S), random.integers(0, S, T - S)]))
    given.update(changed)
    return w, Recording(**given)


def program(*arguments):
    done = subprocess.run([sys.executable, "-m", "moe_mlir.refit_router", *map(str, arguments)], capture_output=True,
                          text=True)
    return done.returncode, done.stdout, done.stderr


class Refit(unittest.TestCase):
    def objective(self, strength, decay):
        w, given = recording()
        q = np.zeros((T, E))
        for t in range(T):
            q[t, given.indices[t]] = given.weights[t]
        near = neighbours(given.embeddings, np.arange(S) % 3 != 1, 3)
        return given, q, Objective(given.x, q, given.loss[given.sample], given.sample, near, w, strength, decay), w

    def test_value(self):
        """The definition, in loops."""
        given, q, objective, start = self.objective(0.7, 0.3)
        w = start + 0.2 * np.random.default_rng(2).standard_normal(start.shape)
        p = []
        for x in given.x:
            e = [np.exp(float(x @ row)) for row in w]
            p.append([v / sum(e) for v in e])
        losses = [given.loss[s] for s in given.sample]
        gain = [max(sum(losses) / T - loss, 0) for loss in losses]
        expected = -sum(gain[t] / sum(gain) * q[t, e] * np.log(p[t][e]) for t in range(T) for e in range(E))
        r = [np.mean([p[t] for t in range(T) if given.sample[t] == s], axis=0) for s in range(S)]
        for s in range(S):
            distance = {j: float(((given.embeddings[s] - given.embeddings[j])**2).sum())
                        for j in range(S) if j != s and j % 3 != 1}
            near = sorted(distance, key=lambda j: distance[j])[:3]
            mean = sum(distance[j] for j in near) / 3
            a = [np.exp(-distance[j] / mean) for j in near]
            expected += 0.7 / S * sum(v / sum(a) * ((r[s] - r[j])**2).sum() for v, j in zip(a, near))
        expected += 0.3 * ((w - start)**2).sum() / (start**2).sum()
        self.assertAlmostEqual(objective(w)[0], expected, places=12)

    def test_gradient(self):
        """Each term alone and all together, against central differences."""
        for strength, decay, has_loss in ((0, 0, True), (2, 0, False), (0, 3, False), (0.7, 0.3, True)):
            _, _, objective, start = self.objective(strength, decay)
            objective.gain = objective.gain * has_loss
            w = start + 0.2 * np.random.default_rng(2).standard_normal(start.shape)
            gradient = objective(w)[1]
            self.assertGreater(np.abs(gradient).max(), 1e-3)
            for e, h in np.ndindex(w.shape):
                step = np.zeros_like(w)
                step[e, h] = 1e-5
                difference = (objective(w + step)[0] - objective(w - step)[0]) / 2e-5
                self.assertAlmostEqual(gradient[e, h], difference, delta=1e-8)

    def test_neighbours(self):
        """On a line; nobody is its own neighbour, and equal distances come in order."""
        near = neighbours(np.array([[0.], [1.], [2.], [5.]]), np.array([True, False, True, True]), 2)
        self.assertEqual(near.rows.tolist(), [[2, 3], [0, 2], [0, 3], [2, 0]])
        a = np.exp(-np.array([4, 25]) / 14.5)
        np.testing.assert_allclose(near.weights[0], a / a.sum())
        np.testing.assert_allclose(near.weights[1], [0.5, 0.5])
        alone = neighbours(np.zeros((2, 1)), np.array([True, False]), 3)
        self.assertEqual(alone.weights.tolist(), [[0], [1]])

    def test_same_bits_and_types(self):
        w, given = recording()
        found = refit(w, given, steps=20, dtype="BF16")
        self.assertEqual(found.weights.tobytes(), refit(w, given, steps=20, dtype="BF16").weights.tobytes())
        self.assertFalse((found.weights.view(np.uint32) & 0xFFFF).any())
        self.assertGreater(np.abs(found.weights - w).max(), 0.01)
        self.assertEqual((found.reproduced, found.held_back.sum()), (1, 2))
        exact = refit(w, given, steps=20).weights
        self.assertLess(np.abs(exact - found.weights).max(), 2**-8 * np.abs(exact).max())

    def test_held_back_samples_are_not_used(self):
        """Other losses and embeddings of theirs give the same weights."""
        w, given = recording()
        found = refit(w, given, steps=20)
        loss, embeddings = given.loss.copy(), given.embeddings.copy()
        loss[found.held_back] += 10
        embeddings[found.held_back] += 3
        success = found.success
        for name, value in (("embeddings", embeddings), ("loss", loss)):
            _, other = recording(success=success, **{name: value})
            self.assertTrue(np.array_equal(found.weights, refit(w, other, steps=20).weights), name)

    def files(self, **changed):
        w, given = recording()
        tensors = {"x": given.x, "routing.indices": given.indices, "routing.weights": given.weights, "loss": given.loss,
                   "embeddings": given.embeddings, "sample": given.sample}
        tensors.update(changed)
        folder = os.path.join(OUT, "in%d" % len(os.listdir(OUT)))
        os.makedirs(folder)
        for name, value in tensors.items():
            if value is not None:
                np.save(os.path.join(folder, name + ".npy"), value)
        return w, folder

    def test_program(self):
        """The name and the type of the checkpoint's tensor are kept, its other tensors are left alone."""
        w, folder = self.files()
        from pathlib import Path
        _tables.write(Path(OUT, "model.safetensors"), {"gate.weight": ("BF16", w), "other": ("F32", w)})
        status, said, error = program(OUT + "/model.safetensors", "--router=gate.weight", "--inputs=" + folder,
                                      "--steps=5", "-o", OUT + "/new.safetensors", "--held-back-out", OUT + "/h.npy")
        self.assertEqual((status, error), (0, ""))
        self.assertRegex(said, r"gate.weight: \d+\.\d % of the recorded choices are those of its weights\n"
                         r"10 samples, 5 successful; 2 held back, on which\n"
                         r"  agreement with successful neighbours: 0\.\d{4} before, 0\.\d{4} after\n"
                         r"  loss proxy: \d+\.\d{4} before, \d+\.\d{4} after\n")
        written = _tables.read_safetensors(Path(OUT, "new.safetensors"))
        self.assertEqual([(name, dtype, array.shape) for name, (dtype, array) in written.items()],
                         [("gate.weight", "BF16", (E, H))])
        self.assertEqual(np.load(OUT + "/h.npy").sum(), 2)

    def test_refused(self):
        w, given = recording()
        np.save(OUT + "/w.npy", w)
        np.save(OUT + "/other.npy", np.random.default_rng(9).standard_normal((E, H)))
        np.save(OUT + "/narrow.npy", w[:, :3])
        twice = given.sample.copy()
        twice[twice == 4] = 3
        far = given.indices.copy()
        far[5, 0] = E
        for said, changed, weights in (
                (r"x: has 7 columns, and the router's weights have 3", {}, "narrow"),
                (r"router: its weights choose \d+ % of the recorded experts of x; expected at least 90 %", {}, "other"),
                (r"routing.indices: row 5 holds 5; expected -1 to 4", {"routing.indices": far}, "w"),
                (r"sample: no token belongs to sample 4 of 10", {"sample": twice}, "w"),
                (r"embeddings: are of 10 samples for 24 tokens", {"sample": None}, "w"),
                (r"loss: has 3 values; expected 24, of tokens, or 10, of samples", {"loss": given.loss[:3]}, "w"),
                (r"loss: row 0 holds a value that is not finite", {"loss": given.loss * np.nan}, "w"),
                (r"no file has a tensor 'embeddings'", {"embeddings": None}, "w"),
                (r"expected either a tensor 'loss' or a tensor 'correct'", {"correct": given.loss > 0}, "w"),
                (r"correct: is float64\[10\]; expected 0 or 1", {"loss": None, "correct": given.loss}, "w"),
                (r"success: none of the 8 samples that are used was successful", {"success": np.zeros(S, bool)}, "w"),
                (r"missing.npy: cannot read: No such file", {}, "missing")):
            _, folder = self.files(**changed)
            status, _, error = program(f"{OUT}/{weights}.npy", "--inputs=" + folder, "-o", OUT + "/nothing.npy")
            self.assertEqual(status, 1, said)
            self.assertRegex(error, r"\Amoe-refit-router: error: .*" + said)
            self.assertEqual(error.count("\n"), 1, error)
        self.assertFalse(os.path.exists(OUT + "/nothing.npy"))


if __name__ == "__main__":
    unittest.main()
