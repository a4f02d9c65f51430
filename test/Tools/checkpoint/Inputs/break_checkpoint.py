"""A copy of a checkpoint with tensors changed: usage: break_checkpoint.py IN OUT
REGEX [--shape=N,...] [--type=NAME] [--copy=NAME,...]. Tensors whose names match
get the shape or the type, or copies under further names; without options they
are taken out."""
import json
import os
import re
import struct
import sys

source, target, pattern = sys.argv[1:4]
options = dict(word[2:].split("=", 1) for word in sys.argv[4:])
os.makedirs(target)
index = {}
for name in sorted(os.listdir(source)):
    with open(os.path.join(source, name), "rb") as file:
        data = file.read()
    if name.endswith(".index.json"):
        continue
    if name.endswith(".safetensors"):
        begin = 8 + struct.unpack("<Q", data[:8])[0]
        header = json.loads(data[8:begin])
        body = data[begin:]
        for key in list(header):
            if not re.search(pattern, key):
                continue
            tensor = header[key]
            if "shape" in options:
                tensor["shape"] = [int(n) for n in options["shape"].split(",")]
            if "type" in options:
                tensor["dtype"] = options["type"]
            for copy in filter(None, options.get("copy", "").split(",")):
                first, last = tensor["data_offsets"]
                header[copy] = dict(tensor, data_offsets=[
                    len(body), len(body) + last - first])
                body += body[first:last]
            if not options:
                del header[key]
        index.update({key: name for key in header})
        text = json.dumps(header).encode()
        data = struct.pack("<Q", len(text)) + text + body
    with open(os.path.join(target, name), "wb") as file:
        file.write(data)
with open(os.path.join(target, "model.safetensors.index.json"), "w") as file:
    json.dump({"weight_map": index}, file)
