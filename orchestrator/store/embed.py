"""Writes the migrations as a C table: embed.py OUTPUT 001-first.sql 002-next.sql …"""
import os
import sys

output, *inputs = sys.argv[1:]
arrays, table = [], []
for expected, path in enumerate(sorted(inputs, key=os.path.basename), 1):
    if int(os.path.basename(path).split("-")[0]) != expected:
        sys.exit(f"{path}: migrations are numbered without a gap")
    # Bytes, not a string literal: C promises no more than 4,095 characters of one.
    content = open(path, "rb").read() + b"\0"
    arrays.append("static const char migration_%03d[] = {" % expected)
    for start in range(0, len(content), 24):
        # plain char is signed on some machines, so bytes above 127 are written as such
        arrays.append("\t" + " ".join("'\\x%02x'," % byte for byte in content[start:start + 24]))
    arrays.append("};")
    table.append("migration_%03d," % expected)
with open(output, "w", encoding="utf-8") as file:
    file.write("/* Made from the numbered .sql files. */\n" + "\n".join(arrays) + "\n"
               + "static const char *const migrations[] = {" + " ".join(table) + "};\n")
