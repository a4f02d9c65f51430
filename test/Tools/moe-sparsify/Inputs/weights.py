"""Makes weights, and says what a sparse file should have of them.

usage: weights.py make FILE [zeros]
       weights.py two WEIGHTS SPARSE TENSOR [PROFILE]
       weights.py blocks WEIGHTS SPARSE TENSOR KEPT COLUMNS [PROFILE]
       weights.py skew PROFILE
       weights.py poke FILE TENSOR BYTE VALUE
       weights.py alike FILE TOKENS: rows x that are all the same

`zeros`: two of each four are 0 already. Everything is chosen here by sorting, with
the index as the last key, and compared bit for bit.
"""
import json
import random
import struct
import sys

EXPERTS, HIDDEN, INNER = 4, 64, 96
SHAPES = {"experts.gate_proj": (EXPERTS, INNER, HIDDEN), "experts.up_proj": (EXPERTS, INNER, HIDDEN),
          "experts.down_proj": (EXPERTS, HIDDEN, INNER), "router.weight": (EXPERTS, HIDDEN)}


def write(path, tensors):
    header, data = {}, b""
    for name, (shape, values) in tensors.items():
        raw = struct.pack("<%df" % len(values), *values)
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def read(path, name):
    with open(path, "rb") as file:
        size, = struct.unpack("<Q", file.read(8))
        entry = json.loads(file.read(size))[name]
        begin, end = entry["data_offsets"]
        file.seek(8 + size + begin)
        raw = file.read(end - begin)
    kind = {"F32": "f", "BF16": "H", "F16": "e", "I8": "B", "U8": "B", "I32": "i"}[entry["dtype"]]
    return entry["shape"], list(struct.unpack("<%d%s" % (len(raw) // struct.calcsize(kind), kind), raw))


def to_bf16(value):
    """Rounded to nearest even."""
    bits, = struct.unpack("<I", struct.pack("<f", value))
    return (bits + 0x7fff + (bits >> 16 & 1)) >> 16


def importance(path, name, columns):
    if path is None:
        return [1.0] * columns
    with open(path) as file:
        for weight in json.load(file)["functions"][0]["weights"]:
            if weight["name"] == name:
                return weight["experts"][0]["mean_squares"]
    raise KeyError(name)


def best(energies, count):
    return sorted(sorted(range(len(energies)), key=lambda i: (-energies[i], i))[:count])


def make(path, zeros):
    random.seed(5)
    tensors = {}
    for name, shape in SHAPES.items():
        count = 1
        for size in shape:
            count *= size
        values = [random.gauss(0, 1) for _ in range(count)]
        if zeros and name != "router.weight":
            for at in range(0, count, 4):
                for i in random.sample(range(4), 2):
                    values[at + i] = 0.0
        tensors[name] = shape, values
    write(path, tensors)


def two(path, sparse, name, profile=None):
    (_, _, columns), weights = read(path, name)
    _, values = read(sparse, name + ".values")
    _, places = read(sparse, name + ".places")
    counts = importance(profile, name, columns)
    for at in range(0, len(weights), 4):
        four = weights[at:at + 4]
        chosen = best([w * w * counts[(at + i) % columns] for i, w in enumerate(four)], 2)
        bits = places[at // 8] >> (at // 4 % 2 * 4) & 15
        got = [bits & 3, bits >> 2]
        stored = values[at // 2:at // 2 + 2]
        if got != chosen or stored != [to_bf16(four[i]) for i in chosen]:
            sys.exit(f"{name}, element {at}: {stored} at {got}, expected those of {four} at {chosen}")
    print(name, "has the right two of four")


def blocks(path, sparse, name, kept, columns, profile=None):
    kept, columns = int(kept), int(columns)
    (experts, rows, k), weights = read(path, name)
    _, values = read(sparse, name + ".values")
    _, lists = read(sparse, name + ".blocks")
    counts = importance(profile, name, k)
    groups = (rows + 15) // 16
    for e in range(experts):
        for group in range(groups):
            of = range(16 * group, min(rows, 16 * group + 16))
            energies = [0.0] * (k // columns)
            for row in of:
                for i in range(k):
                    w = weights[(e * rows + row) * k + i]
                    energies[i // columns] += w * w * counts[i]
            chosen = best(energies, kept)
            got = lists[(e * groups + group) * kept:][:kept]
            if got != chosen:
                sys.exit(f"{name}, expert {e}, rows from {16 * group}: blocks {got}, expected {chosen}")
            for row in of:
                want = [to_bf16(weights[(e * rows + row) * k + block * columns + i])
                        for block in chosen for i in range(columns)]
                if values[(e * rows + row) * kept * columns:][:kept * columns] != want:
                    sys.exit(f"{name}, expert {e}, row {row}: other values")
    print(name, "has the right blocks")


def skew(path):
    """What all experts met: much more in some columns than in others."""
    with open(path) as file:
        profile = json.load(file)
    for weight in profile["functions"][0]["weights"]:
        for expert in weight["experts"]:
            expert["rows"] = 16
            expert["mean_squares"] = [[0.25, 4.0, 1.0, 16.0, 0.5][i % 5] for i in range(weight["columns"])]
    with open(path, "w") as file:
        json.dump(profile, file)


def poke(path, name, byte, value):
    with open(path, "r+b") as file:
        size, = struct.unpack("<Q", file.read(8))
        begin = json.loads(file.read(size))[name]["data_offsets"][0]
        file.seek(8 + size + begin + int(byte))
        file.write(bytes([int(value)]))


def alike(path, tokens):
    random.seed(6)
    write(path, {"x": ((int(tokens), HIDDEN), [random.gauss(0, 1) for _ in range(HIDDEN)] * int(tokens))})


command, *arguments = sys.argv[1:]
if command == "make":
    make(arguments[0], arguments[1:] == ["zeros"])
else:
    {"two": two, "blocks": blocks, "skew": skew, "poke": poke,
     "alike": alike}[command](*arguments)
