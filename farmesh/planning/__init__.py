"""Decisions as pure functions: routes, placement, whom to measure."""
