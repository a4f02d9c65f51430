# The same artifact on the CPU and on a Vulkan device, Mesa's on the CPU, against the
# formula in float64.
#
# REQUIRES: lavapipe
# RUN: %python %s %t

import os
import sys
import threading
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers
from dlpack import Producer

import moe_mlir
from moe_mlir import Error, Routing

OUT = layers.folder()


class Vulkan(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = layers.build(layers.INPUTS / "experts.mlir", OUT / "m", "--target=vulkan")
        cls.tensors = layers.weights()
        cls.host = moe_mlir.load(cls.path, function="experts", device="cpu")
        cls.device = moe_mlir.load(cls.path, function="experts", device="vulkan")
        cls.whole = moe_mlir.load(cls.path, function="layer", device="vulkan:0")
        for layer in cls.host, cls.device:
            layer.weights = layer.pack(cls.tensors)
        cls.whole.weights = cls.device.weights

    def move(self, routing):
        return Routing(*map(self.device.to_device, routing[:2]))

    def test_values(self):
        self.assertEqual((self.device.variant, self.device.device), ("vulkan", "vulkan:0"))
        for tokens in (0, 1, 2, 7, 100):
            x, scores, routing = layers.inputs(tokens)
            y = self.device(self.device.to_device(x), routing=self.move(routing)).numpy()
            z = self.whole(self.whole.to_device(x), scores=self.whole.to_device(scores)).numpy()
            self.assertEqual((y.dtype, y.shape), (np.float32, (tokens, 32)))
            if tokens:
                reference = layers.expected(x, routing, self.tensors)
                for result in (y, z, self.host(x, routing=routing)):
                    self.assertLess(layers.difference(result, reference), 1e-6)

    def test_chain(self):
        """A result is an argument, without a wait between, and an array may be read while it is one."""
        x, _, routing = layers.inputs(9)
        moved = self.move(routing)
        y = self.device(self.device(self.device.to_device(x), routing=moved), routing=moved)
        middle = layers.expected(x, routing, self.tensors)
        scale = np.abs(middle).max()
        reference = layers.expected(middle.astype(np.float32), routing, self.tensors)
        self.assertLess(np.abs(y.numpy() - reference).max() / np.abs(reference).max(), 1e-5 * max(scale, 1))

    def test_threads(self):
        x, _, routing = layers.inputs(20)
        reference = layers.expected(x, routing, self.tensors)
        moved, given, wrong = self.move(routing), self.device.to_device(x), []

        def work():
            for _ in range(5):
                if layers.difference(self.device(given, routing=moved).numpy(), reference) > 1e-6:
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_refused(self):
        x, _, routing = layers.inputs(3)
        moved = self.move(routing)
        for bad, said in ((x, "in the host's memory"), (Producer(x, device=(7, 0)), "another library's"),
                          (Producer(x, device=(2, 0)), "on device 2:0 of DLPack")):
            with self.assertRaisesRegex(Error, said):
                self.device(bad, routing=moved)
        with self.assertRaisesRegex(Error, "there is no Vulkan device 5"):
            moe_mlir.load(self.path, function="experts", device="vulkan:5")
        with self.assertRaisesRegex(Error, "has no code for cuda"):
            moe_mlir.load(self.path, function="experts", device="cuda")


if __name__ == "__main__":
    unittest.main()
