"""Chats as they run: one chat, all chats, and who may have a turn now."""
