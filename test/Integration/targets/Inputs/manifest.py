"""Says what a manifest says of targets and layouts."""

import json
import sys

manifest = json.load(open(sys.argv[1]))
function, = manifest["functions"]


def describe(target):
    models = " ".join(f"{first}-{last}" for first, last in target.get("models", []))
    return target["name"] + (f" of {target['device']} ({models})" if "device" in target else "")


print("targets:", ", ".join(map(describe, manifest["targets"])))
print("workspace:", *sorted(function["workspace"]))
router, = (a for a in function["arguments"] if a["name"] == "router.weight")
for layout in function["layouts"]:
    print(f"layout of {' '.join(layout['targets'])}: {layout['plans']}")
    other, = (a for a in layout["arguments"] if a["name"] == "router.weight")
    print(f"router.weight is {router['packed']['columns']} and {other['packed']['columns']} columns")
