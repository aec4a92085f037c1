"""What the words mean. Pure: values and `now` in, values out."""
