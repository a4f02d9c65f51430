"""usage: run_blocks.py PAGE: runs the Python of a page, from the second block on, in the current folder.

The first block is the page's summary and names files of the reader.
"""
import re
import sys

with open(sys.argv[1]) as page:
    text = page.read()
blocks = [(text[:m.start()].count("\n") + 2, m.group(1))
          for m in re.finditer(r"^```python\n(.*?)^```$", text, re.M | re.S)]
assert len(blocks) > 3
names = {}
for line, block in blocks[1:]:
    print("# %s:%d" % (sys.argv[1], line))
    exec(compile("\n" * (line - 1) + block, sys.argv[1], "exec"), names)
