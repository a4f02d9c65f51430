"""Breaks a GGUF file and a folder, one thing at a time, and sees that moe-pack
says what: usage: check_hostile.py ARTIFACT.json FILE.gguf FOLDER."""
import json
import os
import shutil
import struct
import subprocess
import sys

artifact, gguf, folder = sys.argv[1:]
failures, count = [], 0


def check(what, checkpoint, *parts):
    """The message is one line about `checkpoint` that has `parts`."""
    global count
    count += 1
    done = subprocess.run(
        ["moe-pack", artifact, "--checkpoint=" + checkpoint, "-o", "o.safetensors"],
        text=True, errors="replace", stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE)
    lines = done.stderr.strip().split("\n")
    if (done.returncode != 1 or len(lines) != 1 or
            not all(part in lines[0] for part in parts) or
            os.path.exists("o.safetensors")):
        failures.append("%s: exit status %d\n%s" % (what, done.returncode,
                                                    done.stderr))


with open(gguf, "rb") as file:
    good = file.read()
name = b"blk.0.ffn_up_exps.weight"
info = good.index(name) - 8
rank = info + 8 + len(name)
key = good.index(b"olmoe.expert_count") - 8


def broken(at, value):
    return good[:at] + value + good[at + len(value):]


def u32(n):
    return struct.pack("<I", n)


def u64(n):
    return struct.pack("<Q", n)


for what, data, parts in [
        ("empty", b"", ["truncated"]),
        ("half of the keys", good[:key + 10], ["truncated"]),
        ("half of the data", good[:len(good) // 2], ["truncated"]),
        ("all but one byte", good[:-1], ["truncated"]),
        ("magic", broken(0, b"GGUX"), ["does not begin with 'GGUF'"]),
        ("version 1", broken(4, u32(1)), ["GGUF version 1"]),
        ("big endian", broken(4, struct.pack(">I", 3)), ["big-endian"]),
        ("tensors", broken(8, u64(1 << 60)), ["at byte 8"]),
        ("keys", broken(16, u64(1 << 60)), ["at byte 16"]),
        ("length of a key", broken(key, u64(1 << 63)), ["at byte %d" % key]),
        ("type of a value", broken(key + 26, u32(99)),
         ["key 'olmoe.expert_count'", "unknown type 99"]),
        ("length of a name", broken(info, u64(1 << 40)), ["at byte %d" % info]),
        ("rank", broken(rank, u32(9)), ["ffn_up_exps", "9 dimensions"]),
        ("dimension", broken(rank + 4, u64(1 << 63)),
         ["ffn_up_exps", "9223372036854775808"]),
        ("product", broken(rank + 4, u64(1 << 40) * 2),
         ["ffn_up_exps", "overflows"]),
        ("rows", broken(rank + 4, u64(33)), ["ffn_up_exps", "blocks of 32"]),
        ("misaligned", broken(rank + 32, u64(8)),
         ["ffn_up_exps", "alignment of 32"]),
        ("beyond the end", broken(rank + 32, u64(1 << 62)),
         ["ffn_up_exps", "truncated"]),
        ("overlap", broken(rank + 32, u64(0)), ["overlap"])]:
    with open("bad.gguf", "wb") as file:
        file.write(data)
    check(what, "bad.gguf", "bad.gguf: ", *parts)

index = "model.safetensors.index.json"
with open(os.path.join(folder, index)) as file:
    names = json.load(file)["weight_map"]
first = min(names)
for what, map, parts in [
        ("escapes", {first: "../x.safetensors"}, [first, "../x.safetensors"]),
        ("absolute", {first: "/etc/passwd"}, [first, "/etc/passwd"]),
        ("missing file", {first: "gone.safetensors"},
         [first, "gone.safetensors: no such file"]),
        ("missing tensor", {"nothing": names[first]}, ["'nothing'"]),
        ("no file name", {first: 3}, [first]),
        ("not a header", {first: "config.json"}, ["config.json: "])]:
    shutil.rmtree("bad", ignore_errors=True)
    shutil.copytree(folder, "bad")
    with open(os.path.join("bad", index), "w") as file:
        json.dump({"weight_map": map}, file)
    check(what, "bad", "bad/", *parts)
shutil.rmtree("bad")
shutil.copytree(folder, "bad")
with open(os.path.join("bad", names[first]), "r+b") as file:
    file.truncate(100)
check("cut", "bad", names[first], "truncated")

print("\n".join(failures) or "%d broken files were refused" % count)
sys.exit(bool(failures))
