"""Checks a routing report: well-formed, self-contained, consistent, and equal
to what --trace printed of the same calls.

usage: check_report.py PAGE [--trace=FILE] --layers=N --tokens=N --experts=N
                       --slots=N [--policy=TEXT] [--state=TEXT]
"""
import argparse
import math
import re
import sys
from html.parser import HTMLParser

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Tables by id as lists of rows of texts, and all texts and attributes."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.stack, self.tables, self.facts, self.tags = [], {}, {}, []
        self.table = self.cell = None
        self.term = ""
        self.verdict = self.titles = 0

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag not in VOID:
            self.stack.append(tag)
        if tag == "table":
            self.table = self.tables[attrs["id"]] = []
        elif tag == "tr":
            self.table.append([])
        elif tag in ("td", "th"):
            self.table[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        opened = self.stack.pop()
        assert opened == tag, "</%s> closes <%s>" % (tag, opened)

    def handle_data(self, data):
        if any(tag in self.stack for tag in ("td", "th")):
            self.table[-1][-1] += data
        if self.stack and self.stack[-1] == "dt":
            self.term = data
        elif self.stack and self.stack[-1] == "dd":
            self.facts.setdefault(self.term, []).append(data)


def number(text):
    return int(re.sub(r"\D", "", text))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("page")
    parser.add_argument("--trace")
    for name in ("layers", "tokens", "experts", "slots"):
        parser.add_argument("--" + name, type=int, required=True)
    parser.add_argument("--policy")
    parser.add_argument("--state")
    args = parser.parse_args()
    with open(args.page, encoding="utf-8") as file:
        text = file.read()
    page = Page()
    page.feed(text)
    page.close()
    assert not page.stack, page.stack

    # Nothing is loaded, nothing runs.
    for tag, attrs in page.tags:
        assert tag not in ("script", "link", "iframe", "img", "object"), tag
        for key, value in attrs.items():
            assert not key.startswith("on"), key
            assert key not in ("src", "href", "xlink:href"), (key, value)
    assert not re.search(r"https?:|@import|url\((?!#)", text)

    assert number(page.facts["Layers"][0]) == args.layers
    assert number(page.facts["Tokens of each"][0]) == args.tokens
    assert number(page.facts["Experts"][0]) == args.experts
    assert number(page.facts["Slots of a token"][0]) == args.slots
    if args.policy:
        assert page.facts["Policy"] == [args.policy], page.facts["Policy"]

    counts = {row[0]: [int(c) for c in row[1:]] for row in page.tables["counts"][1:]}
    assert len(counts) == args.layers
    rows = page.tables["health"]
    columns = rows[0]
    health = {row[0]: dict(zip(columns, row)) for row in rows[1:]}
    kinds = [int(k) for k in page.tables["tokens-by-k"][0][1:]]
    for row in page.tables["tokens-by-k"][1:]:
        tokens = [int(c) for c in row[1:]]
        assert sum(tokens) == args.tokens
        assert sum(k * n for k, n in zip(kinds, tokens)) == sum(counts[row[0]])
    for layer, load in counts.items():
        assert len(load) == args.experts
        total, row = sum(load), health[layer]
        shares = [n / total if total else 0.0 for n in load]
        entropy = -sum(f * math.log(f) for f in shares if f)
        assert row["Tokens"] == str(args.tokens)
        assert abs(float(row["Entropy"]) - entropy / math.log(args.experts)) < 1e-4
        assert abs(float(row["Effective experts"]) - math.exp(entropy)) < 1e-2
        assert abs(float(row["MaxVio"]) - (max(shares) * args.experts - 1)) < 1e-3
        assert row["Never chosen"] == str(load.count(0))
        assert int(row[columns[-1]]) == args.tokens * args.slots - total
        if args.state:
            assert row["State"] == args.state, row["State"]
        elif total >= 100 * args.experts:
            assert "too few" not in row["State"], row["State"]

    # One cell of the heat map for each expert of each layer.
    cells = re.findall(r"<title>(.*?), expert (\d+): ([^ ]*) tokens?, ", text)
    assert len(cells) == args.layers * args.experts
    for layer, expert, count in cells:
        assert counts[layer][int(expert)] == number(count), (layer, expert, count)

    if args.trace:
        with open(args.trace) as file:
            seen = re.findall(r"trace: .*: routing of (\d+) tokens to (\d+) experts, at most "
                              r"(\d+) each: (\d+) assignments, (\d+) experts active, "
                              r"largest load (\d+)", file.read())
        assert len(seen) == args.layers, seen
        for event, load in zip(seen, counts.values()):
            assert [int(v) for v in event] == [
                args.tokens, args.experts, args.slots, sum(load),
                sum(n > 0 for n in load), max(load)], (event, load)
    print("report is fine")


if __name__ == "__main__":
    sys.exit(main())
