"""Reading pages."""

import html
import re
from html.parser import HTMLParser


class Tags(HTMLParser):
    """Checks that tags close in order, and keeps them."""

    VOID = frozenset({"meta", "img", "br", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.seen = [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def named(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


def headings(text):
    """Of the sections of a page."""
    return [html.unescape(h) for h in re.findall(r"<h2[^>]*>(.*?)</h2>", text)]
