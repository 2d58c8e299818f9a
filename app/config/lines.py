"""Finds and adds whole lines in a text. Never knows that it is YAML, but for what a comment looks like."""

from __future__ import annotations


class Lines:
    """A text by its lines, and the line break it uses."""

    def __init__(self, text: str, newline: str) -> None:
        self.text, self.newline = text, newline

    def line_start(self, index: int) -> int:
        """Where the line that ``index`` is in begins."""
        return self.text.rfind("\n", 0, index) + 1

    def line_end(self, index: int) -> int:
        """Just behind the break of the line that ``index`` is in."""
        found = self.text.find("\n", index)
        return len(self.text) if found < 0 else found + 1

    def past_comments(self, index: int, column: int) -> int:
        """The last line, from that of ``index`` on, of the comments right below that are indented deeper than
        ``column``; as an index into it.
        """
        at = self.line_end(index)
        while _is_comment_below(self.text[at : self.line_end(at)], column):
            at = self.line_end(at)
        return max(at - 1, 0)

    def lines_after(self, index: int, lines: list[str]) -> str:
        """The text with whole lines put behind the line that ``index`` is in."""
        at = self.line_end(index)
        head = self.text[:at]
        if head and not head.endswith("\n"):
            head += self.newline
        return head + "".join(line + self.newline for line in lines) + self.text[at:]


def _is_comment_below(line: str, column: int) -> bool:
    """Whether the line holds nothing but a comment indented deeper than the column."""
    bare = line.lstrip()
    return bare.startswith("#") and len(line) - len(bare) > column
