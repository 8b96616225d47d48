"""What tests of several rooms share: fakes, harness, simulation, models, processes."""
