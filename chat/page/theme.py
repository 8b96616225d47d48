"""The page's colours, type and shapes, as a Gradio theme: which of Gradio's parts has which colour.

The colours themselves are in assets/palette.css, the layout is in assets/page.css.
"""

from __future__ import annotations

import gradio as gr

SANS = ("Instrument Sans", "ui-sans-serif", "system-ui", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")
SHADES = (50, *range(100, 1000, 100), 950)

# Gradio's name: ours in the palette.
COLOURS = {
    "body_background_fill": "paper",
    "body_text_color": "ink",
    "body_text_color_subdued": "ink-soft",
    "background_fill_primary": "card",
    "background_fill_secondary": "side",
    "border_color_primary": "line",
    "input_background_fill": "field",
    "input_border_color": "field-line",
    "input_border_color_focus": "focus",
    "button_primary_background_fill": "go",
    "button_primary_background_fill_hover": "go-hover",
    "button_primary_text_color": "on-go",
    "button_secondary_background_fill_hover": "hover",
    "button_secondary_border_color": "field-line",
    "slider_color": "focus",
    "checkbox_background_color_selected": "check",
    "link_text_color": "link",
    "code_background_fill": "code",
}
PLAIN = {
    "block_background_fill": "transparent",
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_label_background_fill": "transparent",
    "button_secondary_background_fill": "transparent",
}


def theme() -> gr.themes.Base:
    pine, stone = _hue("pine"), _hue("stone")
    looks = PLAIN | {name: f"var(--fm-{ours})" for name, ours in COLOURS.items()}
    both = {f"{name}{mode}": value for name, value in looks.items() for mode in ("", "_dark")}
    return gr.themes.Base(
        primary_hue=pine,
        secondary_hue=pine,
        neutral_hue=stone,
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.Font(name) for name in SANS],
        font_mono=[gr.themes.Font(name) for name in MONO],
    ).set(block_padding="0px", **both)


def _hue(name: str) -> gr.themes.Color:
    shades = {f"c{shade}": f"var(--fm-{name}-{shade})" for shade in SHADES}
    return gr.themes.Color(**shades, name=name)
