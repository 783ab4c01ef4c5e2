"""What came of a study, for people: leaderboard, charts and report, as functions of its history."""
