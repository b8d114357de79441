"""For the tests of plugins and of applications: fake encoders, and a kit that checks real ones."""
