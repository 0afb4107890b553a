"""A strict reader of pages: every element must be closed in order, and what the page embeds can be asked for."""

import base64
import io
from html.parser import HTMLParser

import numpy as np
import numpy.typing as npt
from PIL import Image

VOID = frozenset({"br", "img", "input", "link", "meta"})


class Page(HTMLParser):
    """Reads a page, raising AssertionError at the first element that is not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open_elements: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open_elements == [], f"never closed: {self.open_elements}"
        identities = [attributes["id"] for _, attributes in self.elements if "id" in attributes]
        assert len(identities) == len(set(identities)), "an id stands twice"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of <{tag}> stands twice: {names}"
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open_elements.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open_elements.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open_elements, f"</{tag}> closes nothing"
        assert self.open_elements.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        if not self.open_elements or self.open_elements[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        """What a reader reads, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def attributes_of(self, tag: str) -> list[dict[str, str]]:
        """Give the attributes of every element of this tag."""
        return [attributes for name, attributes in self.elements if name == tag]

    def count(self, tag: str, css_class: str) -> int:
        """Count the elements of this tag that have this class."""
        return sum(css_class in attributes.get("class", "").split() for attributes in self.attributes_of(tag))


def pixels_of(uri: str) -> npt.NDArray[np.uint8]:
    """Decode the WebP picture of a data URI to (H, W, 3)."""
    prefix, _, data = uri.partition(",")
    assert prefix == "data:image/webp;base64"
    with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as image:
        return np.asarray(image.convert("RGB"))
