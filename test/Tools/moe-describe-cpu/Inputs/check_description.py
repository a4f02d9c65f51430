"""Whether a description of this machine has what can be measured everywhere.

usage: check_description.py chip.json NAME
"""
import json
import sys

path, name = sys.argv[1:]
with open(path) as file:
    chip = json.load(file)
problems = []
for key in ("target", "name", "arch", "cpu", "needs", "instructions", "lanes",
            "registers", "l1", "l2", "models", "rates"):
    if key not in chip:
        problems.append("no " + key)
if chip["name"] != name:
    problems.append("is called " + chip["name"])
for rate in ("clock", "fma", "load_l1", "load_l2", "latency_l2", "latency_dram",
             "dram_core", "page"):
    if rate not in chip["rates"]:
        problems.append("no rate " + rate)
for rate, value in chip["rates"].items():
    if not isinstance(value, int) or value < 1:
        problems.append("%s is %s" % (rate, value))
if chip["arch"] == "x86_64" and "dot_bf16" in chip["instructions"]:
    for rate in ("dot_bf16", "dot_latency", "widen"):
        if rate not in chip["rates"]:
            problems.append("no rate " + rate)
# Where others use the machine, what needs all of its cores is left out.
rows = [rule["rows"] for rule in chip.get("prefetch", [])]
if rows != sorted(set(rows)) or bool(rows) != ("dram" in chip["rates"]):
    problems.append("rules for rows %s" % rows)
print("\n".join(problems) or "the description is complete")
sys.exit(bool(problems))
