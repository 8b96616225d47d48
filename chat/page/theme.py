"""The page's colours, type and shapes, as a Gradio theme; assets/page.css does the rest."""

from __future__ import annotations

import gradio as gr

SANS = ("Instrument Sans", "ui-sans-serif", "system-ui", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "DejaVu Sans Mono", "monospace")

# Ink and paper with a green tint, one accent; the same hues in both modes.
PINE = gr.themes.Color(
    c50="#eef7f3",
    c100="#d7ece4",
    c200="#b1dacb",
    c300="#82c2ad",
    c400="#54a58c",
    c500="#2f8870",
    c600="#1c6e5a",
    c700="#125848",
    c800="#0e463a",
    c900="#0b372e",
    c950="#06211b",
    name="pine",
)
STONE = gr.themes.Color(
    c50="#f8f6f1",
    c100="#f1eee6",
    c200="#e4dfd3",
    c300="#cfc8b8",
    c400="#a29b8b",
    c500="#767164",
    c600="#56534a",
    c700="#3d3c36",
    c800="#262a27",
    c900="#181d1b",
    c950="#101513",
    name="stone",
)


def theme() -> gr.themes.Base:
    """The theme; every pair is light, dark."""
    return gr.themes.Base(
        primary_hue=PINE,
        secondary_hue=PINE,
        neutral_hue=STONE,
        radius_size=gr.themes.sizes.radius_lg,
        text_size=gr.themes.sizes.text_md,
        font=[gr.themes.Font(name) for name in SANS],
        font_mono=[gr.themes.Font(name) for name in MONO],
    ).set(
        body_background_fill="#f7f4ec",
        body_background_fill_dark="#0f1412",
        body_text_color="#1d2421",
        body_text_color_dark="#e7ebe5",
        body_text_color_subdued="#6a6d64",
        body_text_color_subdued_dark="#95a099",
        background_fill_primary="#fffdf8",
        background_fill_primary_dark="#161d1a",
        background_fill_secondary="#f1ede2",
        background_fill_secondary_dark="#131917",
        block_background_fill="transparent",
        block_background_fill_dark="transparent",
        block_border_width="0px",
        block_border_width_dark="0px",
        block_shadow="none",
        block_shadow_dark="none",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_padding="0px",
        border_color_primary="#e2dccd",
        border_color_primary_dark="#2a332f",
        input_background_fill="#fffdf8",
        input_background_fill_dark="#1a221f",
        input_border_color="#ddd6c5",
        input_border_color_dark="#2d3733",
        input_border_color_focus="#2f8870",
        input_border_color_focus_dark="#54a58c",
        button_primary_background_fill="#125848",
        button_primary_background_fill_hover="#0e463a",
        button_primary_background_fill_dark="#82c2ad",
        button_primary_background_fill_hover_dark="#b1dacb",
        button_primary_text_color="#fffdf8",
        button_primary_text_color_dark="#06211b",
        button_secondary_background_fill="transparent",
        button_secondary_background_fill_dark="transparent",
        button_secondary_background_fill_hover="#ece7da",
        button_secondary_background_fill_hover_dark="#202925",
        button_secondary_border_color="#ddd6c5",
        button_secondary_border_color_dark="#2d3733",
        slider_color="#2f8870",
        slider_color_dark="#54a58c",
        checkbox_background_color_selected="#125848",
        checkbox_background_color_selected_dark="#54a58c",
        link_text_color="#1c6e5a",
        link_text_color_dark="#82c2ad",
        code_background_fill="#efeadd",
        code_background_fill_dark="#1d2622",
    )
