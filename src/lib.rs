//! Even Keel: normalization layers with their gradients, as a book that runs.
