//! Names, questions and answers, without I/O: bytes to meaning and back.
