"""The report on one page, as PDF and as a picture: for archives and readers that show neither SEG nor SR."""
