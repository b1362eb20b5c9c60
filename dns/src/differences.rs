//! How names resolve otherwise than with glibc, and why.
//!
//! Everything else is meant to be the same on the same files and servers: a test compares the two name by name
//! (`tests/glibc`), and fails for a difference that is not in the first of these tables.
//!
//! | Where | glibc 2.36 | Here | Because |
//! |---|---|---|---|
//! | `localhost` and names under it, unless the hosts file has them | asks the name servers | ::1 and 127.0.0.1 | RFC 6761, section 6.3 |
//! | 127.0.0.0/8 and ::1, backwards, unless the hosts file has them | asks the name servers | `localhost` | the same, read backwards |
//! | `invalid` and names under it | asks the name servers | no such name | RFC 6761, section 6.4 |
//! | `onion` and names under it | asks the name servers | no such name | RFC 7686, section 2 |
//! | Unique local and 6to4 addresses beside those of IPv4 | come before them | come after them | RFC 6724, section 2.1, which replaced RFC 3484; gai.conf decides for both |
//! | The canonical name of an international name | as the program's language spells it | as DNS spells it | a name is data, and not text for one user |
//! | An address with several names in DNS | the first | all | the zone says that it has all of them |
//! | An address on several lines of the hosts file, or with a name twice | the names of the first line, as they stand | those of all lines, each once | as lines for one name add up, so do those for one address |
//! | A name that is empty | an address of the hosts file that has no name | no such name | nobody means that |
//! | An IPv4 address mapped into IPv6 and typed as a number, when IPv4 is asked for | the IPv4 address | no address | it was typed as one of IPv6 |
//!
//! What that test does not reach:
//!
//! | Where | glibc 2.36 | Here | Because |
//! |---|---|---|---|
//! | An address twice in the hosts file under one name | comes twice | comes once | it is one address |
//! | A link-local address with a zone in the hosts file | the line is passed over | counts | without its zone it could not be used |
//! | A port behind a server in resolv.conf | the line is passed over | counts | for servers of one's own |
//! | Space before a word of resolv.conf, or a comment behind one | the line is passed over, or some lines are | counts, and is passed over | it is what was meant |
//! | EDNS | on request (`edns0`) | on | RFC 6891, and fewer queries by TCP |
//! | A search list of more than 32 domains | all | the first 32 | each costs two queries |
//! | More than 64 addresses of one host | all sorted | the first 64 sorted | nobody tries more |
//! | Rule 9 of RFC 6724 for IPv4 | between addresses within the source's network | not at all | it sends all clients to one of several servers |
//! | Rule 9 of RFC 6724 for IPv6 | compares all bits | compares the bits of the source's prefix | RFC 6724, section 2.2 |
//! | `sortlist` | counts in gethostbyname(3) | is passed over | getaddrinfo(3) passes it over too |
//! | `LOCALDOMAIN` and `RES_OPTIONS` | count | count when asked for ([`System::with_environment`](crate::System::with_environment)) | a library does not read the environment unasked |
//! | A domain of the search list that got no answer, and a name that does not exist otherwise | no such name | no answer | it may exist |
//! | Sources of nsswitch.conf that are programs | are loaded | count as unavailable; `myhostname` is done, and `mdns…_minimal` keeps `local` from DNS | no foreign code blocks the loop |
//! | Changes of nsswitch.conf and gai.conf while running | the first is seen, the second on request | are seen within a second | |
