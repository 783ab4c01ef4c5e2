"""Pages for people: templates, drawings and numbers in words, shared by the data report and the study's report."""
