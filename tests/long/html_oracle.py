#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All visible text of an HTML page, by Python's html.parser: the oracle of extract_f1.py.

It shares only the definition with smelt's reader (smelt/extract.h, SM_HTML_FULL): text of
<body> except scripts, styles, templates, noscript, embedded objects, form controls, SVG, and
elements hidden by an attribute.  Block elements, table cells and <br> separate words; inline
elements do not.
"""
import re
import sys
from html.parser import HTMLParser

SKIP = set("""script style template noscript noframes iframe object embed applet audio video
canvas svg select datalist textarea button title rp""".split())
VOID = set("""area base br col embed hr img input link meta param source track wbr""".split())
INLINE = set("""a abbr acronym b bdi bdo big cite code data del dfn em font i ins kbd label
mark nobr q rb rt ruby s samp small span strike strong sub sup time tt u var wbr img math mi mo
mn mrow msup msub input basefont blink""".split())
# <p> and list parts end without an end tag when these begin
CLOSES = {
    "li": {"li"}, "dt": {"dt", "dd"}, "dd": {"dt", "dd"}, "tr": {"tr", "td", "th"},
    "td": {"td", "th"}, "th": {"td", "th"}, "option": {"option"}, "p": {"p"},
}
STOPS = {"ul", "ol", "dl", "table", "div", "section", "body"}


def is_hidden(attrs):
    a = {k: (v or "") for k, v in attrs}
    style = re.sub(r"\s+", "", a.get("style", "")).lower()
    return ("hidden" in a or a.get("aria-hidden", "").lower() == "true"
            or "display:none" in style or "visibility:hidden" in style)


class Visible(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.out = []
        self.stack = []  # (tag, does it hide)
        self.n_hiding = 0

    def close_down_to(self, index):
        while len(self.stack) > index:
            self.n_hiding -= self.stack.pop()[1]

    def handle_starttag(self, tag, attrs):
        if tag not in INLINE:
            self.out.append(" ")
        if tag in VOID:
            return
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i][0] in CLOSES.get(tag, ()):
                self.close_down_to(i)
                break
            if self.stack[i][0] in STOPS:
                break
        hides = tag in SKIP or is_hidden(attrs)
        self.stack.append((tag, hides))
        self.n_hiding += hides

    def handle_startendtag(self, tag, attrs):
        if tag in VOID:
            self.handle_starttag(tag, attrs)
        else:  # "/" means nothing on other elements
            self.handle_starttag(tag, attrs)
            if tag == "svg" or (self.stack and any(t == "svg" for t, _ in self.stack)):
                self.handle_endtag(tag)

    def handle_endtag(self, tag):
        if tag not in INLINE:
            self.out.append(" ")
        for i in range(len(self.stack) - 1, -1, -1):
            if self.stack[i][0] == tag:
                self.close_down_to(i)
                return

    def handle_data(self, data):
        if not self.n_hiding:
            self.out.append(data)


def decode(data):
    if data.startswith(b"\xef\xbb\xbf"):
        return data[3:].decode("utf-8", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        pass
    m = re.search(rb"charset\s*=\s*[\"']?([A-Za-z0-9_:.-]+)", data[:4096])
    name = m.group(1).decode("ascii").lower() if m else "windows-1252"
    if name in ("iso-8859-1", "latin1", "us-ascii", "ascii"):
        name = "windows-1252"
    try:
        return data.decode(name, "replace")
    except LookupError:
        return data.decode("windows-1252", "replace")


def visible_text(data):
    parser = Visible()
    parser.feed(decode(data))
    parser.close()
    # what the text form leaves out: soft hyphen, zero-width space, word joiner
    return re.sub("[\u00ad\u200b\u2060\ufeff]", "", "".join(parser.out))


if __name__ == "__main__":
    with open(sys.argv[1], "rb") as f:
        sys.stdout.write(visible_text(f.read()))
