"""Which series goes to which model, and why: rules, facts, explanations. Pure: it knows no toolkit."""
