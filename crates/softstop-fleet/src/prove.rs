//! Whether a program stops well: scenario, trials, measurements, verdict.
