"""Checks that the TextMate grammar knows all of the dialects, as their pages
made from TableGen have it, and nothing else.

usage: check_grammar.py REPO BUILD
"""
import json
import os
import re
import sys

root, build = sys.argv[1:]
folder = os.path.join(root, "editors", "vscode")
with open(os.path.join(folder, "package.json")) as file:
    grammar = json.load(file)["contributes"]["grammars"][0]
with open(os.path.join(folder, grammar["path"])) as file:
    repository = json.load(file)["repository"]
failures, ops = [], 0


def check(what, kind, names, sigil):
    """Every name matches in a line of IR, and the pattern has no others."""
    key = "%s-%s" % (what, kind)
    if not names and key not in repository:
        return
    pattern = repository[key]["match"]
    for name in names:
        text = "%s%s.%s" % (sigil, what, name)
        found = re.search(pattern, "%0 = " + text + " <4>")
        if not found or found.group(0) != text:
            failures.append("%s is not in the grammar; edit %s of %s" %
                            (text, key, grammar["path"]))
        if re.search(pattern, text + "_x"):
            failures.append("%s_x is taken for %s" % (text, text))
    known = re.search(r"\(\?:(.*)\)\(\?!", pattern).group(1).split("|")
    for name in sorted(set(known) - {re.escape(n) for n in names}):
        failures.append("%s%s.%s does not exist" % (sigil, what, name))


for dialect in sorted(os.listdir(os.path.join(root, "dialects"))):
    if not os.path.isdir(os.path.join(root, "dialects", dialect)):
        continue
    with open(os.path.join(build, "docs", "dialect-%s.md" % dialect)) as file:
        page = file.read()
    names = set(re.findall(r"^### `%s\.([\w.]+)`" % dialect, page, re.M))
    ops += len(names)
    check(dialect, "op", names, "")
    check(dialect, "attribute",
          set(re.findall(r"^#%s\.(\w+)" % dialect, page, re.M)), "#")
    check(dialect, "type",
          set(re.findall(r"^!%s\.(\w+)" % dialect, page, re.M)), "!")
    # The words between operands.
    folder = os.path.join(root, "dialects", dialect)
    for path in sorted(os.listdir(folder)):
        if not path.endswith(".td"):
            continue
        with open(os.path.join(folder, path)) as file:
            ops_here = re.findall(r"^def \w+Op\b.*?^\}", file.read(),
                                  re.M | re.S)
        formats = re.findall(r"assemblyFormat = \[\{(.*?)\}\]",
                             "".join(ops_here), re.S)
        for word in re.findall(r"`([a-z_]{2,})`", "".join(formats)):
            if not re.search(repository["word"]["match"], " %s(" % word):
                failures.append("word '%s' is not in the grammar" % word)
print("\n".join(failures) or "the grammar knows %d ops" % ops)
sys.exit(bool(failures))
