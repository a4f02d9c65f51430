"""Runs the examples in the descriptions of passes, ops, attributes and types.

usage: check_examples.py [--tool="moe-opt OPTION..."] (page.md | Passes.td)...

The pages are those that mlir-tblgen makes of TableGen files, so that nothing
can be missing; that of a TableGen file with passes is made here. Every block
that starts with ```mlir is complete MLIR, or a list of attributes or types, one
a line. It has to survive a round trip. Besides,

- an op has an example, in which it occurs;
- a pass has a block below a line `Before:` and one below a line `After:`, or
  ``After, with `option=value option=value`:``. What the pass makes of the first
  has to be the second, whatever SSA values are called. A Before may have several
  Afters;
- an After may be an excerpt: a line `// ...` stands for any number of lines, and
  `...` within a line for anything there;
- a block that starts with ```json below a line ``NAME.json:`` is a file, which
  options of the Afters behind it name;
- where a pass reports something, the block below `After:` may start with ```text:
  its messages without their locations, and no others.
"""
import argparse
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import tempfile
from functools import partial


class Failure(Exception):
    pass


class Section:
    """What a page says of one pass, op, attribute or type, or of a dialect."""

    def __init__(self, page, title):
        self.page, self.title = page, title
        self.blocks = []  # (line number, what it says above, language, text)

    def __str__(self):
        return "%s: %s" % (os.path.basename(self.page), self.title)

    @property
    def pass_name(self):
        match = re.fullmatch(r"`-([\w-]+)`", self.title)
        return match and match.group(1)

    @property
    def op_name(self):
        match = re.fullmatch(r"`([\w.]+)` \(::.*Op\)", self.title)
        return match and match.group(1)


def read_page(path):
    if path.endswith(".md"):
        with open(path) as page:
            return page.read()
    includes = subprocess.check_output(["llvm-config", "--includedir"], text=True).strip()
    return subprocess.check_output(["mlir-tblgen", "-gen-pass-doc", "-I", includes, path], text=True)


def read_sections(path):
    sections = [Section(path, "the dialect")]
    above, block = "", None
    for number, line in enumerate(read_page(path).split("\n"), 1):
        if block is not None:
            if line.strip() == "```":
                sections[-1].blocks.append(block[:3] + ("\n".join(block[3]),))
                block = None
            else:
                block[3].append(line)
        elif line.startswith("```"):
            block = (number, above, line[3:].strip(), [])
        elif line.startswith("### "):
            sections.append(Section(path, line[4:].strip()))
        if line.strip():
            above = line.strip()
    return sections


def run(tool, text, *options):
    result = subprocess.run(tool + ["-", "--allow-unregistered-dialect", *options],
                            input=text, capture_output=True, text=True)
    return result.returncode, result.stdout, result.stderr


def parse(tool, text, what):
    """The text as the tool prints it, once it survived a round trip."""
    if re.match(r"\s*[#!]", text) and not re.search(r"^[#!][\w$.]+ = ", text, re.M):
        text = "\n".join('"example"() {a = %s} : () -> ()' % line
                         for line in text.split("\n") if line.strip())
    status, out, err = run(tool, text, "--verify-roundtrip")
    if status:
        raise Failure("%s does not parse\n%s" % (what, err))
    return out


def tokens_of(text):
    """The tokens of each line; comments have none."""
    pattern = r'//.*|\.\.\.|"(?:[^"\\]|\\.)*"|[%^#!@]?[\w$.-]+|\S'
    lines = ([t for t in re.findall(pattern, line) if not t.startswith("//")]
             for line in text.split("\n"))
    return [line for line in lines if line]


def number_values(text):
    """The same name in two regions is two values."""
    value = r"%[\w$.-]+"
    # Block arguments, and what is in front of an equals sign.
    definition = re.compile(r"%s(?=: )|(?:%s[:\d]*(?:, )?)+(?=\)? =(?: |$))" % (value, value))
    counts = {}

    def number(line):
        for names in definition.findall(line):
            for name in re.findall(value, names):
                counts[name] = counts.get(name, 0) + 1
        return re.sub(value, lambda match: "%s.%d" % (match.group(), counts.get(match.group(), 0)), line)

    return "\n".join(map(number, text.split("\n")))


def bind(names, ours, theirs):
    """The names of values, ours and theirs, if two tokens are the same."""
    if ours[0] == "%" == theirs[0]:
        known = names.get(ours), names.get(("theirs", theirs))
        if known == (None, None):
            return {**names, ours: theirs, ("theirs", theirs): ours}
        return names if known == (theirs, ours) else None
    return names if ours == theirs else None


def match_chunk(chunk, lines, start, names):
    """Yields (the line behind the chunk, names) for each way to match."""
    # The chunk may break lines where it likes, but has to be whole ones.
    def match(i, at, rest, names):
        if i == len(chunk):
            if not rest:
                yield at, names
            return
        if chunk[i] == "...":
            for skipped in range(len(rest) + 1):
                yield from match(i + 1, at, rest[skipped:], names)
            return
        if not rest:
            if at == len(lines):
                return
            at, rest = at + 1, lines[at]
        bound = bind(names, chunk[i], rest[0])
        if bound is not None:
            yield from match(i + 1, at, rest[1:], bound)

    yield from match(0, start, [], names)


