"""What an operator runs when something is wrong: the doctor's checks and the support bundle."""
