"""Another FarMesh Chat in a swarm's place, asked over HTTP."""
