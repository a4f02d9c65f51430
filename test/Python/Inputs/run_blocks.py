"""usage: run_blocks.py PAGE: runs the Python of a page, from the second block on, in the current folder.

The first block is the page's summary and names files of the reader. Those behind a comment that says
why they are not run are left out.
"""
import re
import sys

with open(sys.argv[1]) as page:
    text = page.read()
blocks = [(text[:m.start(2)].count("\n") + 1, m.group(2))
          for m in re.finditer(r"^(<!-- not run: [^\n]*-->\n)?```python\n(.*?)^```$", text, re.M | re.S)
          if not m.group(1)]
assert len(blocks) > 3
names = {}
for line, block in blocks[1:]:
    print("# %s:%d" % (sys.argv[1], line))
    exec(compile("\n" * (line - 1) + block, sys.argv[1], "exec"), names)
