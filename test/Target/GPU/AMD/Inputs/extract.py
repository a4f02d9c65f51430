"""Writes the code object that an object file has in it: extract.py OBJECT OUT."""
import sys

with open(sys.argv[1], "rb") as file:
    data = file.read()
# Behind the object's own, the header of an ELF file for AMDGPU (machine 224).
at = data.find(b"\x7fELF", 4)
while at >= 0 and data[at + 18:at + 20] != b"\xe0\x00":
    at = data.find(b"\x7fELF", at + 4)
if at < 0:
    raise SystemExit(sys.argv[1] + ": has no code object")
# The headers of sections come last.
first = int.from_bytes(data[at + 40:at + 48], "little")
size, count = data[at + 58], data[at + 60]
with open(sys.argv[2], "wb") as file:
    file.write(data[at:at + first + size * count])
