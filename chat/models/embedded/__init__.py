"""The private swarm on loopback that the app starts by itself."""
