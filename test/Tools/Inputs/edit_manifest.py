"""Edits a manifest in ways that would make a caller's buffers too small, and
sees that it is refused each time: usage: edit_manifest.py BASE.json, beside
BASE.so."""
import copy
import json
import shutil
import subprocess
import sys

path = sys.argv[1]
with open(path) as file:
    good = json.load(file)
shutil.copy(path.replace(".json", ".so"), "edited.so")


def drop_result(function):
    function["results"].pop()


def drop_argument(function):
    function["arguments"].pop()


def change_type(function):
    function["results"][0]["dtype"] = "bf16"


def change_shape(function):
    function["results"][0]["shape"] = ["T", 1]


def drop_size(function):
    function["sizes"] = []
    for value in function["arguments"] + function["results"]:
        value["shape"] = [1 if d == "T" else d for d in value["shape"]]


def change_symbol(function):
    function["invoke"] = "moe_rt_init"


def change_id(function):
    del bad["id"]


def nothing(function):
    pass


failures = []
for edit in (drop_result, drop_argument, change_type, change_shape, drop_size,
             change_symbol, change_id, nothing):
    bad = copy.deepcopy(good)
    edit(bad["functions"][0])
    # In another order and with other spaces, which mean nothing.
    with open("edited.json", "w") as file:
        json.dump(dict(reversed(bad.items())), file)
    for command in (["moe-run", "edited.so", "--random=1", "--tokens=3"],
                    ["moe-pack", "edited.json", "--random=1", "-o",
                     "edited.safetensors"]):
        done = subprocess.run(command, text=True, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE)
        refused = (done.returncode == 1 and
                   "its id is not that of its contents" in done.stderr)
        accepted = done.returncode == 0
        if not (accepted if edit is nothing else refused):
            failures.append("%s, %s: exit status %d\n%s" %
                            (edit.__name__, command[0], done.returncode,
                             done.stderr))
print("\n".join(failures) or "fine")
sys.exit(bool(failures))
