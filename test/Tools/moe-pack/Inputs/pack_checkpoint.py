"""What moe-pack promises of a long run, with a checkpoint of 14 MB.

usage: pack_checkpoint.py make FOLDER
       pack_checkpoint.py progress|kill|full FOLDER MANIFEST.json

  make      writes the checkpoint
  progress  on a terminal a line says how far it is, and goes when it is done
  kill      killed at several moments, it leaves what had the name, or all of the
            new file
  full      where the file does not fit, one message says so, and nothing is left
"""
import json
import os
import pty
import random
import re
import resource
import signal
import struct
import subprocess
import sys
import time

EXPERTS, SIZE = 8, 384
PARTIAL = ".moe-partial"
mode, folder = sys.argv[1:3]
failures = []


def make():
    os.makedirs(folder)
    with open(folder + "/config.json", "w") as file:
        json.dump({"model_type": "olmoe", "num_hidden_layers": 1,
                   "hidden_size": SIZE, "intermediate_size": SIZE,
                   "num_experts": EXPERTS, "num_experts_per_tok": 2,
                   "hidden_act": "silu", "norm_topk_prob": False}, file)
    rng = random.Random(7)
    prefix = "model.layers.0.mlp."
    shapes = {prefix + "gate.weight": [EXPERTS, SIZE]}
    for e in range(EXPERTS):
        for name in "gate", "up", "down":
            shapes["%sexperts.%d.%s_proj.weight" % (prefix, e, name)] = [SIZE, SIZE]
    header, data = {}, bytearray()
    for name, (rows, columns) in shapes.items():
        raw = bytearray(rng.randbytes(4 * rows * columns))
        # Numbers around 0.1.
        raw[3::4] = b"\x3d" * (rows * columns)
        header[name] = {"dtype": "F32", "shape": [rows, columns],
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    with open(folder + "/model.safetensors", "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def start(output, **options):
    return subprocess.Popen(["moe-pack", sys.argv[3], "--checkpoint=" + folder,
                             "-o", output], **options)


def partials(where):
    return [os.path.join(where, name) for name in os.listdir(where)
            if PARTIAL in name]


def wait_for(where, process, size):
    """Waits until a file of at least so many bytes is being written."""
    while process.poll() is None:
        for path in partials(where):
            try:
                if os.stat(path).st_size >= size:
                    return True
            except FileNotFoundError:
                pass
    return False


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_folder(name):
    os.makedirs(name, exist_ok=True)
    for path in os.listdir(name):
        os.remove(os.path.join(name, path))
    return name


def progress():
    """Nothing is said in the first second: the run is stopped for as long."""
    where = make_folder("progress")
    line = re.compile(r"\r\x1b\[Kpacking: (\d+) % of [0-9.]+ MB, [0-9.]+ [kMG]?B/s, \d+ s left")
    for _ in range(20):
        ours, terminal = pty.openpty()
        process = start(where + "/w.safetensors", stdout=subprocess.PIPE,
                        stderr=terminal, env=dict(os.environ, TERM="xterm"))
        os.close(terminal)
        if wait_for(where, process, 1 << 20):
            process.send_signal(signal.SIGSTOP)
            time.sleep(1.2)
            process.send_signal(signal.SIGCONT)
        text = ""
        try:
            while part := os.read(ours, 4096).decode():
                text += part
        except OSError:
            pass
        os.close(ours)
        out, _ = process.communicate()
        if process.returncode or out:
            failures.append("status %d: %r %r" % (process.returncode, out, text))
            break
        if found := line.search(text):
            if not 0 < int(found.group(1)) < 100:
                failures.append("how far: %r" % text)
            if not text.endswith("\r\x1b[K"):
                failures.append("the line stays: %r" % text)
            break
        # It was done before it was stopped.
        if text:
            failures.append("another line: %r" % text)
            break
    else:
        failures.append("no line in any run")


def kill():
    where = make_folder("kill")
    output = where + "/w.safetensors"
    if start(output).wait():
        sys.exit("fails")
    new = read(output)
    seed = random.randrange(1 << 32)
    print("seed", seed)
    random.seed(seed)
    parts = 0
    moments = [0, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99] + [random.random() for _ in range(3)]
    for number, moment in enumerate(moments):
        old = b"old" if number % 2 else None
        make_folder(where)
        if old:
            with open(output, "wb") as file:
                file.write(old)
        process = start(output)
        wait_for(where, process, moment * len(new))
        process.kill()
        process.wait()
        parts += any(0 < os.stat(path).st_size < len(new) for path in partials(where))
        others = [name for name in os.listdir(where)
                  if name != "w.safetensors" and PARTIAL not in name]
        content = read(output) if os.path.exists(output) else None
        if others or content not in (old, new):
            failures.append("killed at %.2f: %s, %s bytes" %
                            (moment, others, content and len(content)))
    # Otherwise nothing has been tested.
    print(parts, "of", len(moments), "runs were killed on the way")
    if parts < 3:
        failures.append("only %d runs of %d were killed on the way" %
                        (parts, len(moments)))


def full():
    where = make_folder("full")
    output = where + "/w.safetensors"
    if start(output).wait():
        sys.exit("fails")
    size = os.stat(output).st_size
    for limit in 1000, size // 2, size - 1:
        for old in None, b"old":
            make_folder(where)
            if old:
                with open(output, "wb") as file:
                    file.write(old)
            process = start(output, stderr=subprocess.PIPE, text=True,
                            preexec_fn=lambda: resource.setrlimit(
                                resource.RLIMIT_FSIZE, (limit, limit)))
            _, text = process.communicate()
            if process.returncode != 1 or text.count("\n") != 1 or \
                    not text.startswith("moe-pack: error: ") or \
                    not text.endswith("%s: cannot write: File too large\n" % output):
                failures.append("limit %d: status %d, %r" %
                                (limit, process.returncode, text))
            if os.listdir(where) != ["w.safetensors"] * bool(old) or \
                    old and read(output) != old:
                failures.append("limit %d left %s" % (limit, os.listdir(where)))
    process = start("/dev/full", stderr=subprocess.PIPE, text=True)
    _, text = process.communicate()
    if process.returncode != 1 or \
            text != "moe-pack: error: /dev/full: cannot write: No space left on device\n":
        failures.append("/dev/full: status %d, %r" % (process.returncode, text))


{"make": make, "progress": progress, "kill": kill, "full": full}[mode]()
print("\n".join(failures) or "fine")
sys.exit(bool(failures))
