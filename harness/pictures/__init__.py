"""Training logs as pictures. Only this package and `leaderboard.strip_picture` import matplotlib, and none torch."""
