import pytest

from infomax.report.markdown import inline, to_html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("two\nlines", "<p>two lines</p>"),
        ("# a *b*\ntext", "<h2>a <em>b</em></h2>\n<p>text</p>"),
        ("### a", "<h3>a</h3>"),
        ("- a\n- `b`", "<ul><li>a</li><li><code>b</code></li></ul>"),
        ("a\n\n```\nx < 1\n\n**y**\n```\n\nb", "<p>a</p>\n<pre><code>x &lt; 1\n\n**y**</code></pre>\n<p>b</p>"),
        ("", ""),
    ],
)
def test_blocks(text, html):
    assert to_html(text) == html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**b** *i* 2 * 3 * 4", "<strong>b</strong> <em>i</em> 2 * 3 * 4"),
        ("`**raw** <`", "<code>**raw** &lt;</code>"),
        ("<script>x</script>", "&lt;script&gt;x&lt;/script&gt;"),
        ("[a](https://b.c/d?e=1&f)", '<a href="https://b.c/d?e=1&amp;f">a</a>'),
        ("[a](javascript:x)", "[a](javascript:x)"),
        ('[a](https://b"onclick="x)', '<a href="https://b&quot;onclick=&quot;x">a</a>'),
        ("learning_rate_x", "learning_rate_x"),
    ],
)
def test_inline(text, html):
    assert inline(text) == html
