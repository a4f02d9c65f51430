"""Splits a GGUF file into a set of two parts with the half of its tensors each:
usage: split_gguf.py IN.gguf FOLDER/STEM."""
import struct
import sys

source, stem = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
version, tensors, pairs = struct.unpack("<IQQ", data[4:24])
at = 24


def text(value):
    return struct.pack("<Q", len(value)) + value.encode()


def take_text():
    global at
    size = struct.unpack_from("<Q", data, at)[0]
    at += 8 + size


first_key = at
for _ in range(pairs):
    take_text()
    kind = struct.unpack_from("<I", data, at)[0]
    at += 4
    if kind == 8:
        take_text()
    else:
        assert kind == 4, kind
        at += 4
keys = data[first_key:at]
infos = []
for _ in range(tensors):
    begin = at
    take_text()
    rank = struct.unpack_from("<I", data, at)[0]
    at += 4 + 8 * rank + 4
    infos.append((data[begin:at], struct.unpack_from("<Q", data, at)[0]))
    at += 8
begin = at + -at % 32
ends = [offset for _, offset in infos[1:]] + [len(data) - begin]
half = len(infos) // 2
for number, part in enumerate((range(half), range(half, len(infos)))):
    head = b"" if number else keys
    for key, value in (("split.no", number), ("split.count", 2),
                       ("split.tensors.count", tensors)):
        head += text(key) + struct.pack("<II", 4, value)
    body = b""
    for i in part:
        info, offset = infos[i]
        head += info + struct.pack("<Q", len(body))
        body += data[begin + offset:begin + ends[i]]
        body += bytes(-len(body) % 32)
    head = b"GGUF" + struct.pack("<IQQ", version, len(part),
                                 3 + (0 if number else pairs)) + head
    with open("%s-%05d-of-00002.gguf" % (stem, number + 1), "wb") as file:
        file.write(head + bytes(-len(head) % 32) + body)
