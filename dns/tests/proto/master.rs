//! Records as master files write them.
