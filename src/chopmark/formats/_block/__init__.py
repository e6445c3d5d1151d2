"""What formats share that are text in one spelling with a CMS signature in PEM behind it."""
