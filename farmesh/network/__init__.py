"""How peers meet and talk: the transport over libp2p, the one in process, the DHT's records."""
