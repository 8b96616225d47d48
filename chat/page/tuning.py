"""Handlers of the settings: the model, the sampling controls, and presets of them.

Presets, and what a person has set, are kept by the browser: they outlive a reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from chat.access.callers import visitor_of
from chat.conversation import controls
from chat.errors import ChatError
from chat.live.chat import Chat
from chat.models.backend import Backend
from chat.page.desk import Desk, sentence_of
from chat.page.parts import Updates, Values
from farmesh.errors import FarMeshError
from farmesh.params import SamplingParams

NAME_CHARS = 40  # of a preset's name


@dataclass(frozen=True, slots=True)
class Tuning:
    desk: Desk

    async def use_model(self, values: Values, request: gr.Request) -> Updates:
        """Go on with another model; controls that nobody has touched take over its own values."""
        knobs = self.desk.parts.knobs
        try:
            chat = self.desk.shown(values, request)
        except FarMeshError as error:
            return self.desk.said(error)
        own = _own_values(chat.backend)
        untouched = own == {name: values[knobs[name]] for name in own}

        async def act(chat: Chat) -> Updates:
            new = _own_values(chat.backend) if untouched else {}
            return {knobs[name]: value for name, value in new.items()}

        updates = await self.desk.do(values, request, act)
        return {**updates, self.desk.parts.model_id: f"~{chat.backend.id}"}

    # --- presets -----------------------------------------------------------------------------

    def use_preset(self, name: str, kept: Any, chat_id: str, request: gr.Request) -> list[Any]:
        """The controls' values for a preset; a name that is just being typed changes nothing."""
        values = controls.preset_values(name, self._own(chat_id, request), mapping(kept))
        return [(values or {}).get(field, gr.skip()) for field in controls.PRESET_FIELDS]

    def save_preset(self, name: str, kept: Any, *values: Any) -> tuple[Any, Any, Any]:
        named = (name or "").strip()[:NAME_CHARS]
        try:
            if not named or named in (controls.OWN_PRESET, *controls.PRESETS):
                raise ChatError("Type a name of your own for this preset, then save it.")
            chosen = dict(zip(controls.PRESET_FIELDS, values, strict=True))
            controls.read(chosen)
            if len({*mapping(kept), named}) > controls.MAX_PRESETS:
                raise ChatError(f"{controls.MAX_PRESETS} presets are kept already; forget one.")
        except FarMeshError as error:
            return gr.skip(), gr.skip(), sentence_of(error)
        known = {**mapping(kept), named: chosen}
        menu = gr.update(choices=choices(known), value=named)
        return menu, known, gr.update(value="", visible=False)

    def forget_preset(self, name: str, kept: Any) -> tuple[Any, Any, Any]:
        known = {key: value for key, value in mapping(kept).items() if key != name}
        return gr.update(choices=choices(known), value=controls.OWN_PRESET), known, gr.skip()

    # --- the controls ------------------------------------------------------------------------

    def keep_controls(
        self, name: str, kept: Any, chat_id: str, request: gr.Request, *values: Any
    ) -> tuple[dict[str, Any], Any]:
        """What the browser is to keep of the controls, and whether the preset's name is right."""
        chosen = dict(zip(self.desk.parts.knobs, values, strict=True))
        own = self._own(chat_id, request)
        return chosen, _changed(not controls.has_values_of(name, chosen, own, mapping(kept)))

    def keep_preset(self, name: str, kept: Any, *values: Any) -> tuple[Any, Any]:
        """The model's own values are not kept: another model has others."""
        if name == controls.OWN_PRESET:
            return {}, _changed(False)
        if name not in choices(mapping(kept)):
            return gr.skip(), gr.skip()
        return dict(zip(self.desk.parts.knobs, values, strict=True)), _changed(False)

    def list_controls(self, touched: Any, kept: Any) -> list[Any]:
        """The controls as they were left, and the name of their preset; values that do not fit any
        more are forgotten."""
        values, own = mapping(touched), self.desk.store.backend.defaults
        try:
            controls.read(values)
        except (FarMeshError, AttributeError):  # or it is no text where one should be
            values = {}
        known = mapping(kept)
        names = (n for n in choices(known) if controls.has_values_of(n, values, own, known))
        name = next(names, "") if values else controls.OWN_PRESET
        menu = gr.update(choices=choices(known), value=name or controls.OWN_PRESET)
        left = [values.get(name, gr.skip()) for name in self.desk.parts.knobs]
        return [menu, _changed(not name), *left]

    def _own(self, chat_id: str, request: gr.Request) -> SamplingParams:
        """The values of the model that a chat goes on with."""
        store = self.desk.store
        chat = store.find(chat_id, visitor_of(request.request).person)
        return (chat.backend if chat else store.backend).defaults


def _changed(on: bool) -> Any:
    return gr.update(value="changed since" if on else "", visible=on)


def _own_values(backend: Backend) -> dict[str, Any]:
    return controls.preset_values(controls.OWN_PRESET, backend.defaults, {}) or {}


def mapping(kept: Any) -> dict[str, Any]:
    """What the browser kept, whatever it is now."""
    return kept if isinstance(kept, dict) else {}


def choices(kept: Mapping[str, Any]) -> list[str]:
    return [controls.OWN_PRESET, *controls.PRESETS, *kept]
