"""Texts that somebody else wrote, in a page: they neither are markup nor change the direction of what stands around them."""

from html import escape as without_markup

from controller.core.words import visible


def escape(text: str) -> str:
    """The text as it can stand in HTML, in an attribute, too."""
    return without_markup(visible(text))
