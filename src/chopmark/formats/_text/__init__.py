"""What the text formats share (detached signatures too): blocks in comments, deceptive texts, explanations."""
