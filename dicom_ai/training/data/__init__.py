"""What training reads: cases packed in one file, and synthetic images made from them."""
