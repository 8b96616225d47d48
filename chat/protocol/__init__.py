"""What two FarMesh Chats say to one another, as checked JSON."""
