//! Tests of the proto half.
