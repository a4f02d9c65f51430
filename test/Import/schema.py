# Every family file conforms to the schema that editors use, and the schema tells
# files that do not: what it allows is what moe-import reads.
#
# REQUIRES: python-yaml
# RUN: %python %s %moe_src/share/moe-mlir/families

import glob
import json
import os
import sys

import yaml

folder = sys.argv[1]
with open(os.path.join(folder, "schema.json")) as file:
    schema = json.load(file)
KINDS = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int,
         "number": (int, float), "null": type(None)}


def is_kind(value, kind):
    # A flag is an integer to Python.
    return isinstance(value, KINDS[kind]) and (kind == "boolean" or not isinstance(value, bool))


def judge(value, rule, where):
    """The first problem of `value`, of what the schema uses of JSON Schema."""
    if rule is True:
        return None
    if "$ref" in rule:
        problem = judge(value, schema["$defs"][rule["$ref"].rsplit("/", 1)[1]], where)
        if problem:
            return problem
    kinds = rule.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(is_kind(value, kind) for kind in kinds):
        return f"{where}: {value!r} is none of {kinds}"
    if "enum" in rule and value not in rule["enum"]:
        return f"{where}: {value!r} is none of {rule['enum']}"
    if "oneOf" in rule:
        problems = [judge(value, option, where) for option in rule["oneOf"]]
        if problems.count(None) != 1:
            return next(filter(None, reversed(problems)), f"{where}: {value!r} is several")
    if isinstance(value, dict):
        own, rest = rule.get("properties", {}), rule.get("additionalProperties", True)
        for name in rule.get("required", []):
            if name not in value:
                return f"{where}: no {name}"
        for name, inner in value.items():
            if name not in own and rest is False:
                return f"{where}: {name} means nothing"
            problem = judge(inner, own.get(name, rest), f"{where}.{name}")
            if problem:
                return problem
    if isinstance(value, list) and "items" in rule:
        for i, inner in enumerate(value):
            problem = judge(inner, rule["items"], f"{where}[{i}]")
            if problem:
                return problem
    return None


files = sorted(glob.glob(os.path.join(folder, "*.yaml")))
assert len(files) > 70, files
problems = []
for path in files:
    with open(path) as file:
        problems.append(judge(yaml.safe_load(file), schema, os.path.basename(path)))
for broken in ({"model_type": "x"}, {"keys": {"L": {"name": "x"}}}, {"keys": {"L": 3}},
               {"keys": {"L": {"type": "int"}}}, {"checks": [{"that": "true"}]}, {"weights": {"w": {"shape": {}}}},
               {"snippets": {"s": {"parameters": ["x"]}}}, {"values": {"S": [1]}}, {"types": {"x": 3}}, []):
    assert judge(broken, schema, "broken"), broken
problems = list(filter(None, problems))
print("\n".join(problems))
sys.exit(bool(problems))
