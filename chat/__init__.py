"""The web product: users, text and pages on top of the engine in ``farmesh``.

settings        the app's settings and the model catalogue, merged from file, environment and flags
embedded        the private swarm on loopback that the app starts by itself, and its supervisor
"""
