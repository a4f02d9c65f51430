# Layers on a card that is none: a driver that says what it is asked for and whose
# memory is the host's, and arrays that are lent by DLPack. Kernels are started, and
# leave bytes of 1 as results.
#
# REQUIRES: x86-64
# RUN: rm -rf %t.driver && mkdir %t.driver
# RUN: %cc -std=gnu11 -shared -fPIC %moe_src/test/Integration/gpu/Inputs/driver.c -o %t.driver/libcuda.so.1
# RUN: env LD_LIBRARY_PATH=%t.driver %python %s %t

import ctypes
import gc
import os
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "Inputs"))
import layers
from dlpack import Producer, Taken

import moe_mlir
from moe_mlir import DeviceArray, Error, Routing
from moe_mlir._device_arrays import _lent

OUT = layers.folder()
SOURCE = layers.INPUTS.parents[1] / "Integration" / "gpu" / "Inputs" / "layer.mlir"
T, H, E, I = 3, 256, 4, 128
LAUNCHES = ["layer_index", "layer_elementwise", "layer_gate_up_few", "layer_down_few", "layer_combine"]
libc = ctypes.CDLL(None)


def aligned(array):
    """The same, at a multiple of 64 bytes."""
    memory = np.zeros(array.nbytes + 64, np.uint8)
    at = -memory.ctypes.data % 64
    copy = memory[at:at + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


class Said:
    """What the driver says in between, line by line."""

    def __init__(self, stream=0, fail_at=None):
        self.settings = {"STREAM": str(stream)}
        if fail_at:
            self.settings["FAIL_AT"] = str(fail_at)

    def __enter__(self):
        os.environ.update(self.settings)
        libc.fflush(None)
        sys.stdout.flush()
        self.file = tempfile.TemporaryFile()
        self.before = os.dup(1)
        os.dup2(self.file.fileno(), 1)
        self.lines = []
        return self

    def __exit__(self, *error):
        libc.fflush(None)
        os.dup2(self.before, 1)
        os.close(self.before)
        self.file.seek(0)
        self.lines += [line.strip() for line in self.file.read().decode().splitlines()]
        self.file.close()
        for name in self.settings:
            del os.environ[name]

    def launches(self):
        return [line.split(":")[0] for line in self.lines if " blocks of " in line]

    def streams(self):
        return {int(line.split("stream ")[1].split(",")[0]) for line in self.lines if "stream " in line}

    def copies(self):
        return [line for line in self.lines if line.endswith((" up", " down"))]


class Device(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.path = layers.build(SOURCE, OUT / "m", "--target=native,sm_80,sm_90a")
        with Said():
            cls.layer = moe_mlir.load(cls.path, device="cuda")
            rng = np.random.default_rng(1)
            cls.tensors = {t.name: rng.standard_normal(t.shape).astype(np.float32) for t in cls.layer.model_tensors}
            cls.packed = cls.layer.pack(cls.tensors)
            cls.layer.weights = cls.packed
        cls.x = aligned(rng.standard_normal((T, H)).astype(np.float32))
        cls.routing = Routing(aligned(np.array([[0, 1], [2, 3], [1, 2]], np.int32)),
                              aligned(np.full((T, 2), 0.5, np.float32)))

    def lent(self, **changes):
        return Producer(changes.pop("x", self.x), **changes), \
            Routing(Producer(self.routing.indices), Producer(self.routing.weights))

    def refused(self, pattern, x, layer=None, **named):
        with Said() as said, self.assertRaisesRegex(Error, pattern) as caught:
            (layer or self.layer)(x, **named)
        self.assertNotIn("\n", str(caught.exception))
        self.assertEqual(said.launches(), [])

    def test_description(self):
        self.assertEqual((self.layer.device, self.layer.variant), ("cuda:0", "sm_90a"))
        self.assertEqual(self.layer.targets[-2:], ("sm_80", "sm_90a"))
        host = moe_mlir.load(self.path)
        self.assertEqual(host.variant, self.layer.targets[0])
        self.assertNotEqual(host.workspace_bytes(100000), self.layer.workspace_bytes(100000))
        self.assertIsInstance(self.layer.__copy__(), moe_mlir.DeviceLayer)

    def test_call(self):
        x, routing = self.lent()
        with Said() as said:
            y = self.layer(x, routing=routing)
        self.assertEqual(said.launches(), LAUNCHES)
        self.assertEqual(said.streams(), {0})
        self.assertEqual(said.copies(), [])  # Nothing is copied.
        # CUDA's default stream has number 1 for DLPack.
        self.assertEqual((x.streams, routing.indices.streams, routing.weights.streams), ([1], [1], [1]))
        self.assertIs(type(y), DeviceArray)
        self.assertEqual((y.shape, y.dtype, y.device), ((T, H), "f32", "cuda:0"))

    def test_streams(self):
        x, routing = self.lent()
        with Said(stream=5) as said:
            y = self.layer(x, routing=routing, stream=5)
        self.assertEqual((said.streams(), x.streams), ({5}, [5]))
        with Said(stream=5):
            self.assertEqual(y.numpy().shape, (T, H))
            del y

        class Stream:
            cuda_stream = 9
        x, routing = self.lent()
        with Said(stream=9) as said:
            self.layer(x, routing=routing, stream=Stream())
        self.assertEqual((said.streams(), x.streams), ({9}, [9]))
        for bad in (-2, "7", True, 1.5):
            self.refused("stream: is .*expected the number of a stream", x, routing=routing, stream=bad)

    def test_lending(self):
        x, routing = self.lent()
        with Said(stream=5) as said:
            y = self.layer(x, routing=routing, stream=5)
            # On its own stream nobody waits; a driver that is asked for another one fails.
            taken = Taken(y.__dlpack__(stream=5))
            unused = y.__dlpack__(stream=-1)
            self.assertEqual(len(_lent), 2)
            del unused
            self.assertEqual(len(_lent), 1)
            waited = y.__dlpack__(stream=1, max_version=(1, 0))
            del waited
        self.assertEqual(y.__dlpack_device__(), (2, 0))
        self.assertEqual((taken.device, taken.shape, taken.type), ((2, 0), (T, H), (2, 32, 1)))
        self.assertEqual(taken.data % 16, 0)
        del y
        gc.collect()
        # The memory stays until the last one lets go of it.
        self.assertTrue((taken.bytes(T * H * 4) == 1).all())
        with Said(stream=5):
            taken.release()
        self.assertEqual(len(_lent), 0)
        with Said():
            array = self.layer.to_device(np.arange(6, dtype=np.int32))
            self.assertRaises(BufferError, array.__dlpack__, copy=True)
            self.assertRaises(BufferError, array.__dlpack__, dl_device=(1, 0))
            self.assertEqual(list(array.numpy()), [0, 1, 2, 3, 4, 5])
            del array

    def test_waits_for_others(self):
        """Who takes an array on another stream gets it when the first one is through."""
        x, routing = self.lent()
        with Said(stream=5):
            y = self.layer(x, routing=routing, stream=5)
        with Said(stream=6), self.assertRaisesRegex(Error, "waiting for kernels"):
            y.__dlpack__(stream=6)  # The driver wants stream 6, and it is 5 that is waited for.
        with Said(stream=5):
            y.__dlpack__(stream=6)
            del y

    def test_kinds(self):
        for device in ((2, 0), (13, 0)):
            x, routing = self.lent(device=device)
            with Said() as said:
                self.layer(x, routing=routing)
            self.assertEqual(len(said.launches()), 5, device)
        with Said():
            x = self.layer.to_device(self.x)
            routing = Routing(*map(self.layer.to_device, self.routing[:2]))
            out = self.layer.to_device(np.zeros((T, H), np.float32))
            self.assertIs(self.layer(x, routing=routing, out=out), out)
            empty = self.layer(self.layer.to_device(self.x[:0]), routing=Routing(
                self.layer.to_device(self.routing.indices[:0]), self.layer.to_device(self.routing.weights[:0])))
            self.assertEqual(empty.numpy().shape, (0, H))
            del x, routing, out, empty

    def test_refused(self):
        x, routing = self.lent()
        self.refused("x: the array is in the host's memory", self.x, routing=routing)
        self.refused("x: the array is in the host's memory", Producer(self.x, device=(1, 0)), routing=routing)
        self.refused("routing.indices: the array is in the host's memory", x,
                     routing=Routing(self.routing.indices, routing.weights))
        self.refused("x: the array is on device 2:1 of DLPack; expected f32.3, 256. that is contiguous, on cuda:0",
                     Producer(self.x, device=(2, 1)), routing=routing)
        for other in ((10, 0), (7, 0), (3, 0)):
            self.refused(f"on device {other[0]}:0 of DLPack", Producer(self.x, device=other), routing=routing)
        self.refused("x: elements are f64, expected f32", Producer(aligned(self.x.astype(np.float64))),
                     routing=routing)
        self.refused("x: shape is .3, 255., expected", Producer(self.x[:, :255]), routing=routing)
        self.refused("x: not contiguous", Producer(self.x, strides=(1, T)), routing=routing)
        self.refused("x: is not at a multiple of 16 bytes", Producer(self.x, offset=4), routing=routing)
        self.refused("x: is a list", [1, 2], routing=routing)
        self.refused("expected routing", x)
        self.refused("y: DLPack does not say", x, routing=routing, out=Producer(np.zeros((T, H), np.float32)))
        with Said():
            small = self.layer.to_device(np.zeros((T, H - 1), np.float32))
        self.refused("y: shape is", x, routing=routing, out=small)
        with Said():
            del small
        host = moe_mlir.load(self.path)
        host.weights = host.pack(self.tensors)
        self.refused("on the CPU", x, layer=host, routing=self.routing)
        with self.assertRaisesRegex(Error, "is packed for .*; pack it for the target that runs here"):
            self.layer.weights = host.weights
        with self.assertRaisesRegex(Error, "is packed for sm_80"):
            host.weights = self.packed
        bare = moe_mlir.load(self.path, device="cuda:0")
        self.refused("has no weights", x, layer=bare, routing=routing)
        for device, said in (("hip", "has no code for hip, its layers are for the CPU and cuda"),
                             ("cuda:3", "cuda:3: cuDeviceGet failed"), ("cuda:x", "expected 'cpu'"),
                             ("gpu", "expected 'cpu'"), (3, "is a int")):
            with Said(), self.assertRaisesRegex(Error, said):
                moe_mlir.load(self.path, device=device)

    def test_weights_are_copied_once(self):
        with Said() as said:
            again = moe_mlir.load(self.path, device="cuda")
            again.weights = self.packed
        self.assertEqual(said.copies(), [])
        with Said() as said:
            own = self.layer.pack(self.tensors)
            again.weights = own
        self.assertEqual(said.copies(), [f"{E * 2 * I * H * 2} bytes up", f"{E * H * I * 2} bytes up"])

    def test_failures(self):
        """Each call of the driver fails once: an error, and the next call is fine."""
        for number in range(1, 40):
            x, routing = self.lent()
            fails = None
            with Said(fail_at=number) as said:
                try:
                    y = self.layer(x, routing=routing)
                    y = None
                except Error as error:
                    fails = error
            if not any("fails" in line for line in said.lines):
                self.assertIsNone(fails)
                break
            if fails is None:
                continue  # While memory is freed, which tells nobody.
            self.assertIn("CUDA_ERROR_ILLEGAL_ADDRESS", str(fails), said.lines)
            self.assertNotIn("\n", str(fails))
            with Said():
                self.layer(x, routing=routing)
        else:
            self.fail("the driver is never done")
        self.assertGreater(number, 10)


if __name__ == "__main__":
    unittest.main()
