"""Writes a .npy file of the first ROWS rows of an endless matrix, or compares
the first rows of two such files bit for bit.

usage: rows.py make FILE ROWS COLUMNS
       rows.py compare FILE FILE
"""
import struct
import sys


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack_from("<H", data, 8)
    header = eval(data[10:10 + length])
    assert header["descr"] == "<f4" and not header["fortran_order"]
    row = 4
    for size in header["shape"][1:]:
        row *= size
    return data[10 + length:], header["shape"][0], row


if sys.argv[1] == "make":
    path, rows, columns = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }" % (
        rows, columns)
    header += " " * (117 - len(header)) + "\n"
    state = 12345
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.encode())
        for _ in range(rows * columns):
            state = (state * 1103515245 + 12345) % 2**31
            file.write(struct.pack("<f", state / 2**30 - 1))
else:
    first, rows_a, row_a = read(sys.argv[2])
    second, rows_b, row_b = read(sys.argv[3])
    assert row_a == row_b, "rows of different sizes"
    size = min(rows_a, rows_b) * row_a
    if first[:size] != second[:size]:
        sys.exit("the first %d rows differ" % min(rows_a, rows_b))
    print("%d rows are equal" % min(rows_a, rows_b))
