"""Calls an artifact by the benchmark's own code, on a driver that only says what it is
asked for.

usage: gpu_calls.py FOLDER
"""

import ctypes
import sys

from artifact import Artifact, Device, DeviceError

STREAM = 7  # what that driver expects
TOKENS = 3


def say(what):
    """Behind what the driver said."""
    ctypes.CDLL(None).fflush(None)
    print(what, flush=True)


device = Device(sys.argv[1])
artifact = Artifact(device, sys.argv[1], "small")
size = artifact.workspace_bytes(TOKENS)
addresses = {name: device.allocate(1 << 20) for name in artifact.tensors}
workspace = device.allocate(size)

say("all")
names = artifact.call(TOKENS, addresses, workspace, size, stream=STREAM, noting=True)
say(names)
artifact.call(TOKENS, addresses, workspace, size, stream=STREAM, parts=("gate_up", "combine"))
say("some")
artifact.call(TOKENS, addresses, workspace, size, stream=STREAM, parts=())
say("none")
say(artifact.call(TOKENS, addresses, workspace, size, stream=STREAM))
try:
    artifact.call(TOKENS, addresses, workspace, size - 1, stream=STREAM)
except DeviceError as error:
    say(error)
device.write(addresses["x"], b"as it was")
say(device.read(addresses["x"], 9))
