"""A profile in which experts were chosen as often as is said.

usage: skew_profile.py PROFILE.json RESULT.json ROWS,ROWS,...
"""
import json
import sys

source, target, rows = sys.argv[1:]
rows = [int(count) for count in rows.split(",")]
with open(source) as file:
    profile = json.load(file)
for function in profile["functions"]:
    for weight in function["weights"]:
        if len(weight["experts"]) != len(rows):
            continue
        for expert, count in zip(weight["experts"], rows):
            expert["rows"] = count
            expert.pop("nonzero", None)
            expert["mean_squares"] = expert["mean_squares"] or [1.0] * weight["columns"]
with open(target, "w") as file:
    json.dump(profile, file)
