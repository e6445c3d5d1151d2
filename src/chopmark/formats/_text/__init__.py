"""What the text formats share: signature blocks in comments, texts that deceive the eye, and why a digest differs."""
