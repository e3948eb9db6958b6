"""Words beneath a figure."""


def scrolling(html: str) -> str:
    """HTML in a frame of one height, in which it scrolls: nothing beneath it moves, however long it is."""
    return f'<div style="height:15em;overflow:auto;line-height:1.35;border-top:1px solid #ccc">{html}</div>'
