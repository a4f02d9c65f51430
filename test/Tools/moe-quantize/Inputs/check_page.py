"""Checks that elements of a page are closed in the order in which they begin, and
that it needs nothing from elsewhere: check_page.py FILE."""

import html.parser
import sys


class Checker(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            assert name not in ("src", "href"), value
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "%s at %s" % (tag, self.getpos())


checker = Checker()
with open(sys.argv[1], encoding="utf-8") as page:
    checker.feed(page.read())
assert not checker.open, checker.open
