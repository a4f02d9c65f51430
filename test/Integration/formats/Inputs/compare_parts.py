"""Compares the rows of a layer's result for many tokens with those for the first
ones of them, which meet tiles of other sizes.

usage: compare_parts.py LAYER.so FOLDER
"""
import json
import struct
import subprocess
import sys

layer, folder = sys.argv[1:]


def run(tokens, threads):
    """The bytes of y."""
    path = f"{folder}/y{tokens}.safetensors"
    subprocess.run(["moe-run", layer, "--random=1", f"--tokens={tokens}",
                    f"--threads={threads}", "-o", path],
                   check=True, stdout=subprocess.DEVNULL)
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    begin, end = json.loads(data[8:8 + size])["y"]["data_offsets"]
    return data[8 + size + begin:8 + size + end]


whole = run(67, 2)
for tokens in 1, 2, 5, 9, 14, 33:
    part = run(tokens, 1)
    if part != whole[:len(part)]:
        sys.exit(f"{tokens} tokens alone differ from the same among 67")
print("67 rows have the same bits")
