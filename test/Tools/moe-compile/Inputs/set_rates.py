"""Prints the description of a chip under another name and with other rates.

usage: set_rates.py chip.json name [rate=value...]
"""

import json
import sys

source, name, *rates = sys.argv[1:]
with open(source) as file:
    chip = json.load(file)
chip["name"], chip["models"] = name, []
for rate in rates:
    key, value = rate.split("=")
    chip["rates"][key] = int(value)
json.dump(chip, sys.stdout)
