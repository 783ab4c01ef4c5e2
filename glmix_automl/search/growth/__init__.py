"""What AdaNet growth is made of: candidates and their generators, and the ensemble structure found."""
