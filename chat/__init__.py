"""The web product: users, text and pages on top of the engine in ``farmesh``.

docs/architecture.md says what each module holds. Only ``ui*`` imports gradio.
"""
