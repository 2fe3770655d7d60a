"""What can be measured of how a page looks: contrast of its text, rings of the focus, and whether it fits its width.

Contrast is that of WCAG 2.2, success criterion 1.4.3 (AA): 4.5 to 1, and 3 to 1 for large text (24 px, or 18.66 px and
bold). Backgrounds are composed of all that lie below the text; what is disabled, hidden or not drawn does not count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from playwright.sync_api import Page

_CONTRAST = """
() => {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const known = new Map();
  const colour = (text) => {
    if (!known.has(text)) {
      brush.clearRect(0, 0, 1, 1);
      brush.fillStyle = text;
      brush.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = brush.getImageData(0, 0, 1, 1).data;
      known.set(text, [r, g, b, a / 255]);
    }
    return known.get(text);
  };
  const over = ([r, g, b, a], [r2, g2, b2]) => [r * a + r2 * (1 - a), g * a + g2 * (1 - a), b * a + b2 * (1 - a), 1];
  const light = ([r, g, b]) => {
    const part = (c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b);
  };
  // The body is painted with two colours, the navigation's and the page's, side by side.
  const token = (name) => {
    const probe = document.body.appendChild(document.createElement("i"));
    probe.style.backgroundColor = `var(${name})`;
    const found = colour(getComputedStyle(probe).backgroundColor);
    probe.remove();
    return found;
  };
  const paper = token("--page"), side = token("--side");
  const below = (element) => {
    const chain = [];
    for (let each = element; each; each = each.parentElement) chain.unshift(each);
    let found = element.closest(".side") ? side : paper;
    for (const each of chain) found = over(colour(getComputedStyle(each).backgroundColor), found);
    return found;
  };
  const faint = (element) => {
    let left = 1;
    for (let each = element; each; each = each.parentElement) left *= Number(getComputedStyle(each).opacity);
    return left;
  };
  const hidden = (element, box) =>
    box.width < 2 || box.height < 2 || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })
    || element.closest(".visually-hidden, [disabled], [aria-disabled=true], option, datalist, script, style") !== null;
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode.textContent.trim(), element = walker.currentNode.parentElement;
    if (!text || hidden(element, element.getBoundingClientRect())) continue;
    const style = getComputedStyle(element);
    const ink = colour(element.ownerSVGElement ? style.fill : style.color), ground = below(element);
    const drawn = over([...ink.slice(0, 3), ink[3] * faint(element)], ground);
    const [high, low] = [light(drawn), light(ground)].sort((a, b) => b - a);
    const size = parseFloat(style.fontSize), bold = Number(style.fontWeight) >= 700;
    found.push({
      text: text.slice(0, 60), ratio: (high + 0.05) / (low + 0.05),
      needed: size >= 24 || (bold && size >= 18.66) ? 3 : 4.5, where: element.className || element.tagName,
    });
  }
  return found;
}
"""

_RINGS = """
() => {
  const found = [];
  let looked = 0;
  const wanted = "a[href], button:not(:disabled), input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
  for (const element of document.querySelectorAll(wanted)) {
    element.focus({ preventScroll: true });
    if (document.activeElement !== element || !element.matches(":focus-visible")) continue;
    looked += 1;
    element.scrollIntoView({ block: "center", inline: "center" });
    const style = getComputedStyle(element), said = element.outerHTML.slice(0, 100);
    // Where something is written, the box around it has the ring.
    const ring = style.outlineStyle !== "none" ? style : getComputedStyle(element.parentElement);
    if (ring.outlineStyle === "none") { found.push(`no ring: ${said}`); continue; }
    const reach = parseFloat(ring.outlineOffset) + parseFloat(ring.outlineWidth);
    const box = element.getBoundingClientRect();
    for (let above = element.parentElement; above && above !== document.body; above = above.parentElement) {
      const how = getComputedStyle(above);
      if (how.overflowX === "visible" && how.overflowY === "visible") continue;
      const edge = above.getBoundingClientRect();
      const cut = Math.max(edge.left - box.left, edge.top - box.top, box.right - edge.right, box.bottom - edge.bottom);
      if (cut + reach > 1) { found.push(`cut by .${above.className}: ${said}`); break; }
    }
  }
  return { looked, found };
}
"""


class Text(BaseModel):
    """One piece of text: its contrast, and the least it needs."""

    model_config = ConfigDict(frozen=True)

    text: str
    ratio: float
    needed: float
    where: object

    @property
    def faint(self) -> bool:
        """Whether it is too faint; the hundredth is what colours of eight bits cannot say."""
        return self.ratio < self.needed - 0.01


def texts_of(page: Page) -> list[Text]:
    """Return every piece of text that is drawn, with its contrast."""
    return [Text.model_validate(found) for found in page.evaluate(_CONTRAST)]


def rings_of(page: Page) -> tuple[int, list[str]]:
    """Return how many things can have the focus, and which of them do not show it: no ring, or one that is cut off."""
    page.keyboard.press("Tab")  # from now on the focus is one of the keyboard
    told = page.evaluate(_RINGS)
    return int(told["looked"]), [str(said) for said in told["found"]]


def overflow(page: Page) -> int:
    """Return by how many pixels the page is wider than the window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
