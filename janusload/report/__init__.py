"""From a Summary to what people and other tools read."""
