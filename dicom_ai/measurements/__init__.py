"""What is measured, how, and when it may be said: the table MEASUREMENTS and the functions behind it."""
