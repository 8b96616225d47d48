"""What outlives the app: conversations of people who sign in, and likes."""