def match_excerpt(excerpt, output):
    """None if the excerpt is one of the output, else the part that is not."""
    chunks = [[]]
    for line in number_values(excerpt).split("\n"):
        if line.strip() == "// ...":
            chunks.append([])
        else:
            chunks[-1].append(line)
    texts = ["\n".join(chunk) for chunk in chunks]
    chunks = [sum(tokens_of(text), []) for text in texts]
    lines = tokens_of(number_values(output))
    # Unless it has attributes, nobody writes the module.
    if ["module", "{"] in lines:
        lines.remove(["module", "{"])
        lines.pop()
    furthest = 0

    def match(index, at, names):
        nonlocal furthest
        if index == len(chunks):
            return at == len(lines)
        furthest = max(furthest, index)
        if not chunks[index] and index == len(chunks) - 1:
            return True
        return any(match(index + 1, end, bound)
                   for start in (range(at, len(lines) + 1) if index else [0])
                   for end, bound in match_chunk(chunks[index], lines, start, names))

    if not any(chunks):
        return "a line of code"
    # As it was written.
    texts = [text.strip() for text in re.split(r"(?m)^\s*// \.\.\.$", excerpt)]
    return None if match(0, 0, {}) else texts[furthest]


def run_pass(tool, name, options, text):
    """Passes of plugins have no flags."""
    if any(word.startswith("--load-pass-plugin") for word in tool):
        braces = "{%s}" % options if options else ""
        return run(tool, text, "--pass-pipeline=builtin.module(%s%s)" % (name, braces))
    return run(tool, text, "--" + name + ("=" + options if options else ""))


def check_after(tool, name, options, before, language, after, files):
    with tempfile.TemporaryDirectory() as folder:
        for file, text in files.items():
            path = os.path.join(folder, file)
            with open(path, "w") as out:
                out.write(text)
            options = options and re.sub(r"(?<==)%s(?= |$)" % re.escape(file), path, options)
        status, out, err = run_pass(tool, name, options, before)
    if language == "text":
        said = re.findall(r"^(?:\S*:\d+:\d+: )?((?:error|warning|remark): .*)", err, re.M)
        # Lines are as long as is readable.
        if " ".join(said) != " ".join(after.split()):
            raise Failure("the pass says\n" + "\n".join(said))
        return
    if status:
        raise Failure("the pass fails\n" + err)
    if "..." in after:
        missing = match_excerpt(after, out)
        if missing:
            raise Failure("the pass makes of Before\n%s\nwithout\n%s" % (out, missing))
    elif parse(tool, after, "After") != out:
        raise Failure("the pass makes of Before\n" + out)


def jobs_of(tool, section):
    """Yields (line number, function to call) of each check."""
    if section.op_name:
        occurs = re.compile(r"(?<![\w.])%s(?![\w.])" % re.escape(section.op_name))
        if not any(language == "mlir" and occurs.search(text) for _, _, language, text in section.blocks):
            raise Failure("has no example")
    before, afters, files = None, 0, {}
    for number, above, language, text in section.blocks:
        file = re.fullmatch(r"`([\w-]+\.json)`:", above)
        if file and language == "json":
            files[file.group(1)] = text
            continue
        after = re.fullmatch(r"After(?:, with `([^`]*)`)?:", above)
        if section.pass_name and after:
            if before is None:
                raise Failure("has an After without a Before")
            afters += 1
            yield number, partial(check_after, tool, section.pass_name, after.group(1), before, language, text, files)
        elif language == "mlir":
            if section.pass_name and above != "Before:":
                raise Failure("has MLIR that is neither Before nor After")
            before = text
            yield number, partial(parse, tool, text, "the example")
    if section.pass_name and not afters:
        raise Failure("has no example, a Before and an After")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", default="moe-opt")
    parser.add_argument("pages", nargs="+")
    args = parser.parse_args()
    tool = shlex.split(args.tool)

    sections = [section for page in args.pages for section in read_sections(page)]
    failures = []
    jobs = []
    for section in sections:
        try:
            jobs += [(section, *job) for job in jobs_of(tool, section)]
        except Failure as failure:
            failures.append("%s: %s" % (section, failure))

    def attempt(job):
        section, number, check = job
        try:
            check()
        except Failure as failure:
            return "%s, line %d: %s" % (section, number, failure)

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failures += [failure for failure in pool.map(attempt, jobs) if failure]
    for failure in failures:
        print(failure)
    if not failures:
        print("%d passes, %d ops: %d examples are true" % (
            sum(bool(s.pass_name) for s in sections),
            sum(bool(s.op_name) for s in sections), len(jobs)))
    return bool(failures)


sys.exit(main())
