"""A small markdown, escaped first, so that no data-set name or error text can become markup.

Blocks: paragraphs, `#` to `####` headings, `-` lists, fenced code. Within a line: `code`, **bold**, *italic*,
    [text](https://...).
"""

import html
import re

_INLINE = (
    (re.compile(r"\*\*(.+?)\*\*"), r"<strong>\1</strong>"),
    (re.compile(r"(?<![\w*])\*(?!\s)(.+?)(?<!\s)\*(?![\w*])"), r"<em>\1</em>"),
    (re.compile(r"\[([^\]]+)\]\(((?:https?://|#)[^\s)]+)\)"), r'<a href="\2">\1</a>'),
)


def to_html(text: str) -> str:
    """Render the subset.

    Args:
        text: markdown; blank lines part the blocks.

    Returns:
        HTML, one block a line.

    Example:
        >>> print(to_html("Rank **2.95** of `z`, 3 < 4\\n\\n- one\\n- two"))
        <p>Rank <strong>2.95</strong> of <code>z</code>, 3 &lt; 4</p>
        <ul><li>one</li><li>two</li></ul>
    """
    blocks: list[str] = []
    # Fenced code may hold blank lines, so it is cut out before the text falls into blocks.
    for part in re.split(r"(^```.*?^```[^\S\n]*$)", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            body = part.split("\n", 1)[1].rsplit("\n", 1)[0]
            blocks.append(f"<pre><code>{html.escape(body)}</code></pre>")
        else:
            blocks += [_block(block.strip("\n")) for block in re.split(r"\n\s*\n", part) if block.strip()]
    return "\n".join(blocks)


def _block(block: str) -> str:
    lines = [line.strip() for line in block.split("\n")]
    heading = re.fullmatch(r"(#{1,4})\s+(.*)", lines[0])
    if heading:
        # The page's title is its only h1.
        level = max(2, len(heading[1]))
        rest = "\n" + _block("\n".join(lines[1:])) if lines[1:] else ""
        return f"<h{level}>{inline(heading[2])}</h{level}>{rest}"
    if all(line.startswith("- ") for line in lines):
        return "<ul>" + "".join(f"<li>{inline(line[2:])}</li>" for line in lines) + "</ul>"
    return f"<p>{inline(' '.join(lines))}</p>"


def inline(text: str) -> str:
    """Render what stands within one line.

    Example:
        >>> inline("*tau* = `0.5` & more")
        '<em>tau</em> = <code>0.5</code> &amp; more'
    """
    pieces = []
    for k, piece in enumerate(re.split(r"`([^`]+)`", text)):
        escaped = html.escape(piece)
        if k % 2:
            pieces.append(f"<code>{escaped}</code>")
            continue
        for pattern, replacement in _INLINE:
            escaped = pattern.sub(replacement, escaped)
        pieces.append(escaped)
    return "".join(pieces)


def literal(text: str) -> str:
    """A name as it is, whatever marks of markdown it holds.

    Example:
        >>> literal("a **b**")
        '`a **b**`'
    """
    return f"`{text.replace('`', chr(39))}`"
