//! TLS for Grapeshot coroutines: rustls over any stream; a handshake suspends only the coroutine that does it.
#![forbid(unsafe_code)]
