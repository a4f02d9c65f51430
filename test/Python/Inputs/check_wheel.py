"""usage: check_wheel.py FOLDER TAG MEMBER|- VERSION: what the one wheel in FOLDER has to be."""
import os
import re
import sys
import zipfile

folder, tag, member, version = sys.argv[1:]
(name,) = os.listdir(folder)
assert re.fullmatch("moe_mlir-%s-%s.whl" % (re.escape(version), tag), name), name
path = os.path.join(folder, name)
assert os.path.getsize(path) < 1_000_000, os.path.getsize(path)
names = zipfile.ZipFile(path).namelist()
assert "moe_mlir/py.typed" in names, names
libraries = [n for n in names if ".so" in n]
assert libraries == ([] if member == "-" else [member]), libraries
