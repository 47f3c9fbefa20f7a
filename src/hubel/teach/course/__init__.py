"""The course: interactive lessons on convolutional networks, in English and Korean."""
